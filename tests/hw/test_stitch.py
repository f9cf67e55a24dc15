"""A stitched graph of FINN's nodes gives in Verilator, with real FIFOs and stalls, what FINN gives in Python."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")

from spikeclip_fpga.hw.finn_rtl import RtlError
from spikeclip_fpga.hw.network_sim import simulate
from spikeclip_fpga.hw.simulate import STALLS, Gate, SimulationError, Stalls, build
from spikeclip_fpga.hw.stitch import stitch

from .finn_graphs import Graph, execute, finn_in, to_rtl

FRAMES = 3


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("finn")
    with finn_in(folder):
        yield folder


class Network:
    """Two convolutions, in between streams of other widths, as FINN executes them and as RTL."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        graph = Graph((1, 6, 6, 3)).pad(1, 3).windows(3, 1, 3).matrix(rng.integers(-3, 4, (27, 8)), 9, 2)
        graph.windows(3, 1, 4).matrix(rng.integers(-3, 4, (72, 6)), 8, 3)
        self.python = graph.model()
        self.rtl = to_rtl(self.python)
        self.images = rng.integers(-128, 128, (FRAMES, 6, 6, 3))
        self.expected = execute(self.python, self.images)


@pytest.fixture(scope="module")
def network(finn: Path) -> Network:
    return Network()


@pytest.mark.parametrize("pattern", STALLS)
def test_frames_back_to_back_equal_finns_python(network: Network, tmp_path: Path, pattern: str) -> None:
    kinds = {node.op_type for node in network.rtl.graph.node}
    assert {"FMPadding_rtl", "MVAU_rtl", "StreamingFIFO_rtl", "StreamingDataWidthConverter_rtl"} <= kinds
    stitched = stitch(network.rtl, tmp_path)
    for seed in range(2):
        run = simulate(stitched, network.rtl, network.images, stalls=STALLS[pattern], seed=seed)
        np.testing.assert_array_equal(run.outputs, network.expected)
        assert run.outputs.dtype == np.int64 and not run.fills
    if pattern == "none":
        # The slowest stage sets the rate: 36 vectors of 3 x 4 beats, or 16 of 9 x 2, or 16 windows of 9 x 2 beats.
        assert 36 * 12 <= run.initiation_interval <= 36 * 12 + 30
        assert run.initiation_interval < run.latency < 4 * run.initiation_interval
        assert run.cycles_per_second > 0


def test_our_nodes_and_finns_work_in_one_graph(tmp_path: Path) -> None:
    rng, steps = np.random.default_rng(1), 4
    graph = Graph((1, 6, 6, 3)).pad(1, 3).windows(3, 1, 3).matrix(rng.integers(-127, 128, (27, 8)), 9, 2)
    graph.lif(rng.integers(2000, 20000, 8), 4, steps, broadcast=1)
    graph.windows(3, 1, 8).spike_matrix(rng.integers(-7, 8, (6, 72)), 24, 3, steps).lif(
        rng.integers(2, 30, 6), 2, steps
    )
    model = graph.model()
    rtl = to_rtl(model)
    images = rng.integers(-128, 128, (FRAMES, 6, 6, 3))
    expected = execute(model, images)
    assert 0 < expected.mean() < 15
    stitched = stitch(rtl, tmp_path, probes=True)
    assert len(stitched.files) == 4
    for pattern in ("none", "bursts"):
        run = simulate(stitched, rtl, images, stalls=STALLS[pattern], seed=1)
        np.testing.assert_array_equal(run.outputs, expected)


