from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeclip_fpga.energy import theory
from spikeclip_fpga.energy.coefficients import Coefficients
from spikeclip_fpga.energy.counters import CountError, Counts, measure
from spikeclip_fpga.energy.layers import Layer, Network, Neurons, read_network
from spikeclip_fpga.quantize.runner import FastRunner

from ..runner.networks import pictures, spikeclip

# A 4x4 image of 3 channels -> 2 channels, 3x3 -> LIF -> 5 channels, 1x1 -> LIF -> 7 numbers; T = 2.
SMALL = Network(
    (
        Layer("first", "Conv", (4, 4, 3), (4, 4, 2), 3, 1),
        Layer("second", "SpikeLinear", (4, 4, 2), (4, 4, 5), sources=("a",)),
        Layer("last", "Readout", (4, 4, 5), (1, 1, 7), sources=("b",)),
    ),
    (Neurons("a", (4, 4, 2), 8, True), Neurons("b", (4, 4, 5), 8)),
    (),
    {},
    2,
)
FLOPS = (4 * 4 * 9 * 3 * 2, 4 * 4 * 2 * 5, 5 * 7)


def test_every_equation_by_hand() -> None:
    counts = Counts(3, {"a": 3 * 16, "b": 3 * 8}, {})  # rates 16/64 and 8/160
    found = theory.estimate(SMALL, counts)
    first, second, last = found.layers
    assert tuple(layer.flops for layer in found.layers) == FLOPS
    assert (first.rate, first.operations, first.energy_pj) == (None, 864, Fraction("4.6") * 864)
    assert (second.rate, second.operations) == (Fraction(1, 4), 2 * Fraction(1, 4) * 160)  # (F.3)
    assert second.energy_pj == Fraction("0.9") * 80  # (F.1)
    assert (last.rate, last.energy_pj) == (None, Fraction("4.6") * 35)  # (F.2)
    assert found.ann_energy_pj == Fraction("4.6") * (864 + 160 + 35)
    assert found.energy_pj == Fraction("4.6") * 899 + Fraction("0.9") * 80
    assert (found.sops, found.macs) == (80, 899)
    assert found.mean_rate == Fraction(24, 224)
    assert found.closed == 1 - Fraction("0.9") * 2 * Fraction(24, 224) / Fraction("4.6")  # (F.5)
    assert found.summed == 1 - found.energy_pj / found.ann_energy_pj


def test_the_first_layer_at_every_step_costs_t_times() -> None:
    counts = Counts(1, {"a": 5, "b": 0}, {})
    once, each = (theory.estimate(SMALL, counts, first_layer_steps=n) for n in (1, 2))
    assert each.layers[0].energy_pj == 2 * once.layers[0].energy_pj
    assert each.layers[1:] == once.layers[1:]
    assert each.summed < once.summed
    assert each.closed == once.closed
    assert each.weighting + each.dense_layers == each.summed - each.closed
    for steps in (0, 3):
        with pytest.raises(CountError, match=f"first_layer_steps: expected 1 to 2, got {steps}"):
            theory.estimate(SMALL, counts, first_layer_steps=steps)


@settings(max_examples=50)
@given(
    a=st.integers(0, 64), b=st.integers(0, 160), steps=st.sampled_from([1, 2]), e_ac=st.sampled_from(["0.9", "0.03"])
)
def test_the_difference_of_both_reductions_is_explained_exactly(a: int, b: int, steps: int, e_ac: str) -> None:
    coefficients = Coefficients.from_json(f'{{"e_ac": {e_ac}}}')
    found = theory.estimate(SMALL, Counts(1, {"a": a, "b": b}, {}), coefficients, steps)
    assert found.summed - found.closed == found.weighting + found.dense_layers
    if Fraction(a, 64) == found.mean_rate:
        assert found.weighting == 0


def test_both_reductions_agree_when_all_layers_take_spikes_at_one_rate() -> None:
    layers = tuple(layer for layer in SMALL.layers if layer.spiking)
    found = theory.uniform(layers, Fraction(2726, 10000), 4)
    assert found.summed == found.closed
    assert round(float(100 * found.closed), 3) == 78.666


def test_attention_is_outside_the_papers_sum() -> None:
    attention = Layer("attention", "SpikeAttention", (4, 4, 2), (4, 4, 2), heads=1, sources=("a", "a", "a"))
    counts = Counts(1, {"a": 9, "b": 9}, {})
    with_it = dataclasses.replace(SMALL, layers=(*SMALL.layers, attention))
    assert theory.estimate(with_it, counts) == theory.estimate(SMALL, counts)


def test_all_spiking_input_costs_t_accumulates_for_each_mac() -> None:
    full = theory.estimate(SMALL, Counts(1, {"a": 64, "b": 160}, {}))
    assert full.layers[1].operations == 2 * 160
    silent = theory.estimate(SMALL, Counts(1, {"a": 0, "b": 0}, {}))
    assert (silent.layers[1].energy_pj, silent.closed) == (0, 1)


def test_a_network_read_and_counted() -> None:
    net = spikeclip(np.random.default_rng(0), image_size=8, channels=(4, 8, 16), pools=(2, 0, 0), depth=1, heads=2)
    read, counts = read_network(net), measure(FastRunner(net), pictures(np.random.default_rng(1), 5, 8))
    found = theory.estimate(read, counts)
    by_name = {layer.name: layer for layer in read.layers}
    for row in found.layers:
        if row.rate is not None:
            source = by_name[row.name].sources[0]
            assert row.operations == Fraction(counts.spikes[source] * row.flops, by_name[row.name].inputs * 5)
    assert [row.op for row in found.layers if row.rate is None] == ["Conv", "Readout"]
    with pytest.raises(CountError, match="no neurons or no images"):
        theory.estimate(read, Counts(0, counts.spikes, counts.additions))
