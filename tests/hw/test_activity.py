"""Switching activity moves with the data as the hardware's structure says, and a build's activity.json adds up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.energy.fabric.estimate import FabricEnergy, estimate
from spikeclip_fpga.hw.activity.gates import Rates, compare, count_nets
from spikeclip_fpga.hw.activity.measure import Stimulus, key, measure_activity, summary, write
from spikeclip_fpga.hw.activity.netnames import nets
from spikeclip_fpga.hw.activity.nodes import ActivityError, Counts, accesses, owners
from spikeclip_fpga.hw.activity.saif import SaifFile, totals
from spikeclip_fpga.hw.ops.align import Align
from spikeclip_fpga.hw.ops.spike_mvau import SpikeMvau
from spikeclip_fpga.hw.simulate import STALLS, Model, build
from spikeclip_fpga.quantize import golden

from ..energy.fabric_cases import activity, node

VECTORS, STEPS = 32, 4


def matrix() -> tuple[SpikeMvau, dict[str, str]]:
    weight = np.clip(np.round(np.random.default_rng(0).normal(0, 3, (16, 48))), -8, 7).astype(np.int64)
    operator = SpikeMvau.fitted(weight, simd=6, pe=2, timesteps=STEPS, w_width=4)
    return operator, operator.files(weight)


def words(rate: float, seed: int = 1) -> np.ndarray:
    """Return (VECTORS, 48) words whose channels fire at rates of their own, as a network's do."""
    rng = np.random.default_rng(seed)
    rates = np.clip(rng.gamma(1, rate, (1, 48, 1)), 0, 1)
    return golden.pack((rng.random((VECTORS, 48, STEPS)) < rates).astype(np.int64))


@pytest.fixture(scope="module")
def mvau() -> Model:
    operator, _ = matrix()
    return build(operator.top, operator.sources, operator.parameters(), trace="saif", strict=False)


def rates(model: Model, vectors: np.ndarray) -> Rates:
    """Return what the matrix does in the second of three rounds of the vectors."""
    operator, files = matrix()
    cycles = operator.initiation_interval() * len(vectors)
    three = np.concatenate([vectors] * 3)
    outputs = {"out": len(three) * operator.nf}
    names = nets(operator.top, operator.sources, operator.parameters())
    data = operator.to_beats(three)
    return count_nets(model, files, data, outputs, window=(cycles, 2 * cycles), nets=names)


def test_activity_follows_the_spikes(mvau: Model) -> None:
    """Silent < sparse < real < all-spiking, and silent is not zero.

    The weights are read at the same pace whatever the spikes are: their ROM's output, the address and the counters
    change even when nothing fires. Spikes gate the weights before they are added, so that a silent step leaves the
    sums at rest; with every spike, all sums follow the weights. Between a half and all it saturates: then
    the sums change with nearly every line of weights anyway.
    """
    silent, sparse, real, full = (
        rates(mvau, each) for each in (words(0.2) * 0, words(0.05), words(0.2), words(0.2) * 0 + (1 << STEPS) - 1)
    )
    assert 0 < silent.toggles < 0.7 * sparse.toggles
    assert sparse.toggles < 0.75 * real.toggles
    assert real.toggles < 0.9 * full.toggles
    assert silent.bits == full.bits and silent.cycles == full.cycles


def test_the_order_of_frames_hardly_matters(mvau: Model) -> None:
    """Shuffled frames bring the same work; only what passes from one frame to the next differs."""
    real = words(0.2)
    shuffled = real[np.random.default_rng(3).permutation(VECTORS)]
    assert abs(rates(mvau, shuffled).toggles / rates(mvau, real).toggles - 1) < 0.01


