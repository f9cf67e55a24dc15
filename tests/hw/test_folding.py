"""Foldings are legal, connect, are cheapest for their rate, and say what limits them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")

from spikeclip_fpga.hw import boards
from spikeclip_fpga.hw.folding import Folding, FoldingError, fold
from spikeclip_fpga.hw.folding.search import Search
from spikeclip_fpga.hw.folding.solve import cheapest

from .finn_graphs import finn_in

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
BOARD = boards.find("pynq-z2")
RATES = (150, 1000, 2500, 4000)
STOCK = ("FMPadding", "ConvolutionInputGenerator", "MVAU")
# Of the board, so that not the network but the board sets the fastest rate.
HALF = 0.5
# What PE and SIMD must divide, by attribute of the node; an attention's PE is part of a head.
WHOLE = {"MVAU": ("MH", "MW"), "SpikeMVAU": ("MH", "MW"), "ConvolutionInputGenerator": ("", "IFMChannels")}


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with finn_in(tmp_path_factory.mktemp("finn")):
        import spikeclip_fpga.hw.ops.nodes  # noqa: F401

        yield


@pytest.fixture(scope="module")
def tiny(finn: None) -> Any:
    """Return tiny as RTL nodes that are not folded."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.general import GiveUniqueNodeNames

    from spikeclip_fpga.hw.passes import steps
    from spikeclip_fpga.hw.passes.specialize import Specialize

    model = ModelWrapper(str(ARTIFACTS / "tiny.int.onnx"))
    for _, step in steps(4):
        model = model.transform(step)
    return model.transform(GiveUniqueNodeNames()).transform(Specialize(BOARD.part))


@pytest.fixture(scope="module")
def folded(tiny: Any) -> dict[int, Folding]:
    return {fps: fold(tiny, BOARD, fps=fps) for fps in RATES}


@pytest.fixture(scope="module")
def fastest(tiny: Any) -> Folding:
    return fold(tiny, BOARD, share=HALF)


@pytest.fixture(scope="module")
def search(tiny: Any) -> Search:
    return Search(tiny, BOARD, 0.75, {})


def custom(model: Any) -> dict[str, Any]:
    from qonnx.custom_op.registry import getCustomOp

    return {node.name: getCustomOp(node) for node in model.graph.node}


