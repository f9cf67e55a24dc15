from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeclip_fpga.model import native
from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.network import IntNetwork, Node
from spikeclip_fpga.quantize.runner import FastRunner, ProgramError
from spikeclip_fpga.quantize.runner.program import membrane_bounds

from .networks import Builder, pictures, spikeclip

STEPS = st.sampled_from([1, 2, 3, 4, 7, 16])
CHANNELS = st.sampled_from([1, 5, 8, 31, 32, 33, 70, 130])
SEEDS = st.integers(0, 2**32 - 1)
MANY = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def same(network: IntNetwork, images: np.ndarray, threads: int = 2) -> dict[str, np.ndarray]:
    """Assert that embeddings, and spikes per node and step, are golden's; return the spikes."""
    expected_spikes: dict[str, np.ndarray] = {}

    def watch(node: Node, value: np.ndarray) -> None:
        if node.op in ("LIF", "OrPool"):
            spikes = golden.unpack(value, network_steps(network))
            expected_spikes[node.name] = spikes.reshape(-1, spikes.shape[-1]).sum(0)

    expected = network.run(images, watch)
    runner = FastRunner(network)
    found, activity = runner.run_counted(images, threads=threads)
    np.testing.assert_array_equal(found, expected)
    assert activity.spikes.keys() == expected_spikes.keys()
    for name, counts in expected_spikes.items():
        np.testing.assert_array_equal(activity.spikes[name], counts, err_msg=name)
    np.testing.assert_array_equal(runner.run(images, threads=threads), expected)
    return activity.spikes


def network_steps(network: IntNetwork) -> int:
    return int(network.nodes[-1].attributes["timesteps"])


@MANY
@given(
    seed=SEEDS,
    steps=STEPS,
    channels=CHANNELS,
    kernel=st.integers(1, 4),
    pad=st.integers(0, 2),
    count=st.sampled_from([1, 2, 5]),
    threads=st.sampled_from([1, 2]),
    reset=st.sampled_from(["subtract", "zero"]),
    zero=st.sampled_from([0, 128]),
)
def test_static_convolution_and_broadcast_neuron(
    seed: int, steps: int, channels: int, kernel: int, pad: int, count: int, threads: int, reset: str, zero: int
) -> None:
    rng = np.random.default_rng(seed)
    b = Builder(rng, steps, 7, pixel_zero=zero)
    x = b.lif(b.conv(channels, kernel=kernel, pad=pad), channels, 15000, broadcast=1, frac_bits=0, reset=reset)
    same(b.finish(x, channels), rng.integers(0, 256, (count, 7, 7, 3), dtype=np.uint8), threads)


@MANY
@given(
    seed=SEEDS,
    steps=STEPS,
    before=CHANNELS,
    channels=CHANNELS,
    kernel=st.integers(1, 3),
    pad=st.integers(0, 2),
    largest=st.sampled_from([1, 7, 31, 32, 127, 20000, 2_000_000]),
    bits=st.sampled_from([24, 40]),
    frac=st.sampled_from([0, 4, 10]),
    reset=st.sampled_from(["subtract", "zero"]),
)
def test_spike_convolution_of_any_width(
    seed: int,
    steps: int,
    before: int,
    channels: int,
    kernel: int,
    pad: int,
    largest: int,
    bits: int,
    frac: int,
    reset: str,
) -> None:
    rng = np.random.default_rng(seed)
    b = Builder(rng, steps, 6)
    x = b.lif(b.conv(before, kernel=1, pad=0), before, 9000, broadcast=1, frac_bits=0)
    x = b.spike_conv(x, before, channels, kernel=kernel, pad=pad, largest=largest)
    bits = 62 if largest > 7 else bits
    x = b.lif(x, channels, 1 + largest * (1 << frac), frac_bits=frac, reset=reset, membrane_bits=bits)
    same(b.finish(x, channels), rng.integers(0, 256, (2, 6, 6, 3), dtype=np.uint8))


