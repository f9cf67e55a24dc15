"""Our operators as FINN nodes: what FINN asks of a node, answered from the :class:`Operator` behind it.

A node class names its attributes, builds its Operator from them, and runs golden's function on numpy arrays;
shapes, stream widths, cycles, resources and HDL follow from the Operator. Tensors are FINN's: one frame,
channels last, words as UINT{T}, currents as (..., C*T) with t innermost. ``register`` adds a class and its
``_rtl`` variant to FINN's own domains, so that FINN's passes take them for their own.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, cast

import finn.custom_op.fpgadataflow as abstract_domain
import numpy as np
from finn.custom_op.fpgadataflow import rtl as rtl_domain
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from qonnx.core.datatype import DataType

from .operator import Array, Operator, family_of, require

Shape = tuple[int, ...]


def integers(tensor: Array, where: str) -> Array:
    """Return ``tensor`` as int64; raises ParameterError unless it is made of whole numbers that float32 holds."""
    whole = tensor.astype(np.int64)
    exact = np.array_equal(whole, tensor) and int(np.abs(whole).max(initial=0)) <= 1 << 24
    require(exact, f"{where}: expected whole numbers up to 2^24, got others; FINN's graphs hold them in float32")
    return whole


class SpikingNode(HWCustomOp):
    """A node with ``streams`` as its first inputs, constants after them, ``results`` as its outputs.

    streams, results: the RTL names of the streams, in the order of the node's inputs and outputs.
    constants: the attribute that holds the type of each further input. keeps_type: the output has the input's
    type, whatever that is.
    """

    streams: ClassVar[tuple[str, ...]] = ("in",)
    constants: ClassVar[tuple[str, ...]] = ()
    keeps_type: ClassVar[bool] = False

    @property
    def results(self) -> tuple[str, ...]:
        """Return the RTL names of the output streams."""
        return ("out",)

    # What a node class says.

    @abstractmethod
    def attributes(self) -> dict[str, Any]:
        """Return its own attributes, as get_nodeattr_types does."""

    @abstractmethod
    def operator(self) -> Operator:
        """Return the operator its attributes describe; raises ParameterError."""

    @abstractmethod
    def run(self, arrays: list[Array]) -> list[Array]:
        """Return the outputs as golden computes them, from inputs and constants (int64)."""

    @abstractmethod
    def channels(self) -> tuple[int, int]:
        """Return the last axis of the input and of the output tensor."""

    @abstractmethod
    def folding(self) -> tuple[int, int]:
        """Return the elements in a beat of the input and of the output stream."""

    def files(self, constants: list[Array]) -> dict[str, str]:
        """Return the RTL's memory files: name -> text."""
        return {}

    def operations(self) -> dict[str, int]:
        """Return FINN's op_* and param_* counts of a frame."""
        return {}

    def output_vectors(self) -> Shape:
        """Return the leading axes of the output tensor."""
        return self.vectors

    def output_links(self) -> list[str]:
        """Return the wrapper's connections of the output streams to out<i>_V_* and the wires out<i>."""
        return [
            f".{name}_{port}"
            for i, name in enumerate(self.results)
            for port in (f"valid_o(out{i}_V_TVALID)", f"ready_i(out{i}_V_TREADY)", f"data_o(out{i})")
        ]

    # Shorthands.

    def value(self, name: str) -> Any:
        """Return an attribute."""
        return self.get_nodeattr(name)

    def bits(self, name: str) -> int:
        """Return the width of the data type an attribute names."""
        return int(DataType[self.value(name)].bitwidth())

    @property
    def vectors(self) -> Shape:
        """Return the leading axes of the input tensor."""
        return tuple(int(n) for n in self.value("numInputVectors"))

    @property
    def positions(self) -> int:
        """Return how often a frame repeats the operator's initiation interval."""
        return int(np.prod(self.vectors))

    # What FINN asks.

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Return name -> (type, required, default[, allowed])."""
        types = dict(super().get_nodeattr_types())
        types |= {
            "PE": ("i", True, 1),
            "timesteps": ("i", True, 1),
            "numInputVectors": ("ints", True, [1]),
            "inputDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
        }
        return types | self.attributes()

    def get_input_datatype(self, ind: int = 0) -> Any:
        """Return the type of an input, stream or constant."""
        if ind >= len(self.streams):
            return DataType[self.value(self.constants[ind - len(self.streams)])]
        return DataType[self.value(self.input_type(ind))]

    def input_type(self, ind: int) -> str:
        """Return the attribute that holds the type of a stream."""
        return "inputDataType"

    def get_output_datatype(self, ind: int = 0) -> Any:
        """Return the type of an output."""
        return DataType[self.value("outputDataType")]

    def get_normal_input_shape(self, ind: int = 0) -> Shape:
        """Return the shape of an input tensor."""
        return (*self.vectors, self.channels()[0])

    def get_normal_output_shape(self, ind: int = 0) -> Shape:
        """Return the shape of an output tensor."""
        return (*self.output_vectors(), self.channels()[1])

    def get_folded_input_shape(self, ind: int = 0) -> Shape:
        """Return (..., beats of a position, elements of a beat)."""
        channels, fold = self.channels()[0], self.folding()[0]
        return (*self.vectors, channels // fold, fold)

    def get_folded_output_shape(self, ind: int = 0) -> Shape:
        """Return (..., beats of a position, elements of a beat)."""
        channels, fold = self.channels()[1], self.folding()[1]
        return (*self.output_vectors(), channels // fold, fold)

    def get_instream_width(self, ind: int = 0) -> int:
        """Return the bits of an input stream, 0 for a constant."""
        if ind >= len(self.streams):
            return 0
        return self.operator().input_widths()[self.streams[ind]]

    def get_outstream_width(self, ind: int = 0) -> int:
        """Return the bits of an output stream."""
        return self.operator().output_widths()[self.results[ind]]

    def get_exp_cycles(self) -> int:
        """Return the cycles of a frame in the steady state."""
        return self.positions * self.operator().initiation_interval()

    def get_op_and_param_counts(self) -> dict[str, int]:
        """Return the operations of a frame and the parameters."""
        return self.operations()

    def lut_estimation(self, fpgapart: str) -> int:
        """Return the LUTs of the resource model."""
        return self.operator().resources(family_of(fpgapart)).lut

    def bram_estimation(self, fpgapart: str) -> int:
        """Return the 18 kb block RAMs of the resource model."""
        return self.operator().resources(family_of(fpgapart)).bram18

    def uram_estimation(self, fpgapart: str) -> int:
        """Return the UltraRAMs of the resource model."""
        return self.operator().resources(family_of(fpgapart)).uram

    def dsp_estimation(self, fpgapart: str) -> int:
        """Return the DSP blocks of the resource model."""
        return self.operator().resources(family_of(fpgapart)).dsp

    def infer_node_datatype(self, model: Any) -> None:
        """Take currents that FINN made narrower; the other types are proven in the integer graph and stay.

        Raises ParameterError for a stream the operator was not proven for: a wider one, or of another sign.
        """
        for i in range(len(self.streams)):
            name = self.onnx_node.input[i]
            found, proven = model.get_tensor_datatype(name), self.get_input_datatype(i)
            fits = found.signed() and proven.signed() and found.bitwidth() <= proven.bitwidth()
            require(
                found == proven or (found.is_integer() and fits),
                f"{self.onnx_node.name}: {name}: expected {proven.name}, got {found.name}; run prove_ranges again",
            )
            self.set_nodeattr(self.input_type(i), found.name)
            if self.keeps_type:
                self.set_nodeattr("outputDataType", found.name)
        for i, name in enumerate(self.onnx_node.output):
            model.set_tensor_datatype(name, self.get_output_datatype(i))

    def execute_node(self, context: dict[str, Array], graph: Any) -> None:
        """Run golden's function on the node's inputs."""
        own = self.onnx_node
        outputs = self.run([integers(context[name], f"{own.name}: {name}") for name in own.input])
        for name, value in zip(own.output, outputs, strict=True):
            integers(value, f"{own.name}: {name}")
            context[name] = value.astype(np.float32)


class SpikingRtl(RTLBackend):
    """The HDL of a node: a Verilog wrapper with FINN's port names around the operator, and its memory files."""

    @property
    def _node(self) -> SpikingNode:
        return cast(SpikingNode, self)

    def _folder(self) -> Path:
        return Path(self._node.value("code_gen_dir_ipgen"))

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        """Write the wrapper and memory files into the node's folder."""
        node, top = self._node, self.get_verilog_top_module_name()
        values = [model.get_initializer(name) for name in self.onnx_node.input[len(node.streams) :]]
        files = node.files([value.astype(np.int64) for value in values])
        names = {name: f"{top}_{name}" for name in files}
        for name, text in files.items():
            (self._folder() / names[name]).write_text(text)
        (self._folder() / f"{top}.v").write_text(wrapper(node, top, names))
        self.set_nodeattr("gen_top_module", top)
        self.set_nodeattr("ipgen_path", str(self._folder()))
        self.set_nodeattr("ip_path", str(self._folder()))

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        """Return the operator's sources and the wrapper."""
        node = self._node
        own = f"{node.value('gen_top_module') or self.get_verilog_top_module_name()}.v"
        sources = [str(p) if abspath else p.name for p in node.operator().sources]
        return [*sources, str(self._folder() / own) if abspath else own]

    def code_generation_ipi(self) -> list[str]:
        """Return Vivado's commands that add the files and instantiate the wrapper."""
        data = sorted(str(p) for p in self._folder().glob("*.mem"))
        files = [f"add_files -norecurse {path}" for path in [*self.get_rtl_file_list(abspath=True), *data]]
        module = self._node.value("gen_top_module")
        return [*files, f"create_bd_cell -type module -reference {module} {self.onnx_node.name}"]

    def execute_node(self, context: dict[str, Array], graph: Any) -> None:
        """Run golden's function, or the RTL if exec_mode is rtlsim."""
        if self._node.value("exec_mode") != "rtlsim":
            SpikingNode.execute_node(self._node, context, graph)
            return
        from .finn_rtlsim import run_rtl

        run_rtl(self._node, context)