def test_its_energy_follows_too_and_not_the_clock(mvau: Model) -> None:
    """Logic and signals grow with the spikes; the clock is there in silence too, and twice as fast costs the same."""

    def energy(vectors: np.ndarray, clk_mhz: float = 100.0) -> FabricEnergy:
        did = rates(mvau, vectors)
        matrix_node = node(
            bits=did.bits,
            toggles_per_frame=float(did.toggles),
            register_bits=None,
            register_toggles_per_frame=None,
            bram_accesses_per_frame=0.0,
            dsp_operations_per_frame=0.0,
        )
        return estimate(activity(matrix_node, frames=1, cycles_per_frame=float(did.cycles)), clk_mhz=clk_mhz)

    real = words(0.2)
    shuffled = real[np.random.default_rng(3).permutation(VECTORS)]
    streams = (real * 0, words(0.05), real, real * 0 + (1 << STEPS) - 1)
    silent, sparse, middle, full = (energy(each) for each in streams)
    by_spikes = [found.dynamic_nj.value for found in (silent, sparse, middle, full)]
    assert by_spikes == sorted(by_spikes) and by_spikes[0] < 0.9 * by_spikes[-1]
    assert silent.parts_nj["clock"] == full.parts_nj["clock"] and silent.parts_nj["clock"].value > 0
    assert energy(shuffled).dynamic_nj.value == pytest.approx(middle.dynamic_nj.value, rel=0.01)
    fast = energy(real, 200.0)
    assert fast.dynamic_nj == middle.dynamic_nj and fast.static_nj.value == middle.static_nj.value / 2
    assert fast.dynamic_w.value == pytest.approx(2 * middle.dynamic_w.value)


def test_silence_rests_what_spikes_gate_and_not_the_weights(mvau: Model, tmp_path: Path) -> None:
    """Sums of no weights rest. Accumulators do not: a weight counts 2^(W_WIDTH-1) too high in sc_gated_sum whether it
    is gated or not, so that without a spike they climb by a constant from their start to 0 in every vector.
    """
    operator, files = matrix()
    found = {}
    for name, vectors in (("silent", words(0.2) * 0), ("real", words(0.2))):
        path = tmp_path / f"{name}.saif"
        with mvau.open(files, trace=path) as simulation:
            simulation.run(
                operator.to_beats(vectors), {"out": VECTORS * operator.nf}, window=(100, 1000), seed=0, hold=True
            )
        with SaifFile(path) as saif:
            found[name] = {(s.scope, s.name): s.toggles for s in saif}
    for signal in ("sums_o", "acc_q"):
        places = [place for place in found["real"] if place[1] == signal]
        assert len(places) == operator.pe * STEPS
        assert all(found["silent"][place] < 0.75 * found["real"][place] for place in places)
        assert all((found["silent"][place] == 0) == (signal == "sums_o") for place in places)
    weights = [place for place in found["real"] if place[1] in ("weights_q", "line_q")]
    assert len(weights) == 2 and all(found["silent"][place] == found["real"][place] > 0 for place in weights)


def test_waiting_costs_next_to_nothing(mvau: Model) -> None:
    """Idle cycles change nothing: what stalls add is the handshakes that begin and end them."""
    operator, files = matrix()
    data, outputs = operator.to_beats(words(0.2)), {"out": VECTORS * operator.nf}
    names = nets(operator.top, operator.sources, operator.parameters())
    free = count_nets(mvau, files, data, outputs, nets=names)
    slow = count_nets(mvau, files, data, outputs, nets=names, stalls=STALLS["back_pressured"])
    assert slow.cycles > 1.5 * free.cycles
    assert 0.95 * free.toggles < slow.toggles < 1.1 * free.toggles


def test_the_clock_period_changes_no_count(mvau: Model, tmp_path: Path) -> None:
    operator, files = matrix()
    found = []
    for period in (4_000, 20_000):
        path = tmp_path / f"{period}.saif"
        with mvau.open(files, trace=path) as simulation:
            simulation.run(operator.to_beats(words(0.2)), {"out": VECTORS * operator.nf}, period_ps=period)
        found.append(totals(path))
    assert found[0] == found[1]


def test_gates_switch_about_as_often_as_signals() -> None:
    """A wide band: Yosys merges and splits nets, and the estimate's interval rests on how far the two are apart."""
    rng = np.random.default_rng(0)
    shift, bias = rng.integers(0, 3, 8), rng.integers(-500, 500, 8)
    operator = Align.fitted(shift, bias, pe=1, timesteps=2, low=-500, high=500)
    streams = operator.to_beats(rng.integers(-400, 500, (60, 8 * 2)))
    pair = compare(
        *(operator.top, operator.sources, operator.parameters(), operator.files(shift, bias), streams, {"out": 480})
    )
    assert pair.rtl.cycles == pair.gates.cycles == pair.gate_registers.cycles
    assert pair.lut > 20 and pair.gate_registers.bits == pair.ff > 20
    assert pair.gates.bits > pair.ff
    assert 0.4 < pair.ratio < 2.5