@MANY
@given(
    seed=SEEDS,
    steps=STEPS,
    before=CHANNELS,
    channels=CHANNELS,
    largest=st.sampled_from([7, 127, 3000]),
    leak=st.sampled_from([(29, 5), (0, 1), (1, 1), (32, 5), (3, 3), (921, 10), (40, 5)]),
    bits=st.sampled_from([16, 32, 62]),
)
def test_linear_maps_residual_adds_and_leaks(
    seed: int, steps: int, before: int, channels: int, largest: int, leak: tuple[int, int], bits: int
) -> None:
    rng = np.random.default_rng(seed)
    b = Builder(rng, steps, 3)
    x = b.lif(b.conv(before), before, 9000, broadcast=1, frac_bits=0)
    small = b.align(b.linear(x, before, channels), channels)
    large = b.align(b.linear(x, before, channels, largest=largest), channels, shift=8, bias=40000)
    pair = (small, large) if seed % 2 else (large, small)
    stream = b.node("Tokens", (b.node("ResidualAdd", pair),))
    bits = 62 if largest > 7 or leak == (40, 5) else max(bits, 32)
    y = b.lif(stream, channels, 1000, frac_bits=0, leak_k=leak[0], leak_n=leak[1], membrane_bits=bits)
    z = b.node("Tokens", (small,))
    z = b.lif(z, channels, 300, frac_bits=2, leak_k=leak[0], leak_n=leak[1], membrane_bits=bits)
    y = b.lif(b.node("ResidualAdd", (b.linear(y, channels, 9), b.linear(z, channels, 9))), 9, 200)
    same(b.finish(y, 9, largest=2**20 if seed % 3 == 0 else 127, shift=seed % 7), pictures(rng, 3, 3))