def test_the_plain_top_has_streams_only_and_its_folder_can_be_moved(network: Network, tmp_path: Path) -> None:
    stitch(network.rtl, tmp_path / "rtl", top="before", gauge=True)
    stitched = stitch(network.rtl, tmp_path / "rtl", top="net")
    assert not (tmp_path / "rtl" / "before.v").exists() and not (tmp_path / "rtl" / "sc_fifo_gauge.sv").exists()
    moved = tmp_path / "elsewhere"
    shutil.move(tmp_path / "rtl", moved)
    sources = [moved / line for line in (moved / "sources.f").read_text().split()]
    assert sources[-1].name == "net.v" and all(path.is_file() for path in sources)
    for path in moved.iterdir():
        assert str(tmp_path) not in path.read_text() and "/" not in path.name
    model = build("net", sources, strict=False)
    assert not model.interface.probes and not model.interface.unconnected
    assert {p.name: p.width for p in model.interface.inputs} == stitched.inputs == {"s_axis_0": 24}
    assert {p.name: p.width for p in model.interface.outputs} == stitched.outputs
    files = {path.name: path.read_text() for path in moved.glob("*.mem")}
    assert files == stitched.files and len(files) == 2
    run = simulate(replace(stitched, sources=tuple(sources), folder=moved), network.rtl, network.images)
    np.testing.assert_array_equal(run.outputs, network.expected)


def test_gauges_tell_the_most_beats_held(network: Network, tmp_path: Path) -> None:
    stitched = stitch(network.rtl, tmp_path, gauge=True)
    assert [f.name for f in stitched.fifos] == [n.name for n in network.rtl.graph.node if "FIFO" in n.op_type]
    fills = {}
    for period in (500, 1000):
        run = simulate(stitched, network.rtl, network.images, period=period)
        np.testing.assert_array_equal(run.outputs, network.expected)
        assert run.initiation_interval == period
        assert set(run.fills) == {f.name for f in stitched.fifos} and min(run.fills.values()) >= 1
        fills[period] = sum(run.fills.values())
    assert fills[1000] < fills[500]  # a slower source piles up less
    with pytest.raises(RtlError, match="gauge and probes exclude each other"):
        stitch(network.rtl, tmp_path, gauge=True, probes=True)


