from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeclip_fpga.energy.counters import (
    CountError,
    Counts,
    brute_force,
    count_network,
    event_sum,
    fan_out,
    firing_rate,
    formula_error,
    measure,
    measure_classes,
    total,
)
from spikeclip_fpga.energy.layers import Layer, read_network
from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.network import IntNetwork
from spikeclip_fpga.quantize.runner import FastRunner

from ..runner.networks import Builder, pictures, spikeclip


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 5),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    window=st.sampled_from([(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (5, 2)]),
)
def test_every_spike_times_its_fan_out(
    seed: int, steps: int, size: tuple[int, int], channels: tuple[int, int], window: tuple[int, int]
) -> None:
    kernel, pad = window
    out = [side + 2 * pad - kernel + 1 for side in size]
    if min(out) < 1:
        return
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << steps, (2, *size, channels[0])).astype(np.uint16)
    layer = Layer("x", "SpikeConv", (*size, channels[0]), (out[0], out[1], channels[1]), kernel, pad)
    weight = np.ones((channels[1], kernel, kernel, channels[0]), np.int64)
    added = int(golden.spike_conv(words, weight, pad=pad, timesteps=steps).sum())  # each addition adds 1
    assert event_sum(layer, words, steps) == brute_force(layer, words, steps) == added


def test_fan_out_of_a_3x3_window_by_hand() -> None:
    layer = Layer("x", "SpikeConv", (3, 4, 2), (3, 4, 5), 3, 1)
    expected = np.array([[4, 6, 6, 4], [6, 9, 9, 6], [4, 6, 6, 4]]) * 5
    np.testing.assert_array_equal(fan_out(layer), expected)


def networks() -> dict[str, IntNetwork]:
    """Small networks of every kind of layer that adds."""
    rng = np.random.default_rng(4)
    b = Builder(rng, 3, 6)
    x = b.lif(b.conv(3), 3, 9000, broadcast=1, frac_bits=0)
    x = b.lif(b.spike_conv(x, 3, 5, kernel=3, pad=0), 5, 60)
    x = b.lif(b.spike_conv(b.pool(x, "OrPool", 2), 5, 4, kernel=1, pad=0), 4, 20)
    small = {"image_size": 8, "channels": (8, 16, 24), "depth": 1, "heads": 3, "embed": 5}
    return {
        "valid": b.finish(b.lif(b.linear(x, 4, 7), 7, 20), 7),
        "current pools": spikeclip(rng, pools=(2, 2, 0), timesteps=4, **small),
        "spike pools": spikeclip(rng, pools=(3, 3, 0), spike_pools=True, timesteps=5, **small),
    }


@pytest.mark.parametrize("name", ["valid", "current pools", "spike pools"])
def test_brute_force_events_and_fast_runner_agree(name: str) -> None:
    net = networks()[name]
    images = pictures(np.random.default_rng(5), 3, 6 if name == "valid" else 8)
    slow = count_network(net, images, brute_force)
    assert slow == count_network(net, images) == measure(FastRunner(net), images)
    assert all(slow.additions.values()), f"a silent layer proves little: {slow.additions}"


def test_the_formula_is_exact_without_borders_and_its_error_is_split() -> None:
    net = networks()["current pools"]
    counts = measure(FastRunner(net), pictures(np.random.default_rng(6), 4, 8))
    layers = [layer for layer in read_network(net).layers if layer.spiking]
    for layer in layers:
        error = formula_error(layer, counts)
        assert error.formula == error.events + error.borders + error.positions
        if layer.op == "SpikeLinear":
            assert (error.formula, error.relative) == (error.events, 0.0)
        else:
            assert error.borders > 0


def test_the_border_term_is_the_whole_error_when_every_neuron_fires() -> None:
    layer = Layer("x", "SpikeConv", (4, 4, 2), (4, 4, 3), 3, 1, sources=("s",))
    words = np.full((1, 4, 4, 2), 0b11, np.uint16)
    events = event_sum(layer, words, 2)
    error = formula_error(layer, Counts(1, {"s": 64}, {"x": events}))
    taps = 4 * 4 + 8 * 6 + 4 * 9  # 4 corners, 8 edges, 4 inner positions
    assert events == taps * 3 * 2 * 2
    assert (error.formula, error.borders, error.positions) == (144 * 3 * 2 * 2, (144 - taps) * 12, 0)
    assert error.relative == 0.44


def test_a_silent_layer_has_no_error() -> None:
    layer = Layer("x", "SpikeConv", (4, 4, 2), (4, 4, 3), 3, 1, sources=("s",))
    assert formula_error(layer, Counts(1, {"s": 0}, {"x": 0})).relative == 0.0


def test_classes_add_up_to_the_data_set() -> None:
    net = networks()["valid"]
    images = pictures(np.random.default_rng(7), 7, 6)
    labels = np.array([2, 0, 2, 2, 0, 0, 0])
    runner = FastRunner(net)
    found = measure_classes(runner, images, labels, ("a", "none", "c"))
    assert {name: counts.images for name, counts in found.items()} == {"a": 4, "c": 3}
    assert found["c"] == measure(runner, images[labels == 2])
    assert total(list(found.values())) == measure(runner, images)


def test_labels_that_do_not_fit_are_refused() -> None:
    net = networks()["valid"]
    runner, images = FastRunner(net), pictures(np.random.default_rng(7), 2, 6)
    with pytest.raises(CountError, match=r"labels: expected integers \(2,\), one for each image, got int64 \(3,\)"):
        measure_classes(runner, images, np.array([0, 0, 0]), ("a",))
    with pytest.raises(CountError, match=r"expected integers .* got float64 \(2,\)"):
        measure_classes(runner, images, np.array([0.0, 0.5]), ("a",))
    with pytest.raises(CountError, match="labels: expected 0 to 0, got 0 to 1"):
        measure_classes(runner, images, np.array([0, 1]), ("a",))


def test_counts_of_nothing_and_of_other_networks_are_refused() -> None:
    with pytest.raises(CountError, match="none to add"):
        total([])
    with pytest.raises(CountError, match="two different networks"):
        total([Counts(1, {"a": 1}, {}), Counts(1, {"b": 1}, {})])
    net = networks()["valid"]
    with pytest.raises(CountError, match="no neurons or no images"):
        firing_rate(
            read_network(net).neurons, measure(FastRunner(net), pictures(np.random.default_rng(1), 1, 6)[:0]), 3
        )


def test_the_firing_rate_is_the_share_of_neurons_and_steps_that_spike() -> None:
    net = networks()["valid"]
    read = read_network(net)
    silent = Counts(2, {n.name: 0 for n in read.neurons}, {})
    full = Counts(2, {n.name: 2 * 3 * n.count for n in read.neurons}, {})
    assert (firing_rate(read.neurons, silent, 3), firing_rate(read.neurons, full, 3)) == (Fraction(0), Fraction(1))