@MANY
@given(seed=SEEDS, steps=STEPS, channels=CHANNELS, kernel=st.sampled_from([2, 3]), size=st.sampled_from([4, 7, 8]))
def test_pools_of_currents_and_spikes(seed: int, steps: int, channels: int, kernel: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    b = Builder(rng, steps, 2 * size)
    x = b.lif(b.pool(b.conv(channels), "MaxPool", kernel), channels, 30000, broadcast=1, frac_bits=0)
    large = b.spike_conv(b.pool(x, "OrPool", kernel), channels, channels, largest=3000 if seed % 2 else 7)
    x = b.lif(b.pool(large, "MaxPool", kernel), channels, 500, frac_bits=0)
    same(b.finish(b.pool(x, "OrPool", kernel) if size == 8 else x, channels), pictures(rng, 3, 2 * size))


@MANY
@given(
    seed=SEEDS,
    steps=STEPS,
    size=st.sampled_from([1, 2, 5]),
    heads=st.sampled_from([1, 2, 3]),
    each=st.sampled_from([1, 7, 12, 16, 17, 40]),
)
def test_attention(seed: int, steps: int, size: int, heads: int, each: int) -> None:
    rng = np.random.default_rng(seed)
    dim = heads * each
    b = Builder(rng, steps, size)
    x = b.node("Tokens", (b.conv(20),))
    q, k, v = (b.lif(x, dim, 9000, broadcast=1, frac_bits=0) for dim in (20, 20, 20))
    q, k, v = (b.lif(b.linear(s, 20, dim), dim, 300) for s in (q, k, v))
    y = b.lif(b.node("SpikeAttention", (q, k, v), heads=heads, timesteps=steps), dim, 40, frac_bits=3)
    same(b.finish(y, dim), pictures(rng, 3, size))


def test_attention_of_counts_beyond_16_bits() -> None:
    rng = np.random.default_rng(3)
    b = Builder(rng, 2, 24)
    x = b.lif(b.conv(64), 64, 9000, broadcast=1, frac_bits=0)
    x = b.node("Tokens", (x,))
    y = b.lif(b.node("SpikeAttention", (x, x, x), heads=1, timesteps=2), 64, 60000, frac_bits=4)
    same(b.finish(y, 64), pictures(rng, 2, 24))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("count", [1, 8])
def test_the_tiny_network(threads: int, count: int) -> None:
    rng = np.random.default_rng(11)
    spikes = same(spikeclip(rng), pictures(rng, count, 32), threads)
    neurons = {name: counts.sum() for name, counts in spikes.items()}
    assert all(neurons.values()), f"a silent layer proves little: {neurons}"


@settings(MANY, max_examples=20)
@given(
    seed=SEEDS,
    steps=STEPS,
    spike=st.booleans(),
    kernel=st.sampled_from([2, 3]),
    reset=st.sampled_from(["subtract", "zero"]),
)
def test_whole_networks_of_other_shapes(seed: int, steps: int, spike: bool, kernel: int, reset: str) -> None:
    rng = np.random.default_rng(seed)
    network = spikeclip(
        rng,
        timesteps=steps,
        image_size=8,
        channels=(6, 10, 36, 36),
        pools=(0, kernel, kernel, 0),
        spike_pools=spike,
        depth=1,
        heads=3,
        ratio=4,
        embed=7,
        largest=127 if seed % 2 else 7,
        reset=reset,
    )
    same(network, pictures(rng, 3, 8))


@MANY
@given(
    seed=SEEDS,
    steps=st.integers(1, 6),
    ends=st.tuples(st.integers(-60, 60), st.integers(0, 60)),
    threshold=st.integers(1, 40),
    leak=st.sampled_from([(29, 5), (0, 1), (1, 1), (3, 3), (40, 5)]),
    reset=st.sampled_from(["subtract", "zero"]),
)
def test_no_drive_leaves_the_membrane_bounds(
    seed: int, steps: int, ends: tuple[int, int], threshold: int, leak: tuple[int, int], reset: str
) -> None:
    low, high = ends[0], ends[0] + ends[1]
    attributes = {"timesteps": steps, "leak_k": leak[0], "leak_n": leak[1], "reset": reset}
    theta = np.array([threshold])
    lowest, highest = membrane_bounds(Node("LIF", "n", (), "", attributes), np.array([low]), np.array([high]), theta)
    rng = np.random.default_rng(seed)
    drives = rng.integers(low, high + 1, (400, steps))
    ends_only = rng.integers(0, 2, (200, steps)).astype(bool)
    drives[:200] = np.where(ends_only, low, high)
    v = carry = np.zeros(400, np.int64)
    for t in range(steps):
        v = drives[:, t] + carry
        assert lowest <= v.min()
        assert v.max() <= highest
        leaked = leak[0] * v >> leak[1]
        carry = np.where(v >= threshold, leaked - threshold if reset == "subtract" else 0, leaked)


def failing(bits: int) -> IntNetwork:
    b = Builder(np.random.default_rng(5), 4, 6)
    x = b.lif(b.conv(9), 9, 9000, broadcast=1, frac_bits=0)
    x = b.lif(b.spike_conv(x, 9, 40), 40, 4000, membrane_bits=bits)
    return b.finish(b.lif(b.linear(x, 40, 40), 40, 100, membrane_bits=bits), 40)


@pytest.mark.parametrize("bits", range(6, 20))
def test_a_membrane_beyond_its_width_is_refused_as_golden_does(bits: int) -> None:
    network, images = failing(bits), pictures(np.random.default_rng(6), 3, 6)
    try:
        expected = network.run(images)
    except golden.RangeError as error:
        with pytest.raises(golden.RangeError) as found:
            FastRunner(network).run(images)
        assert str(found.value).split(":")[0] == str(error).split(":")[0]  # the same node
        assert str(found.value).endswith(f"does not fit {bits} bits")
    else:
        np.testing.assert_array_equal(FastRunner(network).run(images), expected)


def test_both_outcomes_of_the_range_check_are_reached() -> None:
    images = pictures(np.random.default_rng(6), 3, 6)
    FastRunner(failing(19)).run(images)
    with pytest.raises(golden.RangeError, match=r"^LIF_1: membrane -?[0-9]+ at step [0-3] does not fit 8 bits$"):
        FastRunner(failing(8)).run(images)


def small() -> IntNetwork:
    b = Builder(np.random.default_rng(1), 4, 5)
    return b.finish(b.lif(b.conv(8), 8, 9000, broadcast=1, frac_bits=0), 8)


def test_many_images_report_their_progress() -> None:
    images = np.random.default_rng(2).integers(0, 256, (601, 5, 5, 3), dtype=np.uint8)
    done: list[int] = []
    found = FastRunner(small()).run(images, done.append)
    assert done[-1] == 601
    assert done == sorted(set(done))
    np.testing.assert_array_equal(found, small().run(images))


def test_images_that_are_a_view_and_no_images() -> None:
    images = np.random.default_rng(2).integers(0, 256, (9, 5, 5, 3), dtype=np.uint8)
    runner = FastRunner(small())
    np.testing.assert_array_equal(runner.run(images[::2, ::-1]), small().run(images[::2, ::-1]))
    assert runner.run(images[:0]).shape == (0, 5)


def test_additions_are_counted() -> None:
    b = Builder(np.random.default_rng(1), 3, 5)
    x = b.lif(b.conv(8), 8, 9000, broadcast=1, frac_bits=0)
    network = b.finish(b.lif(b.linear(x, 8, 11), 11, 100), 11)
    _, activity = FastRunner(network).run_counted(pictures(np.random.default_rng(2), 4, 5))
    assert activity.images == 4
    assert activity.additions == {"SpikeLinear_0": 11 * int(activity.spikes["LIF_0"].sum())}
    assert activity.additions["SpikeLinear_0"] > 0


@pytest.mark.parametrize(
    ("shape", "dtype"), [((1, 6, 5, 3), np.uint8), ((1, 5, 5, 3), np.int16), ((5, 5, 3), np.uint8)]
)
def test_other_images_are_refused(shape: tuple[int, ...], dtype: type) -> None:
    with pytest.raises(ValueError, match=r"images: expected uint8 \(B, 5, 5, 3\), got"):
        FastRunner(small()).run(np.zeros(shape, dtype))


def test_no_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="threads: expected 1 or more, got 0"):
        FastRunner(small()).run(np.zeros((1, 5, 5, 3), np.uint8), threads=0)