def test_a_gauge_that_fills_up_is_an_error(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikeclip_fpga.hw.stitch._GAUGE_BEATS", 2)
    monkeypatch.setattr("spikeclip_fpga.hw.stitch._GAUGE_FRAMES", 1)
    stitched = stitch(network.rtl, tmp_path, gauge=True)
    many = np.repeat(network.images, 4, axis=0)
    with pytest.raises(SimulationError, match=r"gauge StreamingFIFO_rtl_\d was full at \d+ beats; offer the frames"):
        simulate(stitched, network.rtl, many)


def test_a_stuck_network_names_the_stream_and_the_fullest_fifos(network: Network, tmp_path: Path) -> None:
    stitched = stitch(network.rtl, tmp_path, probes=True)
    run = simulate(stitched, network.rtl, network.images)
    np.testing.assert_array_equal(run.outputs, network.expected)
    assert set(run.fills.values()) == {0}
    with pytest.raises(SimulationError) as error:  # all went through, and one more frame is waited for
        simulate(stitched, network.rtl, network.images, expected_frames=FRAMES + 1)
    message = str(error.value)
    assert "output m_axis_0 did 96 of 128 beats; FIFOs: " in message and "0/2" in message and "\n" not in message
    closed = Stalls(outputs=Gate(rate=(1, 10**9)))  # takes one beat, then none
    with pytest.raises(SimulationError) as error:
        simulate(stitched, network.rtl, network.images, stalls=closed)
    message = str(error.value)
    assert "input s_axis_0 did" in message and "output m_axis_0 did 1 of 96 beats; FIFOs: " in message
    shown = message.split("FIFOs: ")[1].split(", ")
    levels = [int(count) / int(depth) for count, depth in (level.split()[1].split("/") for level in shown)]
    assert len(shown) == min(8, len(stitched.fifos)) and levels == sorted(levels, reverse=True) and levels[0] >= 1


def test_images_of_another_shape_type_or_range_are_refused(network: Network, tmp_path: Path) -> None:
    stitched = stitch(network.rtl, tmp_path)
    with pytest.raises(RtlError, match=r"expected integers \(N, 6, 6, 3\), got int64 \(3, 3, 6, 6\)"):
        simulate(stitched, network.rtl, network.images.reshape(3, 3, 6, 6))
    with pytest.raises(RtlError, match=r"expected integers \(N, 6, 6, 3\), got float64"):
        simulate(stitched, network.rtl, network.images.astype(float))
    with pytest.raises(RtlError, match=r"expected INT8, -128 to 127, got -128 to 300"):
        wrong = network.images.copy()
        wrong[0, 0, 0, 0], wrong[0, 0, 0, 1] = 300, -128
        simulate(stitched, network.rtl, wrong)


def small() -> Graph:
    return Graph((1, 3, 3, 4)).pad(1, 4).pad(1, 4)


def test_streams_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    narrow = to_rtl(Graph((1, 3, 3, 4)).pad(1, 4).pad(1, 2).model(), streams=False)
    message = r"FMPadding_rtl_0 gives 32 bits per beat, FMPadding_rtl_1 takes 16 \(tensor0\); run InsertDWC"
    with pytest.raises(RtlError, match=message):
        stitch(narrow, tmp_path)
    with pytest.raises(RtlError, match=r"FMPadding_\d: FMPadding is no RTL node; run SpecializeLayers"):
        stitch(small().model(), tmp_path)


def test_a_tensor_read_twice_is_refused(tmp_path: Path) -> None:
    model = to_rtl(small().model(), streams=False)
    model.graph.output.append(model.graph.value_info[0])
    message = r"FMPadding_rtl_0: its output tensor0 is read by FMPadding_rtl_1 and m_axis_1; copy a stream with a Fork"
    with pytest.raises(RtlError, match=message):
        stitch(model, tmp_path)
    model = to_rtl(small().model(), streams=False)
    model.graph.node[1].input[0] = model.graph.input[0].name
    model.graph.output.append(model.graph.value_info[0])
    with pytest.raises(RtlError, match="graph input image is read by FMPadding_rtl_0 and FMPadding_rtl_1; copy"):
        stitch(model, tmp_path)
    model = to_rtl(small().model(), streams=False)
    model.graph.node.pop()
    with pytest.raises(RtlError, match=r"FMPadding_rtl_0: nothing reads its output tensor0$"):
        stitch(model, tmp_path)


def test_nodes_without_hdl_or_with_equal_modules_are_refused(tmp_path: Path) -> None:
    from qonnx.custom_op.registry import getCustomOp

    model = to_rtl(small().model(), streams=False)
    first, second = (getCustomOp(node) for node in model.graph.node)
    module = second.get_nodeattr("gen_top_module")
    second.set_nodeattr("gen_top_module", first.get_nodeattr("gen_top_module"))
    with pytest.raises(RtlError, match="two nodes have module FMPadding_rtl_0; run GiveUniqueNodeNames"):
        stitch(model, tmp_path)
    second.set_nodeattr("gen_top_module", module)
    with pytest.raises(RtlError, match="a node's module has this name too"):
        stitch(model, tmp_path, top="FMPadding_rtl_0")
    second.set_nodeattr("gen_top_module", "")
    with pytest.raises(RtlError, match="FMPadding_rtl_1: no HDL was generated; run PrepareIP"):
        stitch(model, tmp_path)


def test_a_memory_file_with_too_few_lines_is_an_error(network: Network, tmp_path: Path) -> None:
    stitched = stitch(network.rtl, tmp_path)
    name, text = next(iter(stitched.files.items()))
    short = {**stitched.files, name: "\n".join(text.split()[:-1]) + "\n"}
    with pytest.raises(SimulationError, match=rf"{name}.*ended before"):
        simulate(replace(stitched, files=short), network.rtl, network.images)


def test_several_streams_at_the_top_are_not_simulated_by_guess(network: Network, tmp_path: Path) -> None:
    stitched = stitch(network.rtl, tmp_path)
    two: Any = replace(stitched, inputs={"s_axis_0": 24, "s_axis_1": 24})
    with pytest.raises(RtlError, match="expected one input and one output, got 2 and 1"):
        simulate(two, network.rtl, network.images)
