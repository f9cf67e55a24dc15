from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.energy import theory
from spikeclip_fpga.energy.baselines import PRICINGS, energy_pj, spiking_operations, twin_operations
from spikeclip_fpga.energy.break_even import (
    break_even,
    break_even_memory,
    break_even_operation,
    break_even_theory,
    break_evens,
)
from spikeclip_fpga.energy.coefficients import Coefficients
from spikeclip_fpga.energy.counters import CountError, Counts, firing_rate, measure
from spikeclip_fpga.energy.layers import read_network
from spikeclip_fpga.energy.memory_aware import ARITHMETICS, PACKINGS, TWIN_PLACEMENTS, estimate, estimate_twin
from spikeclip_fpga.energy.twins import KINDS, Twin, twin_of
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.golden import unpack
from spikeclip_fpga.quantize.network import IntNetwork, Node
from spikeclip_fpga.quantize.runner import FastRunner

from ..runner.networks import pictures

SHIPPED = Path(__file__).parents[2] / "artifacts" / "tiny.int.safetensors"


@pytest.fixture(scope="module")
def net() -> IntNetwork:
    return network.load(SHIPPED)


@pytest.fixture(scope="module")
def counts(net: IntNetwork) -> Counts:
    return measure(FastRunner(net), pictures(np.random.default_rng(5), 4, 32))


@pytest.fixture(scope="module")
def twins(net: IntNetwork) -> dict[str, Twin]:
    config = json.loads(net.meta["config"])
    return {kind: twin_of(kind, config, json.loads(net.meta["bits"])) for kind in KINDS}


def scaled(counts: Counts, factor: Fraction, whole: int = 10**9) -> Counts:
    """Return counts with all rates times ``factor``, as those of ``whole`` times as many images."""
    spikes, additions = (
        {name: round(n * whole * factor) for name, n in part.items()} for part in (counts.spikes, counts.additions)
    )
    return Counts(counts.images * whole, spikes, additions)


def test_float_prices_are_the_papers_theory(net: IntNetwork, counts: Counts, twins: dict[str, Twin]) -> None:
    papers = theory.estimate(read_network(net), counts)
    assert energy_pj(spiking_operations(net, counts), "float32")[0] == papers.energy_pj
    for twin in twins.values():
        assert energy_pj(twin_operations(twin), "float32")[0] == papers.ann_energy_pj


def test_attentions_additions_are_those_that_spikes_cause(net: IntNetwork, counts: Counts) -> None:
    read, images = read_network(net), pictures(np.random.default_rng(5), 4, 32)
    words: dict[str, np.ndarray] = {}

    def watch(node: Node, value: np.ndarray) -> None:
        words[node.name] = value

    net.run(images, watch)
    found = {row.name: row for row in spiking_operations(net, counts)}
    for layer in read.layers:
        if layer.op == "SpikeAttention":
            spikes = sum(int(unpack(words[name], 4).sum()) for name in layer.sources[:2])  # Q's and K's, d each
            assert [name[-1] for name in layer.sources] == ["q", "k", "v"]
            assert found[layer.name].count == Fraction(spikes * layer.in_shape[2] // layer.heads, len(images))
            assert not found[layer.name].in_papers_sum


def test_integer_prices_by_hand(net: IntNetwork, counts: Counts, twins: dict[str, Twin]) -> None:
    table = Coefficients()
    spiking = {row.name: row for row in spiking_operations(net, counts)}
    quantised = {row.name: row for row in twin_operations(twins["qnn3"])}
    add, mac = spiking["tokenizer.1.conv"], quantised["tokenizer.1.conv"]
    assert (add.sum_bits, mac.sum_bits) == (12, 15)  # 216 taps of -8 times at most 1, or 7
    assert add.one_pj("int32", table) == Fraction(1, 10)
    assert float(add.one_pj("width", table)) == pytest.approx(0.03 + 0.07 * 4 / 24)
    assert float(mac.one_pj("int32", table)) == pytest.approx(0.1 + 0.2 * 12 / 64)
    assert float(mac.one_pj("width", table)) == pytest.approx(0.03 + 0.07 * 7 / 24 + 0.2 * 12 / 64)
    first = spiking["tokenizer.0.conv"]
    assert float(first.one_pj("int32", table)) == pytest.approx(0.3) and not first.accumulate
    for row in twin_operations(twins["scratchclip"]):
        assert {row.one_pj(pricing, table) for pricing in PRICINGS} == {Fraction(46, 10)}


@pytest.mark.parametrize("pricing", PRICINGS)
@pytest.mark.parametrize("kind", KINDS)
def test_at_the_break_even_rate_both_cost_the_same(
    net: IntNetwork, counts: Counts, twins: dict[str, Twin], pricing: str, kind: str
) -> None:
    one = next(p for p in PRICINGS if p == pricing)
    read, other = read_network(net), twin_operations(twins[kind])
    rate = firing_rate(read.neurons, counts, read.timesteps)
    found = break_even_theory(spiking_operations(net, counts), other, rate, one)
    assert found.factor is not None and found.rate == rate * found.factor
    there = energy_pj(spiking_operations(net, scaled(counts, found.factor)), one)[0]
    assert float(there) == pytest.approx(float(energy_pj(other, one)[0]))


def test_the_rate_of_spiking_layers_needs_no_counts(net: IntNetwork, counts: Counts, twins: dict[str, Twin]) -> None:
    spiking, quantised = spiking_operations(net, counts), twin_operations(twins["qnn3"])
    assert break_even_operation(spiking, quantised, 4, "float32") == Fraction(46, 36)
    assert float(break_even_operation(spiking, quantised, 4, "int32")) == pytest.approx(0.1375 / 0.4)
    with pytest.raises(CountError, match="not in both"):
        break_even_operation(spiking, quantised[:3], 4, "int32")


@pytest.mark.parametrize("placement", TWIN_PLACEMENTS)
def test_break_even_with_memory_counted(
    net: IntNetwork, counts: Counts, twins: dict[str, Twin], placement: str
) -> None:
    where = next(p for p in TWIN_PLACEMENTS if p == placement)
    for packing in PACKINGS:
        for arithmetic in ARITHMETICS:
            found = break_even_memory(net, counts, twins["qnn3"], where, packing, arithmetic)
            assert found.factor is not None
            there = estimate(net, scaled(counts, found.factor), "time_serial", packing, None, arithmetic)
            other = estimate_twin(twins["qnn3"], where, packing, None, arithmetic)
            assert there.energy_pj == pytest.approx(other.energy_pj)
    rows = break_evens(net, counts, twins["qnn3"])["rows"]
    assert len(rows) == len(PRICINGS) + len(TWIN_PLACEMENTS) * len(PACKINGS) * len(ARITHMETICS)


FRACTION = st.fractions(0, 1000, max_denominator=1000)


@given(FRACTION, FRACTION, FRACTION, st.fractions(0, 1, max_denominator=1000))
def test_break_even_solves_its_equation_or_says_there_is_none(
    silent: Fraction, grows: Fraction, other: Fraction, rate: Fraction
) -> None:
    if not grows:
        with pytest.raises(CountError, match="expected energy that grows with spikes"):
            break_even(silent, silent, other, rate)
        return
    found = break_even(silent, silent + grows, other, rate)
    if found.factor is None:
        assert other < silent and found.rate is None
    else:
        assert silent + found.factor * grows == other and found.rate == found.factor * rate and found.factor >= 0