def wrapper(node: SpikingNode, top: str, files: dict[str, str]) -> str:
    """Return Verilog of module ``top`` with FINN's ports around the node's operator.

    files: memory file as the operator names it -> as it is called in the node's folder.
    """
    operator = node.operator()
    ports, links = ["input ap_clk", "input ap_rst_n"], [".clk_i(ap_clk)", ".rst_ni(ap_rst_n)"]
    wires: list[str] = []
    for i, name in enumerate(node.streams):
        width, padded = operator.input_widths()[name], node.get_instream_width_padded(i)
        ports += [f"input in{i}_V_TVALID", f"output in{i}_V_TREADY", f"input [{padded - 1}:0] in{i}_V_TDATA"]
        links += [f".{name}_valid_i(in{i}_V_TVALID)", f".{name}_ready_o(in{i}_V_TREADY)"]
        links += [f".{name}_data_i(in{i}_V_TDATA[{width - 1}:0])"]
    for i, name in enumerate(node.results):
        width, padded = operator.output_widths()[name], node.get_outstream_width_padded(i)
        ports += [f"output out{i}_V_TVALID", f"input out{i}_V_TREADY", f"output [{padded - 1}:0] out{i}_V_TDATA"]
        wires += [f"  wire [{width - 1}:0] out{i};", f"  assign out{i}_V_TDATA = out{i};"]
    links += node.output_links()
    parameters = [
        f".{name}({_literal(files.get(value, value) if isinstance(value, str) else value)})"
        for name, value in operator.parameters().items()
    ]
    buses = ":".join(
        [*(f"in{i}_V" for i in range(len(node.streams))), *(f"out{i}_V" for i in range(len(node.results)))]
    )
    clock = (
        f'  (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {buses}, ASSOCIATED_RESET ap_rst_n" *)\n'
        '  (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)\n  '
    )
    return (
        f"// {type(node).__name__}: FINN's port names around {operator.top}.\n"
        f"module {top} (\n{clock}" + ",\n  ".join(ports) + "\n);\n" + "\n".join(wires) + "\n"
        f"  {operator.top} #(\n    "
        + ",\n    ".join(parameters)
        + "\n  ) u_operator (\n    "
        + ",\n    ".join(links)
        + "\n  );\nendmodule\n"
    )


def _literal(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def register(node: type[SpikingNode]) -> type[SpikingNode]:
    """Add ``node`` to FINN's abstract domain and its RTL variant to FINN's rtl domain."""
    abstract_domain.register_custom_op(node)
    variant = type(f"{node.__name__}_rtl", (SpikingRtl, node), {"__doc__": node.__doc__, "__module__": node.__module__})
    rtl_domain.register_custom_op(variant)
    return node