def test_an_operator_without_a_kernel_is_named() -> None:
    network = small()
    strange = Node("Softmax", "Softmax_0", ("LIF_0_out",), "y")
    with pytest.raises(ProgramError, match="Softmax_0: no kernel for Softmax"):
        FastRunner(IntNetwork((*network.nodes[:-1], strange), network.constants, network.meta))


def test_a_network_without_readout_is_refused() -> None:
    network = small()
    with pytest.raises(ProgramError, match="Tokens_0: expected one Readout, as the last node"):
        FastRunner(IntNetwork(network.nodes[:-1], network.constants, network.meta))


def test_a_map_where_tokens_are_needed_is_refused() -> None:
    network = small()
    readout = network.nodes[-1]
    nodes = (*network.nodes[:2], dataclasses.replace(readout, inputs=("LIF_0_out", *readout.inputs[1:])))
    with pytest.raises(ProgramError, match="Readout_0: expected tokens as input 0, got the map LIF_0_out"):
        FastRunner(dataclasses.replace(network, nodes=nodes))


def test_currents_beyond_32_bits_are_refused() -> None:
    b = Builder(np.random.default_rng(1), 4, 5)
    x = b.lif(b.conv(8), 8, 9000, broadcast=1, frac_bits=0)
    x = b.lif(b.linear(x, 8, 8, largest=2**31), 8, 100, membrane_bits=60)
    with pytest.raises(ProgramError, match=r"SpikeLinear_0: its output, .* needs more than the runner's 32 bits"):
        FastRunner(b.finish(x, 8))


def test_a_missing_compiler_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-g++"))
    native.compile_library.cache_clear()
    with pytest.raises(native.CompilerError, match=r"no-such-g\+\+: not found; install g\+\+"):
        FastRunner(small())
    native.compile_library.cache_clear()
