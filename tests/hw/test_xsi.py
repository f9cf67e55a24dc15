"""FINN's own rtlsim runs unmodified on Verilator: its stock nodes give in RTL what they give in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")

from spikeclip_fpga.hw.simulate import SimulationError

from .finn_graphs import Graph, execute, finn_in, to_rtl


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with finn_in(tmp_path_factory.mktemp("finn")):
        yield


def rtlsim(model: Any) -> Any:
    """Return the model with RTL nodes that FINN executes in simulation."""
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
    from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode

    return to_rtl(model, streams=False).transform(SetExecMode("rtlsim")).transform(PrepareRTLSim())


def weight(mw: int, mh: int, seed: int) -> np.ndarray:
    # With -128 among 8-bit weights FINN takes no RTL on the Zynq-7000: its DSP wants a narrow range.
    return np.random.default_rng(seed).integers(-127, 128, (mw, mh))


def dwc(graph: Graph, before: int, after: int) -> Graph:
    shapes = {"inShape": list(graph.shape), "outShape": list(graph.shape)}
    values = {**shapes, "inWidth": before, "outWidth": after, "dataType": graph.kind}
    return graph.add("StreamingDataWidthConverter", graph.shape, graph.kind, **values)


# What latency may add to FINN's estimate of a node's cycles per frame.
LATENCY = 16

NODES: dict[str, Callable[[], Graph]] = {
    "pad": lambda: Graph((1, 5, 4, 6)).pad(1, 3),
    "pad-uint4": lambda: Graph((1, 4, 4, 8), "UINT4").pad(2, 8),
    "windows": lambda: Graph((1, 6, 6, 4)).windows(3, 1, 2),
    "windows-stride": lambda: Graph((1, 7, 7, 4), "UINT4").windows(3, 2, 4),
    "windows-depthwise": lambda: Graph((1, 6, 6, 4)).windows(2, 2, 2, depthwise=1),
    "dwc-down": lambda: dwc(Graph((1, 4, 4, 12)), 96, 32),
    "dwc-up": lambda: dwc(Graph((1, 4, 4, 12)), 16, 48),
    "dwc-odd": lambda: dwc(Graph((1, 4, 4, 12), "UINT4"), 24, 16),
    "mvau-1-1": lambda: Graph((1, 3, 3, 12)).matrix(weight(12, 8, 1), 1, 1),
    "mvau-3-2": lambda: Graph((1, 3, 3, 12)).matrix(weight(12, 8, 2), 3, 2),
    "mvau-6-8": lambda: Graph((1, 4, 2, 12)).matrix(weight(12, 8, 3), 6, 8),
    "mvau-2-5": lambda: Graph((1, 1, 7, 18)).matrix(weight(18, 5, 4), 2, 5),
}


@pytest.mark.parametrize("name", NODES)
def test_a_stock_node_gives_in_rtl_what_it_gives_in_python(name: str) -> None:
    from qonnx.core.datatype import DataType
    from qonnx.custom_op.registry import getCustomOp

    graph = NODES[name]()
    kind = DataType[graph.tensors[0][2]]
    rng = np.random.default_rng(0)
    images = rng.integers(int(kind.min()), int(kind.max()) + 1, (2, *graph.tensors[0][1][1:]))
    model = graph.model()
    expected = execute(model, images)
    if graph.weights:
        ((matrix, _),) = graph.weights.values()
        np.testing.assert_array_equal(expected, images @ matrix)
    simulated = rtlsim(model)
    assert simulated.graph.node[0].op_type.endswith("_rtl")
    if name == "windows-depthwise":
        # In Python FINN leaves the channels innermost; the stream has them as (C/SIMD, k k, SIMD).
        split = expected.reshape(*expected.shape[:-1], 4, 2, 2)
        expected = split.swapaxes(-3, -2).reshape(expected.shape)
    np.testing.assert_array_equal(execute(simulated, images), expected)
    node = getCustomOp(simulated.graph.node[0])
    # FINN has no estimate for width converters: each wide beat takes as many cycles as it has narrow ones, rounded up.
    estimate = node.get_exp_cycles()
    if name.startswith("dwc"):
        narrow, wide = sorted((node.get_instream_width(), node.get_outstream_width()))
        estimate = images[0].size * kind.bitwidth() // wide * -(-wide // narrow)
    assert 0.8 * estimate <= node.get_nodeattr("cycles_rtlsim") <= estimate + LATENCY


def test_a_fifo_passes_everything_in_finns_stitched_rtlsim(tmp_path: Any) -> None:
    """FINN never simulates a FIFO alone; its rtlsim of a stitched graph does, driven by the same stand-ins."""
    from finn.core.rtlsim_exec import rtlsim_exec

    from spikeclip_fpga.hw.stitch import stitch

    graph = Graph((1, 4, 4, 6))
    depths = {"depth": 8, "folded_shape": [1, 4, 4, 2, 3], "normal_shape": [1, 4, 4, 6], "dataType": "INT8"}
    model = to_rtl(graph.add("StreamingFIFO", graph.shape, "INT8", **depths).model(), streams=False)
    stitched = stitch(model, tmp_path / "rtl")
    (stitched.folder / "all_verilog_srcs.txt").write_text("\n".join(map(str, stitched.sources)))
    interfaces = {"s_axis": [("s_axis_0", 24)], "m_axis": [("m_axis_0", 24)]}
    model.set_metadata_prop("wrapper_filename", str(stitched.folder / f"{stitched.top}.v"))
    model.set_metadata_prop("vivado_stitch_proj", str(stitched.folder))
    model.set_metadata_prop("vivado_stitch_ifnames", str(interfaces))
    images = np.random.default_rng(0).integers(-128, 128, (3, 4, 4, 6))
    context = {model.graph.input[0].name: images.astype(np.float32)}
    rtlsim_exec(model, context)
    np.testing.assert_array_equal(context[model.graph.output[0].name], images)
    assert 96 <= int(model.get_metadata_prop("cycles_rtlsim")) <= 96 + LATENCY


def test_missing_beats_are_an_error_that_names_the_stream() -> None:
    from finn import xsi
    from qonnx.custom_op.registry import getCustomOp

    node = getCustomOp(rtlsim(Graph((1, 4, 4, 6)).pad(1, 3).model()).graph.node[0])
    simulation = node.get_rtlsim()
    io = {"inputs": {"in0": [0] * 31}, "outputs": {"out0": []}}
    with pytest.raises(SimulationError, match=r"FMPadding_rtl_0: stuck .* output out0_V did \d+ of 72 beats"):
        xsi.rtlsim_multi_io(simulation, io, 72, liveness_threshold=100)
    wrong = {"inputs": {"in7": [0]}, "outputs": {"out0": []}}
    with pytest.raises(SimulationError, match="FMPadding_rtl_0: no input stream in7_V; expected one of in0_V"):
        xsi.rtlsim_multi_io(simulation, wrong, 72)
    xsi.close_rtlsim(simulation)


def test_another_finn_with_other_functions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import finn.xsi

    from spikeclip_fpga.hw import xsi
    from spikeclip_fpga.hw.finn_env import FinnError

    monkeypatch.setattr(finn.xsi, "_LAZY_NAMES", finn.xsi._LAZY_NAMES | {"step_rtlsim"})
    with pytest.raises(FinnError, match=r"finn-plus 1\.\S+: finn\.xsi has other functions, step_rtlsim; install"):
        xsi.install()
