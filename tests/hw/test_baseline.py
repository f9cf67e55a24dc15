"""A quantised ANN on FINN's operators: its cost adds up, its rate has a limit, its RTL computes the layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")

from spikeclip_fpga.hw import boards
from spikeclip_fpga.hw.baseline import BaselineCost, BaselineError, Layer, activity, cost, prices, random_layers
from spikeclip_fpga.hw.baseline.resources import requant, thresholding
from spikeclip_fpga.hw.stock_resources import lanes, mvau, mvau_dsp

from .finn_graphs import finn_in

FPS = 30_000.0
SUBJECT: dict[str, Any] = {
    "network": "small",
    "network_sha256": "0" * 64,
    "stimulus": {"data": "random", "split": "none", "images": [3, 5, 8]},
}


def small(**how: Any) -> list[Layer]:
    return random_layers(**{"image": 8, "channels": (4, 8), "blocks": 1, "embed": 12, "frames": 2, **how})


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("finn")
    with finn_in(folder):
        yield folder


@pytest.fixture(scope="module")
def found(work: Path) -> BaselineCost:
    return cost(small(), "pynq-z2", FPS, work=work)


def test_totals_are_the_sums_of_the_rows(found: BaselineCost) -> None:
    content = found.to_json()
    for name, total in content["resources"]["total"].items():
        assert total == sum(row[name] for row in content["layers"])
        assert total <= found.board.totals.get(name, total)
    assert content["frames_per_second"] >= FPS
    assert content["bottleneck"]["cycles"] == max(row["cycles"] for row in content["layers"])


def test_every_layer_has_a_row_with_its_multiplications(found: BaselineCost) -> None:
    rows = {row.layer: row for row in found.rows}
    for layer in small():
        assert rows[layer.name].op == "MVAU"
        folds = layer.matrix.size // (rows[layer.name].PE * rows[layer.name].SIMD)
        assert rows[layer.name].cycles == folds * np.prod(layer.out_size)
        assert rows[layer.name].operations == layer.multiplications
        assert layer.matrix.shape[1] > rows[layer.name].SIMD  # FINN's MVAU loses results there
    assert {row.op for row in found.rows} >= {"QuantAttention", "Thresholding", "SpikePool", "StreamingFIFO"}


def test_a_higher_rate_costs_no_less(work: Path, found: BaselineCost) -> None:
    faster = cost(small(), "pynq-z2", 2 * FPS, work=work)
    assert faster.cost >= found.cost
    assert faster.frames_per_second >= 2 * FPS
    assert faster.totals["dsp"] >= found.totals["dsp"]


def test_a_rate_no_folding_reaches_names_the_layer_and_its_limit(work: Path) -> None:
    with pytest.raises(
        BaselineError, match=r"tokenizer\.0.*fastest folding takes [\d,]+ cycles a frame, [\d,]+ frames"
    ):
        cost(small(), "pynq-z2", 5e6, work=work)
    with pytest.raises(BaselineError, match=r"pynq-z2: too small for .* needed, .* available \(1%"):
        cost(small(), "pynq-z2", FPS, share=0.01, work=work)


def test_what_is_no_layer_is_refused(work: Path) -> None:
    first, *others = small()
    with pytest.raises(BaselineError, match=r"tokenizer\.0: weights: expected -127 to 127, got -128"):
        dataclasses.replace(first, weight=np.full_like(first.weight, -128))
    with pytest.raises(BaselineError, match=r"tokenizer\.0: inputs: expected integers, got float64"):
        dataclasses.replace(first, inputs=first.inputs.astype(float))
    with pytest.raises(BaselineError, match=r"tokenizer\.0: no such layer"):
        cost(others, work=work)
    with pytest.raises(BaselineError, match="expected different names"):
        cost([first, first], work=work)


def test_products_of_a_dsp_follow_the_widths() -> None:
    """FINN says four to a DSP whatever the widths; its RTL, and Yosys on it, have these (PE 6, SIMD 3: 9 DSPs)."""
    part = boards.find("pynq-z2").part
    assert [lanes(w, a, part) for w, a in ((4, 3), (8, 3), (8, 8), (2, 2))] == [4, 2, 2, 8]
    assert mvau_dsp(6, 3, 8, 8, part) == 9
    assert mvau_dsp(4, 18, 4, 3, part) == 18
    assert mvau_dsp(8, 9, 8, 8, part) == 36


@pytest.mark.parametrize(
    ("sizes", "lut", "ff"),
    # Yosys (xc7) on FINN 1.6.1's mvu_vvu_axi: pe, simd, bits of weights, activations and sums, beats of a vector.
    [
        ((2, 36, 4, 3, 14, 6), 1212, 2282),
        ((12, 6, 4, 3, 14, 36), 1578, 2932),
        ((8, 9, 8, 8, 23, 24), 2258, 4808),
        ((4, 27, 8, 8, 24, 16), 3033, 4498),
    ],
)
def test_the_model_of_mvau_agrees_with_synthesis(sizes: tuple[int, ...], lut: int, ff: int) -> None:
    pe, simd, weight, activation, bits, beats = sizes
    made = mvau(pe, simd, weight, activation, bits, boards.find("pynq-z2").part, beats)
    # Yosys makes registers and muxes of the queue that the model counts as shift registers.
    depth, queue = 3 + simd.bit_length() + 1, pe * bits
    assert abs(made.lut - queue + queue * (depth - 1) / 3 - lut) <= 0.12 * lut
    assert abs(made.ff + queue * depth - ff) <= 0.25 * ff


def test_quantisers_grow_with_their_thresholds() -> None:
    three, four = thresholding(96, 1, 14, 3), thresholding(96, 1, 14, 4)
    assert four.lut > three.lut and four.ff > three.ff
    # 255 thresholds a channel are dearer than a multiplication.
    many, scaled = thresholding(192, 1, 20, 8), requant(192, 1, 20, 8)
    assert many.bram18 > 50 > scaled.bram18
    assert scaled.dsp == 1 and many.dsp == 0


def test_more_bits_take_more_of_everything(work: Path, found: BaselineCost) -> None:
    wide = cost(small(bits=8, weight_bits=8), "pynq-z2", FPS, work=work)
    for name in ("lut", "ff", "dsp"):
        assert wide.totals[name] > found.totals[name]
    assert {row.op for row in wide.rows} >= {"Requant"}


def test_a_simulated_matrix_is_numpys_and_takes_the_cycles_it_says(work: Path, found: BaselineCost) -> None:
    from qonnx.custom_op.registry import getCustomOp

    from spikeclip_fpga.hw.baseline.simulation import run
    from spikeclip_fpga.hw.passes.graph import layer_of

    layers = {layer.name: layer for layer in small()}
    node = next(node for node in found.model.graph.node if layer_of(node) == "tokenizer.1")
    layer = layers["tokenizer.1"]
    done = run(found.model, node, layer.windows(), found.board.part, found.clk_mhz, saif=True)
    np.testing.assert_array_equal(done.outputs, layer.accumulators())
    assert done.cycles_per_frame == getCustomOp(node).get_exp_cycles()
    silent = run(found.model, node, 0 * layer.windows(), found.board.part, found.clk_mhz, saif=True)
    assert 0 < silent.toggles_per_frame < done.toggles_per_frame
    assert silent.bits == done.bits > done.register_bits > 0


def test_thresholds_in_rtl_are_numpys(work: Path, found: BaselineCost) -> None:
    from spikeclip_fpga.hw.baseline.simulation import levels, quantised, run
    from spikeclip_fpga.hw.passes.graph import layer_of

    node = next(node for node in found.model.graph.node if layer_of(node) == "blocks.0.mlp.fc1.quantiser")
    sums = next(layer for layer in small() if layer.name == "blocks.0.mlp.fc1").accumulators()
    thresholds = levels(sums, 7)
    found.model.set_initializer(node.input[1], thresholds.astype(np.float32))
    done = run(found.model, node, sums, found.board.part, found.clk_mhz)
    np.testing.assert_array_equal(done.outputs, quantised(sums, thresholds))
    assert set(np.unique(done.outputs)) == set(range(8))


def test_a_product_of_three_bits_takes_dsps_where_spikes_take_luts(found: BaselineCost) -> None:
    rows = {row.layer: row for row in found.rows}
    for price in prices(small(), found):
        assert (price.lut, price.dsp) == (rows[price.layer].lut, rows[price.layer].dsp)
        assert price.dsp_per_product >= 0.25  # four lanes at most
        assert price.spike_lut_per_product * price.rate == price.spike_lut
    more = prices(small(), found, timesteps=8)
    assert all(eight.spike_lut > four.spike_lut for eight, four in zip(more, prices(small(), found), strict=True))


def test_activity_has_every_node_and_says_where_its_toggles_are_from(work: Path) -> None:
    first, last = small(channels=(4,), blocks=0, embed=6, frames=3)
    # Without windows and pool: few modules to compile.
    assert first.weight is not None
    layers = [dataclasses.replace(first, weight=first.weight[:, 1:2, 1:2], pad=0, pool=None), last]
    made = cost(layers, "pynq-z2", 20_000, work=work)
    content = activity(layers, made, frames=2, work=work, **SUBJECT)
    assert content["subject"]["family"] == "7series"
    assert content["stimulus"]["images"] == [3, 5]
    assert content["cycles_per_frame"] == made.cycles
    nodes = {node["name"]: node for node in content["nodes"]}
    assert len(nodes) == len(made.rows)
    for row in made.rows:
        node = nodes[row.layer]
        assert (node["lut"], node["ff"], node["dsp"], node["bram18"]) == (row.lut, row.ff, row.dsp, row.bram18)
        assert node["bits"] > 0 and node["toggles_per_frame"] >= 0
    assert nodes["tokenizer.0"]["how"] == nodes["tokenizer.0.to_grid"]["how"] == "simulated"
    matrix = next(row for row in made.rows if row.layer == "tokenizer.0")
    assert nodes["tokenizer.0"]["dsp_operations_per_frame"] == matrix.cycles * matrix.dsp
    assert nodes["readout.lif_in"]["how"].startswith("as Align here, per LUT")
    reference = {"cycles_per_frame": 10, "nodes": [{"op": "Requant", "lut": 3, "ff": 2, "toggles_per_frame": 25.0}]}
    given = activity(layers, made, frames=2, work=work, reference=reference, **SUBJECT)
    node = next(node for node in given["nodes"] if node["name"] == "readout.lif_in")
    assert node["how"].startswith("as Requant of the spiking network")
    # Half of its LUTs and registers change in a cycle.
    assert node["toggles_per_frame"] == pytest.approx(0.5 * (node["lut"] + node["ff"]) * made.cycles)
    with pytest.raises(BaselineError, match=r"tokenizer\.0: 4 frames asked, inputs of 3"):
        activity(layers, made, frames=4, work=work, **SUBJECT)
