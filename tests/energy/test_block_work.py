"""Attention, pools, streams and readout of both placements, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spikeclip_fpga.energy.counters import Counts
from spikeclip_fpga.energy.memory_aware import Placement, estimate, work
from spikeclip_fpga.energy.work import Access, Work
from spikeclip_fpga.quantize.network import IntNetwork

from ..runner.networks import Builder


def block() -> IntNetwork:
    """4x4 image -> 6 channels, pooled to 2x2 -> LIF -> q, k, v of 6 channels -> 2 heads -> stream -> readout; T = 4."""
    b = Builder(np.random.default_rng(3), 4, 4)
    x = b.lif(b.pool(b.conv(6, kernel=1, pad=0), "MaxPool", 2), 6, 9000, broadcast=1, membrane_bits=20)  # LIF_0
    x = b.spike_conv(x, 6, 6, kernel=1, pad=0)
    stream = b.node("Tokens", (b.align(x, 6),))
    s = b.lif(stream, 6, 50, membrane_bits=17)  # LIF_1
    q, k, v = (b.lif(b.linear(s, 6, 6), 6, 30, membrane_bits=9) for _ in range(3))  # LIF_2 to LIF_4
    counts = b.node("SpikeAttention", (q, k, v), heads=2, timesteps=4)
    s = b.lif(counts, 6, 40, membrane_bits=10)  # LIF_5
    stream = b.node("ResidualAdd", (stream, b.align(b.linear(s, 6, 6), 6)))
    net = b.finish(b.lif(stream, 6, 50, membrane_bits=18), 6, 3)  # LIF_6
    for name, value in net.constants.items():
        if name.endswith("weight") and value.ndim > 1:
            largest = 100 if name == "Conv_0_weight" else 7
            net.constants[name] = np.full(value.shape, largest)
    return net


SPIKES = {"LIF_0": 20, "LIF_1": 21, "LIF_2": 22, "LIF_3": 23, "LIF_4": 24, "LIF_5": 25, "LIF_6": 26}
ADDITIONS = {"SpikeConv_0": 120, **{f"SpikeLinear_{i}": 126 for i in range(3)}, "SpikeLinear_3": 150}
COUNTS = Counts(1, SPIKES, ADDITIONS)
# 4 tokens of 6 channels: heads of 3 channels; a count is at most 4 x 3 = 12, 4 bits.
TOKENS, DEPTH, COUNT_BITS = 24, 3, 4


def nodes(placement: Placement) -> dict[str, Work]:
    return {node.name: node for node in work(block(), COUNTS, placement)}


def test_attention() -> None:
    serial, parallel, ann = (nodes(p)["SpikeAttention_0"] for p in ("time_serial", "time_parallel", "ann"))
    from_q, from_k = 22 * DEPTH, 23 * DEPTH
    assert serial.accesses == (
        Access("inputs", 22 + 23 + 24, 5, 5 * TOKENS),
        Access("state", 2 * from_k + from_q, COUNT_BITS, 6 * DEPTH * COUNT_BITS),
        Access("state", 2 * from_q, 10, TOKENS * 10),  # into the neurons' 10-bit membranes
    )
    assert (serial.adds, serial.address_adds, serial.multiplies) == (from_k + from_q, from_k + from_q, 0)
    assert parallel.accesses == (
        Access("inputs", 3 * TOKENS, 4, TOKENS * 4),
        Access("state", 3 * TOKENS * DEPTH, 4 * COUNT_BITS, 6 * DEPTH * 4 * COUNT_BITS),
    )
    assert parallel.adds == 4 * 2 * TOKENS * DEPTH
    assert ann.accesses == (
        Access("inputs", 3 * TOKENS, 8, TOKENS * 8),
        Access("weights", 2 * TOKENS * DEPTH, 8, TOKENS * 8),
        Access("outputs", TOKENS, 8, TOKENS * 8),
    )
    assert ann.adds == ann.multiplies == ann.address_adds == 2 * TOKENS * DEPTH


def test_first_convolution_and_its_pool() -> None:
    # Weights of 100 (8 bits) on 3 pixels of -128 to 127: sums to -38400, 17 bits.
    serial, parallel = nodes("time_serial"), nodes("time_parallel")
    assert serial["Conv_0"].accesses[1:] == (
        Access("weights", 16 * 18, 8, 18 * 8),
        Access("outputs", 96, 17, 96 * 17),
        Access("state", 96, 17, 96 * 17),
    )
    assert parallel["MaxPool_0"].accesses == (Access("state", 2 * 96, 17, 4 * 6 * 17),)
    assert parallel["MaxPool_0"].adds == 96
    assert parallel["Conv_0"].accesses[0] == Access("inputs", 16 * 3, 8, 3 * 8)
    assert (parallel["Conv_0"].adds, parallel["Conv_0"].multiplies) == (16 * 18, 16 * 18)


def test_sums_of_unsigned_pixels_are_wider() -> None:
    net = block()
    net.meta["pixel_zero"] = 0  # 0 to 255 x 3 x 100: 17 bits and a sign
    found = {node.name: node for node in work(net, COUNTS, "time_serial")}
    assert found["Conv_0"].accesses[2].datum_bits == 18


def test_a_pool_of_step_sums_keeps_words_of_all_steps() -> None:
    b = Builder(np.random.default_rng(3), 4, 4)
    x = b.lif(b.conv(2), 2, 9000, broadcast=1, frac_bits=0)
    x = b.pool(b.lif(b.pool(b.spike_conv(x, 2, 5), "MaxPool", 2), 5, 50), "OrPool", 2)
    net = b.finish(x, 5)
    net.constants["SpikeConv_0_weight"] = np.full((5, 3, 3, 2), 7)
    counts = Counts(1, {"LIF_0": 9, "LIF_1": 8, "OrPool_0": 7}, {"SpikeConv_0": 400})
    found = {node.name: node for node in work(net, counts, "time_parallel")}
    sum_bits = 8  # 0 to 18 x 7 = 126
    assert found["MaxPool_0"].accesses == (Access("state", 2 * 80, 4 * sum_bits, 4 * 5 * 4 * sum_bits),)
    assert found["OrPool_0"].accesses == (Access("state", 2 * 20, 4, 2 * 5 * 4),)
    serial = {node.name: node for node in work(net, counts, "time_serial")}["SpikeConv_0"]
    assert serial.accesses[2] == Access("state", 2 * 400 + 2 * 4 * 80, sum_bits, 80 * sum_bits)


def test_residual_stream() -> None:
    # The stream is as wide as the widest membrane that reads it: 18 bits.
    serial, parallel, ann = (nodes(p)["ResidualAdd_0"] for p in ("time_serial", "time_parallel", "ann"))
    assert serial.accesses == (Access("state", 3 * 4 * TOKENS, 18, TOKENS * 18),)
    assert parallel.accesses == (Access("state", 3 * TOKENS, 4 * 18, TOKENS * 4 * 18),)
    assert ann.accesses == (Access("state", 3 * TOKENS, 8, TOKENS * 8),)
    assert (serial.adds, parallel.adds, ann.adds) == (4 * TOKENS, 4 * TOKENS, TOKENS)


def test_readout() -> None:
    serial, parallel, ann = (nodes(p)["Readout_0"] for p in ("time_serial", "time_parallel", "ann"))
    sums, out = 6, 3
    weight_bits, sum_bits = 4, 7  # 6 weights of 7: 0 to 42
    projection = (
        Access("inputs", sums, sum_bits, sums * sum_bits),
        Access("weights", 18, weight_bits, 18 * weight_bits),
        Access("outputs", out, sum_bits, out * sum_bits),
    )
    assert serial.accesses == (
        Access("inputs", 26, 5, 5 * TOKENS),
        Access("state", 2 * 26, sum_bits, sums * sum_bits),
        *projection,
    )
    assert (serial.adds, serial.multiplies) == (26 + 18, 18)
    assert parallel.accesses == (Access("inputs", TOKENS, 4, TOKENS * 4), *projection)
    assert (parallel.adds, parallel.multiplies) == (4 * TOKENS + 18, 18)
    assert (ann.adds, ann.multiplies) == (18 + out, 18)


def test_additions_and_multiplications_have_their_prices() -> None:
    found = {n.name: n for n in estimate(block(), COUNTS, "time_parallel").nodes}
    assert found["Conv_0"].parts["compute"] == pytest.approx(16 * 18 * (0.1 + 3.1))
    assert found["LIF_1"].parts["compute"] == pytest.approx(4 * TOKENS * (3 * 0.1 + 3.1))
    serial = {n.name: n for n in estimate(block(), COUNTS, "time_serial").nodes}
    assert serial["LIF_1"].parts["compute"] == pytest.approx(0.1 * (2 * 4 * TOKENS + 21) + 3.1 * 4 * TOKENS)