# The solver.


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[np.ndarray], dict[tuple[int, int], np.ndarray]]:
    """Return any graph of up to five nodes with up to three choices, some of which do not go together."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    cost = st.one_of(st.integers(0, 20).map(float), st.just(np.inf))
    nodes = [np.array(draw(st.lists(st.integers(0, 20).map(float), min_size=n, max_size=n))) for n in sizes]
    pairs = {}
    for i, j in itertools.combinations(range(len(sizes)), 2):
        if draw(st.booleans()):
            count = sizes[i] * sizes[j]
            way = (i, j) if draw(st.booleans()) else (j, i)
            table = np.array(draw(st.lists(cost, min_size=count, max_size=count)))
            pairs[way] = table.reshape(sizes[way[0]], sizes[way[1]])
    return nodes, pairs


@given(problems())
def test_the_solver_finds_what_trying_everything_finds(
    problem: tuple[list[np.ndarray], dict[tuple[int, int], np.ndarray]],
) -> None:
    nodes, pairs = problem

    def price(choice: tuple[int, ...]) -> float:
        together = sum(float(table[choice[i], choice[j]]) for (i, j), table in pairs.items())
        return together + sum(float(cost[k]) for cost, k in zip(nodes, choice, strict=True))

    least = min(price(choice) for choice in itertools.product(*(range(len(cost)) for cost in nodes)))
    found, choice = cheapest(nodes, pairs)
    assert found == least
    if np.isfinite(least):
        assert price(tuple(choice)) == least


# What is chosen.


@pytest.mark.parametrize("fps", RATES)
def test_every_choice_is_legal(fps: int, folded: dict[int, Folding], tiny: Any) -> None:
    nodes = custom(tiny)
    assert [node.name for node in folded[fps].nodes] == list(nodes)
    for found in folded[fps].nodes:
        node = nodes[found.name]
        of_pe, of_simd = WHOLE.get(found.op, ("NumChannels", "NumChannels"))
        pe, simd = found.attributes.get("PE"), found.attributes.get("SIMD")
        assert ("PE" in node.get_nodeattr_types()) == (pe is not None)
        assert ("SIMD" in node.get_nodeattr_types()) == (simd is not None)
        if pe is not None:
            whole = node.get_nodeattr(of_pe)
            assert (whole // node.get_nodeattr("heads") if found.op == "SpikeAttention" else whole) % int(pe) == 0
        if simd is not None:
            assert node.get_nodeattr(of_simd) % int(simd) == 0
            assert found.op != "MVAU" or simd != node.get_nodeattr("MW")


@pytest.mark.parametrize("fps", RATES)
def test_cycles_and_resources_are_the_nodes_own(fps: int, folded: dict[int, Folding], tiny: Any) -> None:
    from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer

    folding = folded[fps]
    model = folding.apply(tiny)
    assert model.analysis(exp_cycles_per_layer) == {node.name: node.cycles for node in folding.nodes}
    assert folding.cycles == max(node.cycles for node in folding.nodes) <= 100e6 / fps
    assert folding.frames_per_second >= fps
    nodes = custom(model)
    for found in folding.nodes:
        estimate = nodes[found.name].node_res_estimation(BOARD.part)
        finns = {"lut": "LUT", "bram18": "BRAM_18K", "dsp": "DSP", "uram": "URAM"}
        expected = {name: round(estimate[key]) for name, key in finns.items()}
        if found.op in STOCK:
            # FINN's LUTs and block RAMs are not taken: hw.stock_resources has measured ones.
            assert found.resources["lut"] > 50
            expected |= {name: found.resources[name] for name in ("lut", "bram18")}
        if found.op == "MVAU":
            # FINN counts four products to a DSP48E1; of 8 times 8 bits its ports hold two.
            expected["dsp"] = -(-int(found.attributes["PE"]) // 2) * int(found.attributes["SIMD"])
        assert found.resources == expected


@pytest.mark.parametrize("fps", RATES)
def test_finn_connects_it_with_the_converters_counted_and_no_hls(
    fps: int, folded: dict[int, Folding], tiny: Any
) -> None:
    from finn.transformation.fpgadataflow.insert_dwc import InsertDWC

    from spikeclip_fpga.hw.passes.specialize import Specialize

    folding = folded[fps]
    model = folding.apply(tiny).transform(InsertDWC()).transform(Specialize(BOARD.part))
    nodes = custom(model)
    between = [
        (node.get_nodeattr("inWidth"), node.get_nodeattr("outWidth"))
        for node in nodes.values()
        if node.onnx_node.op_type == "StreamingDataWidthConverter_rtl"
    ]
    assert sorted(between) == sorted((c.bits_in, c.bits_out) for c in folding.width_converters)
    assert all(node.onnx_node.op_type.endswith("_rtl") for node in nodes.values())
    # Every stream has one width at both of its ends.
    for node in nodes.values():
        for i, name in enumerate(node.onnx_node.output):
            for reader in model.find_consumers(name):
                at = list(reader.input).index(name)
                assert node.get_outstream_width(i) == nodes[reader.name].get_instream_width(at), reader.name


@pytest.mark.parametrize("fps", RATES)
def test_a_pool_takes_as_many_channels_as_its_windows_give(fps: int, folded: dict[int, Folding], tiny: Any) -> None:
    chosen = {node.name: node for node in folded[fps].nodes}
    pools = [node for node in tiny.graph.node if node.op_type == "SpikePool_rtl"]
    assert len(pools) == 3
    for pool in pools:
        windows = tiny.find_producer(pool.input[0])
        assert windows.op_type == "ConvolutionInputGenerator_rtl"
        assert chosen[pool.name].attributes["PE"] == chosen[windows.name].attributes["SIMD"]


def test_totals_are_the_sum_of_all_parts(folded: dict[int, Folding]) -> None:
    for folding in folded.values():
        for name, total in folding.totals.items():
            nodes = sum(node.resources[name] for node in folding.nodes)
            assert total == pytest.approx(nodes + folding.converters[name] + folding.fifos[name], abs=2)
            assert total <= 0.75 * BOARD.totals[name]


def test_more_frames_never_take_more_cycles_nor_less_of_the_board(search: Search, folded: dict[int, Folding]) -> None:
    cycles = [folded[fps].cycles for fps in RATES]
    assert cycles == sorted(cycles, reverse=True)
    prices = np.ones(4)
    limits = np.where(search.limits > 0, search.limits, np.inf)
    plans = [search.cheapest(int(100e6 / fps), prices) for fps in RATES]
    costs = [float((plan.total / limits).sum()) for plan in plans if plan]
    assert len(costs) == len(RATES)
    assert costs == sorted(costs)


def test_the_nodes_take_little_more_than_each_alone_at_its_cheapest(search: Search, folded: dict[int, Folding]) -> None:
    """Alone is the least any folding can take; the rest is what spares converters and FIFOs."""
    for fps, folding in folded.items():
        alone = 0.0
        for found in search.choices:
            reach = found.resources[found.cycles <= 100e6 / fps]
            alone += float((reach[:, :3] / search.limits[:3]).sum(1).min())
        taken = sum(node.resources[name] / limit for node in folding.nodes
                    for name, limit in zip(("lut", "bram18", "dsp"), search.limits, strict=False))  # fmt: skip
        assert alone <= taken <= 1.25 * alone


def test_the_skip_around_attention_holds_more_than_a_frame(search: Search) -> None:
    skips = [s for s in search.streams if s.sink is not None and search.ops[s.sink] == "ResidualAdd_rtl" and s.held > 0]
    # Two blocks, each with a skip around attention (q k v and projection) and one around its two matrices.
    assert [round(s.held, 6) for s in skips] == [1 + 2 / 16, 2 / 16] * 2
    held = skips[0].depth(4) * 4
    assert held >= skips[0].elements * 1.125
    others = [s for s in search.streams if s not in skips]
    assert all(s.held == 0 for s in others if s.sink is None or search.ops[s.sink] != "ResidualAdd_rtl")


def test_memories_are_counted_where_they_are_put(search: Search) -> None:
    for op in ("MVAU_rtl", "ConvolutionInputGenerator_rtl"):
        found = search.choices[search.ops.index(op)]
        in_lut = np.array([row["ram_style"] == "distributed" for row in found.attributes])
        assert in_lut.sum() == (~in_lut).sum() > 1
        assert (found.resources[in_lut, 1] == 0).all()
        assert (found.resources[~in_lut, 1] > 0).all()
        assert (found.resources[in_lut, 0] > found.resources[~in_lut, 0]).all()
    # The last matrix has 288 kb of weights: no choice puts them in LUTs for nothing.
    last = search.choices[len(search.ops) - 1 - search.ops[::-1].index("MVAU_rtl")]
    assert min(r[0] for r, row in zip(last.resources, last.attributes, strict=True)
               if row["ram_style"] == "distributed") > 96 * 384 * 8 / 64  # fmt: skip


def test_a_matrix_never_takes_a_whole_vector_in_a_beat(search: Search) -> None:
    matrices = [i for i, op in enumerate(search.ops) if op == "MVAU_rtl"]
    taken = [sorted({row["SIMD"] for row in search.choices[i].attributes}) for i in matrices]
    assert taken == [[1, 3, 9], [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48]]


# As fast as fits.


def test_the_fastest_fits_and_the_next_faster_does_not(tiny: Any, fastest: Folding) -> None:
    search = Search(tiny, BOARD, HALF, {})
    limits = np.unique(np.concatenate([found.cycles for found in search.choices]))
    assert all(n <= HALF * BOARD.totals[name] for name, n in fastest.totals.items())
    quicker = limits[(limits < fastest.cycles) & (limits >= search.floor()[0])]
    assert len(quicker) >= 3
    plans = [search.cheapest(int(limit)) for limit in quicker[-3:]]
    assert not any(plan is not None and search.fits(plan) for plan in plans)


def test_a_larger_share_is_never_slower(tiny: Any, fastest: Folding) -> None:
    smaller, whole = fold(tiny, BOARD, share=0.4), fold(tiny, BOARD, share=1.0)
    assert smaller.cycles > fastest.cycles > whole.cycles


def test_a_larger_board_is_faster_and_reaches_the_slowest_layers_limit(
    tiny: Any, fastest: Folding, search: Search
) -> None:
    from spikeclip_fpga.hw.passes.specialize import Specialize

    card = boards.find("u250")
    folding = fold(tiny.transform(Specialize(card.part)), card)
    assert folding.cycles < fastest.cycles
    assert folding.cycles == search.floor()[0]
    assert folding.faster.startswith("no folding is faster: tokenizer.")


# In words.


def test_the_bottleneck_is_named_with_its_cycles(folded: dict[int, Folding], tiny: Any) -> None:
    for folding in folded.values():
        slowest = next(node for node in folding.nodes if node.cycles == folding.cycles)
        assert slowest.layer in folding.bottleneck
        assert slowest.name in folding.bottleneck
        assert f"{folding.cycles:,}" in folding.bottleneck
        said = re.search(r"the next faster folding, ([\d,]+) frames/s", folding.faster)
        assert said is not None
        assert int(said[1].replace(",", "")) > folding.frames_per_second
    layers = [node.layer for node in folded[2500].nodes]
    assert "readout" in " ".join(layers)
    assert "estimated" in folded[2500].summary()[-1]
    explained = folded[2500].explained()
    assert json.loads(json.dumps(explained)) == explained
    assert explained["fifos"]["kind"] == "estimate"


def test_the_table_has_a_line_for_every_node(folded: dict[int, Folding]) -> None:
    lines = folded[2500].table().splitlines()
    assert len(lines) == 1 + len(folded[2500].nodes)
    for line, node in zip(lines[1:], folded[2500].nodes, strict=True):
        assert line.split()[:2] == [node.layer, node.op]
        assert f"{node.cycles:,}" in line


# The folding file.


def test_the_file_goes_through_finns_apply_config(tiny: Any, fastest: Folding, tmp_path: Path) -> None:
    from finn.transformation.general import ApplyConfig

    path = tmp_path / "folding.json"
    path.write_text(json.dumps(fastest.to_json()))
    assert list(fastest.to_json()) == ["Defaults", *custom(tiny)]
    through_file = custom(tiny.transform(ApplyConfig(path)))
    applied = custom(fastest.apply(tiny))
    for found in fastest.nodes:
        for name, value in found.attributes.items():
            assert through_file[found.name].get_nodeattr(name) == applied[found.name].get_nodeattr(name) == value
    assert all(node.get_nodeattr("PE") == 1 for name, node in custom(tiny).items() if name.startswith("SpikeMVAU"))
    again = fold(tiny, BOARD, share=HALF, config=path)
    assert again.nodes == fastest.nodes
    assert again.totals == fastest.totals


def test_what_the_file_leaves_open_is_chosen(tiny: Any) -> None:
    config = {"Defaults": {"PE": [2, ["LIF_rtl"]]}, "SpikeMVAU_rtl_0": {"PE": 16}, "MVAU_rtl_0": {"ram_style": "auto"}}
    folding = fold(tiny, BOARD, fps=1000, config=config)
    chosen = {node.name: node for node in folding.nodes}
    assert chosen["SpikeMVAU_rtl_0"].attributes["PE"] == 16
    assert {node.attributes["PE"] for node in folding.nodes if node.op == "LIF"} == {2}
    assert chosen["MVAU_rtl_0"].attributes["ram_style"] in ("distributed", "block")
    assert folding.frames_per_second >= 1000


def test_the_folded_graph_computes_the_same(tiny: Any, fastest: Folding) -> None:
    from spikeclip_fpga.hw.passes import execute
    from spikeclip_fpga.quantize import network

    golden = network.load(ARTIFACTS / "tiny.int.safetensors")
    image = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    expected = golden.run(image)
    assert len(np.unique(expected)) > 16
    np.testing.assert_array_equal(execute(fastest.apply(tiny), golden.pixels(image)), expected)


# What is refused.


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"SpikeMVAU_rtl_2": {"PE": 5}},
            "folding: SpikeMVAU_rtl_2: PE 5 does not divide MH 96; "
            "choose among 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 96",
        ),
        (
            {"MVAU_rtl_0": {"SIMD": 27}},
            "folding: MVAU_rtl_0: SIMD 27 is all of MW, with which FINN's MVAU loses results when its output waits; "
            "choose among 1, 3, 9",
        ),
        (
            {"SpikeAttention_rtl_0": {"PE": 24}},
            "folding: SpikeAttention_rtl_0: PE 24 does not divide head_dim 12; choose among 1, 2, 3, 4, 6, 12",
        ),
        ({"LIF_rtl_0": {"SIMD": 2}}, "folding: LIF_rtl_0: LIF_rtl has no SIMD; it is folded by PE"),
        ({"LIF_rtl_0": {"PE": "2"}}, "folding: LIF_rtl_0: PE: expected a whole number, got '2'"),
        ({"LIF_rtl_0": 2}, "folding: LIF_rtl_0: expected attributes, as in {'PE': 2}, got 2"),
        ({"LIF_rtl_99": {"PE": 2}}, "folding: LIF_rtl_99: no such node; the graph has FMPadding_rtl_0, "),
        (
            {"MVAU_rtl_0": {"ram_style": "ultra"}},
            "folding: MVAU_rtl_0: ram_style ultra: choose among distributed, block",
        ),
        (
            {"ConvolutionInputGenerator_rtl_0": {"parallel_window": 1}},
            "folding: ConvolutionInputGenerator_rtl_0: parallel_window is 0 in this graph and no folding changes it",
        ),
        ({"Defaults": {"PE": [2]}}, "folding: Defaults: PE: expected [value, operators ...], got [2]"),
        (
            {"SpikePool_rtl_0": {"PE": 4}, "ConvolutionInputGenerator_rtl_1": {"SIMD": 2}},
            "SpikePool_rtl_0: takes 4 elements per beat, but ConvolutionInputGenerator_rtl_1, whose windows it reads, "
            "gives 2; a pool takes as many as its windows have",
        ),
    ],
)
def test_an_impossible_folding_file_is_refused(config: dict[str, Any], message: str, tiny: Any) -> None:
    with pytest.raises(FoldingError, match=f"^{re.escape(message)}") as error:
        fold(tiny, BOARD, fps=100, config=config)
    assert "\n" not in str(error.value)


def test_an_unreadable_folding_file_is_refused(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(FoldingError, match="cannot be read"):
        fold(tiny, BOARD, config=tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(FoldingError, match="no JSON"):
        fold(tiny, BOARD, config=tmp_path / "broken.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(FoldingError, match="got a list"):
        fold(tiny, BOARD, config=tmp_path / "list.json")


def test_a_rate_no_folding_reaches_names_the_layer(tiny: Any) -> None:
    with pytest.raises(FoldingError) as error:
        fold(tiny, boards.find("pynq-z2"), fps=50_000)
    message = str(error.value)
    said = re.fullmatch(
        r"tokenizer\S+ \(\w+_rtl_\d+.*\): its fastest folding takes ([\d,]+) cycles a frame, "
        r"([\d,]+) frames/s at 100 MHz; 50,000 asked: ask for less, or for a clock of (\d+) MHz",
        message,
    )
    assert said is not None, message
    cycles, rate, clock = (int(n.replace(",", "")) for n in said.groups())
    assert rate == round(100e6 / cycles)
    assert clock * 1e6 / cycles >= 50_000 > (clock - 1) * 1e6 / cycles


def test_a_board_too_small_says_what_is_short_and_what_fits(tiny: Any) -> None:
    with pytest.raises(FoldingError) as error:
        fold(tiny, BOARD, fps=8000, share=0.4)
    message = str(error.value)
    said = re.search(r"([\d,]+) LUT needed, 21,280 available \(40% of 53,200\), ([\d,]+) too many", message)
    assert said is not None, message
    needed, over = (int(n.replace(",", "")) for n in said.groups())
    assert needed - over == 21_280
    assert message.startswith("pynq-z2: too small for 8,000 frames/s at 100 MHz: ")
    fits = re.search(r"; ([\d,]+) frames/s fit$", message)
    assert fits is not None, message
    rate = fold(tiny, BOARD, share=0.4).frames_per_second
    assert int(fits[1].replace(",", "")) == round(rate) < 8000


def test_what_fits_at_no_rate_is_refused(tiny: Any) -> None:
    with pytest.raises(FoldingError, match=r"^pynq-z2: too small at any rate: .* LUT needed, 2,660 available"):
        fold(tiny, BOARD, share=0.05)


@pytest.mark.parametrize("values", [{"share": 0.0}, {"share": 1.5}, {"fps": -1.0}, {"clk_mhz": 0.0}])
def test_numbers_out_of_range_are_refused(values: dict[str, float], tiny: Any) -> None:
    with pytest.raises(FoldingError, match=r"^(share|clk_mhz and fps): expected above 0"):
        fold(tiny, BOARD, **values)


def test_a_graph_that_is_not_specialised_is_refused(tiny: Any) -> None:
    from copy import deepcopy

    model = deepcopy(tiny)
    model.graph.node[0].op_type = "FMPadding"
    model.graph.node[0].domain = "finn.custom_op.fpgadataflow"
    with pytest.raises(FoldingError, match="no folding is known for FMPadding; expected a graph specialised to RTL"):
        fold(model, BOARD, fps=100)
