"""Small graphs of FINN's stock nodes, and the way from them to RTL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

PART, CLOCK_NS = "xc7z020clg400-1", 10.0


@contextmanager
def finn_in(folder: Path) -> Iterator[None]:
    """Prepare FINN in ``folder``; give the environment back at the end."""
    from spikeclip_fpga.hw.finn_env import prepare

    before = dict(os.environ)
    prepare(folder)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Graph:
    """A chain of nodes; each method appends one, reading the tensor that the one before gave."""

    def __init__(self, shape: tuple[int, ...], kind: str = "INT8") -> None:
        self.nodes: list[Any] = []
        self.tensors: list[tuple[str, tuple[int, ...], str]] = [("image", shape, kind)]
        self.weights: dict[str, tuple[np.ndarray, str]] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensors[-1][1]

    @property
    def kind(self) -> str:
        return self.tensors[-1][2]

    def add(self, op: str, out: tuple[int, ...], kind: str, constants: tuple[str, ...] = (), **values: Any) -> Graph:
        from onnx import helper

        source, name = self.tensors[-1][0], f"tensor{len(self.nodes)}"
        domain = "finn.custom_op.fpgadataflow"
        node = helper.make_node(op, [source, *constants], [name], domain=domain, backend="fpgadataflow", **values)
        self.nodes.append(node)
        self.tensors.append((name, out, kind))
        return self

    def pad(self, margin: int, simd: int) -> Graph:
        _, h, w, c = self.shape
        shape = (1, h + 2 * margin, w + 2 * margin, c)
        values = {"ImgDim": [h, w], "Padding": [margin] * 4, "NumChannels": c, "SIMD": simd}
        return self.add("FMPadding", shape, self.kind, inputDataType=self.kind, **values)

    def windows(self, kernel: int, stride: int, simd: int, depthwise: int = 0) -> Graph:
        _, h, w, c = self.shape
        out = [(h - kernel) // stride + 1, (w - kernel) // stride + 1]
        values = {"ConvKernelDim": [kernel] * 2, "IFMChannels": c, "IFMDim": [h, w], "OFMDim": out, "SIMD": simd}
        values |= {"Stride": [stride] * 2, "Dilation": [1, 1], "depthwise": depthwise, "is1D": 0}
        types = {"inputDataType": self.kind, "outputDataType": self.kind}
        shape = (1, *out, kernel * kernel * c)
        return self.add("ConvolutionInputGenerator", shape, self.kind, **values, **types)

    def matrix(self, weight: np.ndarray, simd: int, pe: int) -> Graph:
        """Append an MVAU with ``weight`` (MW, MH) of INT8 and accumulators just wide enough."""
        from qonnx.core.datatype import DataType

        name = f"weight{len(self.nodes)}"
        self.weights[name] = (weight, "INT8")
        largest = max(abs(int(DataType[self.kind].min())), int(DataType[self.kind].max()))
        # FINN's RTL wants room for one full product, whatever the weights are.
        bits = max(1 + int(np.abs(weight).sum(0).max() * largest).bit_length(), 7 + DataType[self.kind].bitwidth())
        shape = (*self.shape[:-1], weight.shape[1])
        values = {"MW": weight.shape[0], "MH": weight.shape[1], "SIMD": simd, "PE": pe, "noActivation": 1, "ActVal": 0}
        types = {"inputDataType": self.kind, "weightDataType": "INT8", "outputDataType": f"INT{bits}"}
        modes = {"mem_mode": "internal_decoupled", "preferred_impl_style": "rtl", "binaryXnorMode": 0}
        vectors = list(self.shape[:-1])
        return self.add("MVAU", shape, f"INT{bits}", (name,), numInputVectors=vectors, **values, **types, **modes)

    def spike_matrix(self, weight: np.ndarray, simd: int, pe: int, steps: int) -> Graph:
        """Append our SpikeMVAU with ``weight`` (MH, MW) of INT4 and accumulators just wide enough."""
        from spikeclip_fpga.hw.ops.spike_mvau import SpikeMvau

        name = f"weight{len(self.nodes)}"
        self.weights[name] = (weight, "INT4")
        fit = SpikeMvau.fitted(weight, simd=simd, pe=pe, timesteps=steps, w_width=4)
        shape, kind = (*self.shape[:-1], len(weight) * steps), f"INT{fit.acc_width}"
        values = {"MW": weight.shape[1], "MH": len(weight), "SIMD": simd, "PE": pe, "timesteps": steps}
        types = {"inputDataType": self.kind, "weightDataType": "INT4", "outputDataType": kind}
        return self.add("SpikeMVAU", shape, kind, (name,), numInputVectors=list(self.shape[:-1]), **values, **types)

    def lif(self, threshold: np.ndarray, pe: int, steps: int, broadcast: int = 0) -> Graph:
        """Append our LIF with ``threshold`` (C,) and no bias."""
        from qonnx.core.datatype import DataType

        from spikeclip_fpga.hw.ops.lif import Lif

        bias, kind = np.zeros_like(threshold), DataType[self.kind]
        low, high = int(kind.min()), int(kind.max())
        options = {"pe": pe, "timesteps": steps, "low": low, "high": high, "broadcast": bool(broadcast)}
        fit = Lif.fitted(threshold, bias, **options)
        types = {"thresholdDataType": f"INT{fit.threshold_width}", "biasDataType": f"INT{fit.bias_width}"}
        names = f"threshold{len(self.nodes)}", f"bias{len(self.nodes)}"
        self.weights[names[0]] = (threshold, types["thresholdDataType"])
        self.weights[names[1]] = (bias, types["biasDataType"])
        shape, words = (*self.shape[:-1], len(threshold)), f"UINT{steps}"
        types |= {"inputDataType": self.kind, "outputDataType": words}
        values = {"NumChannels": len(threshold), "PE": pe, "timesteps": steps, "broadcast": broadcast}
        values |= {"frac_bits": fit.frac_bits, "leak_k": fit.leak_k, "leak_n": fit.leak_n}
        values |= {"membrane_bits": fit.membrane_width, "numInputVectors": list(self.shape[:-1])}
        return self.add("LIF", shape, words, names, **values, **types)

    def model(self) -> Any:
        """Return the graph, to be executed by FINN in Python."""
        from onnx import TensorProto, helper
        from qonnx.core.datatype import DataType
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.transformation.general import GiveUniqueNodeNames
        from qonnx.util.basic import qonnx_make_model

        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape, _ in self.tensors]
        graph = helper.make_graph(self.nodes, "chain", infos[:1], infos[-1:], value_info=infos[1:-1])
        model = ModelWrapper(qonnx_make_model(graph))
        for name, _, kind in self.tensors:
            model.set_tensor_datatype(name, DataType[kind])
        for name, (value, kind) in self.weights.items():
            model.set_initializer(name, value.astype(np.float32))
            model.set_tensor_datatype(name, DataType[kind])
        return model.transform(GiveUniqueNodeNames())


def to_rtl(model: Any, *, streams: bool = True) -> Any:
    """Return the graph with RTL for every node; streams: with width converters and FIFOs of depth 2 between."""
    from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
    from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.transformation.general import GiveUniqueNodeNames

    model = model.transform(SpecializeLayers(PART)).transform(GiveUniqueNodeNames())
    if streams:
        model = model.transform(InsertDWC()).transform(InsertFIFO(create_shallow_fifos=True))
        model = model.transform(SpecializeLayers(PART)).transform(GiveUniqueNodeNames())
    return model.transform(PrepareIP(PART, CLOCK_NS))


def execute(model: Any, images: np.ndarray) -> np.ndarray:
    """Return FINN's own results for images (N, ...), frame by frame, as int64."""
    from finn.core.onnx_exec import execute_onnx

    source, sink = model.graph.input[0].name, model.graph.output[0].name
    frames = [execute_onnx(model, {source: image[None].astype(np.float32)})[sink] for image in images]
    return np.concatenate(frames).astype(np.int64)