TOP = """  wire [7:0] A_rtl_0_out0_tdata;
  A_rtl_0 u_A_rtl_0 (
    .in0_V_TDATA(s_axis_0_tdata),
    .in0_V_TREADY(s_axis_0_tready),
    .out0_V_TDATA(A_rtl_0_out0_tdata),
    .out0_V_TREADY(A_rtl_0_out0_tready)
  );
  M_memstream_wrapper u_B_rtl_0_weights (
    .m_axis_0_tdata(B_rtl_0_weights_tdata),
    .m_axis_0_tready(B_rtl_0_weights_tready)
  );
  B_rtl_0 u_B_rtl_0 (
    .in0_V_TDATA(A_rtl_0_out0_tdata),
    .in0_V_TREADY(A_rtl_0_out0_tready),
    .in1_V_TDATA(B_rtl_0_weights_tdata),
    .in1_V_TREADY(B_rtl_0_weights_tready),
    .out0_V_TDATA(m_axis_0_tdata)
  );
"""


def test_a_net_between_nodes_is_its_drivers() -> None:
    instances, nets = owners(TOP, ["A_rtl_0", "B_rtl_0"])
    assert instances == {"u_A_rtl_0": "A_rtl_0", "u_B_rtl_0_weights": "B_rtl_0", "u_B_rtl_0": "B_rtl_0"}
    assert nets == {
        "s_axis_0_tdata": "A_rtl_0",
        "s_axis_0_tready": "A_rtl_0",
        "A_rtl_0_out0_tdata": "A_rtl_0",
        "A_rtl_0_out0_tready": "B_rtl_0",
        "B_rtl_0_weights_tdata": "B_rtl_0",
        "B_rtl_0_weights_tready": "B_rtl_0",
        "m_axis_0_tdata": "B_rtl_0",
    }
    with pytest.raises(ActivityError, match="u_B_rtl_0: an instance of no node"):
        owners(TOP.replace("B_rtl_0_weights", "A_rtl_0_weights"), ["A_rtl_0"])
    with pytest.raises(ActivityError, match="C_rtl_0: not in the RTL"):
        owners(TOP, ["A_rtl_0", "B_rtl_0", "C_rtl_0"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder as a build leaves it: 4x4x3 images, FINN's window generator and MVAU, a vector of 6."""
    pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")
    from spikeclip_fpga.hw.steps.simulation import make_rtl

    from .finn_graphs import Graph, finn_in, to_rtl

    folder = tmp_path_factory.mktemp("build")
    with finn_in(folder / "finn"):
        weights = np.random.default_rng(0).integers(-5, 6, (48, 6))
        model = to_rtl(Graph((1, 4, 4, 3)).windows(4, 1, 3).matrix(weights, 12, 2).model())
        job: Any = SimpleNamespace(rtl=folder / "rtl", say=lambda line: None)
        make_rtl(model, job)
        (folder / "intermediate_models").mkdir()
        model.save(str(folder / "intermediate_models" / "step_report.onnx"))
        (folder / "report").mkdir()
        subject = {"network": "small", "network_sha256": "0" * 64, "board": "pynq-z2", "part": "xc7z020clg400-1"}
        (folder / "report" / "build.json").write_text(json.dumps({**subject, "clk_mhz": 125.0}))
        yield folder


IMAGES = np.random.default_rng(5).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
SOURCE = Stimulus("random", "test", (0, 1, 2))


def changes(content: dict[str, Any]) -> dict[str, float]:
    return {node["name"]: node["toggles_per_frame"] for node in content["nodes"]}


def test_a_builds_activity_adds_up(built: Path, tmp_path: Path) -> None:
    """All nets belong to nodes; twice as many frames are the same per frame, since the stimulus repeats."""
    saif = tmp_path / "kept.saif"
    content = measure_activity(built, IMAGES, SOURCE, saif=saif)
    twice = measure_activity(built, IMAGES, SOURCE, frames=6)
    assert (content["frames"], twice["frames"]) == (3, 6)
    assert changes(content) == changes(twice) and content["cycles_per_frame"] == twice["cycles_per_frame"]
    nodes = {node["name"]: node for node in content["nodes"]}
    assert {"ConvolutionInputGenerator", "MVAU"} < {node["op"] for node in nodes.values()}
    assert all(0 < node["register_bits"] < node["bits"] for node in nodes.values())
    assert all(0 < n["register_toggles_per_frame"] < n["toggles_per_frame"] for n in nodes.values())
    # Six channels of 48 weights in 12 x 2: twelve cycles of the matrix a frame, in every DSP.
    (matrix_node,) = [node for node in nodes.values() if node["op"] == "MVAU"]
    assert matrix_node["dsp_operations_per_frame"] == 12 * matrix_node["dsp"] > 0
    assert sum(node["bits"] for node in nodes.values()) < totals(saif)["top"][0]
    path = write(content, tmp_path / "activity.json")
    assert json.loads(path.read_text()) == content
    assert not list(tmp_path.glob("*.part"))


def test_the_summary_gives_every_operators_share() -> None:
    nodes = [
        node(f"n{i}", op=op, toggles_per_frame=t) for i, (op, t) in enumerate((("A", 25.0), ("B", 60.0), ("A", 15.0)))
    ]
    *_, shares, whole = summary(activity(*nodes))
    assert shares == "of all changes: B 60.0 %, A 40.0 %"
    assert "3 nodes" in whole and "100 changes a frame" in whole


def test_a_builds_activity_moves_with_its_images(built: Path) -> None:
    """The same images in another order change little; a constant image changes least, noise most.

    A constant image is not silent: windows are addressed, weights are streamed and multiplied by the same pixel.
    """
    real, shuffled, still = (
        sum(changes(measure_activity(built, images, SOURCE)).values())
        for images in (IMAGES, IMAGES[[2, 0, 1]], np.full_like(IMAGES, 128))
    )
    assert abs(shuffled / real - 1) < 0.02
    assert 0.05 * real < still < 0.8 * real


def test_counts_of_synthesis_replace_the_models(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "synthesised"
    shutil.copytree(built, folder)
    modelled = {node["name"]: node for node in measure_activity(built, IMAGES, SOURCE)["nodes"]}
    counts = {
        name: {"lut": 100 + i, "ff": 10 + i, "bram18": 0, "dsp": node["dsp"] and 3}
        for i, (name, node) in enumerate(modelled.items())
    }
    path = folder / "report" / "synthesis.json"
    path.write_text(json.dumps({"nodes": counts}))
    content = measure_activity(folder, IMAGES, SOURCE)
    assert content["netlist"]["kind"].startswith("Yosys")
    for found in content["nodes"]:
        assert {name: found[name] for name in ("lut", "ff", "bram18", "dsp")} == counts[found["name"]]
        assert found["toggles_per_frame"] == modelled[found["name"]]["toggles_per_frame"]
    counts.popitem()
    path.write_text(json.dumps({"nodes": counts}))
    with pytest.raises(ActivityError, match=r"not in report/synthesis\.json"):
        measure_activity(folder, IMAGES, SOURCE)


def test_a_block_ram_counts_while_a_port_is_enabled() -> None:
    counts = Counts(enabled={"all": 5000.0})
    assert accesses("StreamingFIFO", counts, {"all": 2}, 100, 10.0) == 2 * 500
    assert accesses("MVAU", Counts(), {"all": 2}, 100, 10.0) == 2 * 100
    with pytest.raises(ActivityError, match="no enable of it"):
        accesses("StreamingFIFO", Counts(), {"all": 1}, 100, 10.0)


def test_the_key_follows_what_decides(built: Path) -> None:
    keys = {key(built, IMAGES, None), key(built, IMAGES, 6), key(built, IMAGES[:2], None), key(built, IMAGES + 1, None)}
    assert len(keys) == 4 and key(built, IMAGES.copy(), None) in keys


def test_what_is_no_finished_build_is_refused(built: Path, tmp_path: Path) -> None:
    with pytest.raises(ActivityError, match=r"build\.json: not of a finished build"):
        measure_activity(tmp_path, IMAGES, SOURCE)
    with pytest.raises(ActivityError, match="images: expected one or more of uint8, got int64"):
        measure_activity(built, IMAGES.astype(np.int64), SOURCE)
    with pytest.raises(ActivityError, match="frames: expected 1 or more, got 0"):
        measure_activity(built, IMAGES, SOURCE, frames=0)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "build.json").write_text((built / "report" / "build.json").read_text())
    with pytest.raises(ActivityError, match="build without --estimate-only"):
        key(tmp_path, IMAGES, None)
