"""golden.py's functions against plain Python loops, or torch's float64 where that is the same sum."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.quantize import golden


def rng(seed: int = 0) -> np.random.Generator:
    """Return a seeded generator."""
    return np.random.default_rng(seed)


def words(shape: tuple[int, ...], steps: int, seed: int = 0) -> np.ndarray:
    """Return random spike words."""
    return rng(seed).integers(0, 2**steps, shape).astype(np.uint16)


def spikes(word: np.ndarray, t: int) -> np.ndarray:
    """Return step t of spike words, by division and remainder."""
    return (word.astype(np.int64) // 2**t) % 2


def torch_conv(x: np.ndarray, weight: np.ndarray, pad: int) -> np.ndarray:
    """Convolve (B, H, W, C) with (M, k, k, C) in float64."""
    maps = torch.from_numpy(x.astype(np.float64)).permute(0, 3, 1, 2)
    kernel = torch.from_numpy(weight.astype(np.float64)).permute(0, 3, 1, 2)
    out: np.ndarray = torch.nn.functional.conv2d(maps, kernel, padding=pad).permute(0, 2, 3, 1).numpy()
    return out


@pytest.mark.parametrize("steps", range(1, 17))
def test_words_round_trip(steps: int) -> None:
    every = np.arange(2**steps, dtype=np.uint16)
    unpacked = golden.unpack(every, steps)
    assert unpacked.shape == (2**steps, steps) and set(np.unique(unpacked)) == {0, 1}
    np.testing.assert_array_equal(unpacked, np.stack([spikes(every, t) for t in range(steps)], -1))
    packed = golden.pack(unpacked)
    assert packed.dtype == np.uint16
    np.testing.assert_array_equal(packed, every)


@pytest.mark.parametrize(("kernel", "pad"), [(1, 0), (3, 1), (3, 0), (5, 2)])
def test_conv(kernel: int, pad: int) -> None:
    pixels = rng(1).integers(-128, 128, (2, 7, 6, 3)).astype(np.int16)
    weight = rng(2).integers(-128, 128, (5, kernel, kernel, 3)).astype(np.int8)
    out = golden.conv(pixels, weight, pad=pad)
    assert out.dtype == np.int64
    np.testing.assert_array_equal(out, torch_conv(pixels, weight, pad))


def test_conv_of_the_extremes_does_not_wrap() -> None:
    pixels, weight = np.full((1, 3, 3, 3), -128, np.int16), np.full((1, 3, 3, 3), -128, np.int8)
    assert golden.conv(pixels, weight, pad=1)[0, 1, 1, 0] == 27 * 128 * 128
    assert golden.conv(pixels, weight, pad=1)[0, 0, 0, 0] == 12 * 128 * 128  # zero padding


@pytest.mark.parametrize("steps", [1, 4, 16])
@pytest.mark.parametrize(("kernel", "pad"), [(1, 0), (3, 1)])
def test_spike_conv(steps: int, kernel: int, pad: int) -> None:
    x, weight = words((2, 5, 4, 3), steps), rng(3).integers(-8, 8, (6, kernel, kernel, 3)).astype(np.int8)
    out = golden.spike_conv(x, weight, pad=pad, timesteps=steps)
    assert out.shape == (2, 5, 4, 6 * steps)
    for t in range(steps):  # t innermost: channel c, step t at c*T + t
        np.testing.assert_array_equal(out[..., t::steps], torch_conv(spikes(x, t), weight, pad))


@pytest.mark.parametrize("steps", [1, 3, 16])
def test_spike_linear(steps: int) -> None:
    x, weight = words((2, 3, 5), steps), rng(4).integers(-8, 8, (7, 5)).astype(np.int8)
    out = golden.spike_linear(x, weight, timesteps=steps)
    for b, n, m, t in itertools.product(range(2), range(3), range(7), range(steps)):
        expected = sum(int(weight[m, c]) * int(spikes(x[b, n, c], t)) for c in range(5))
        assert out[b, n, m * steps + t] == expected


@pytest.mark.parametrize(("kernel", "stride", "pad"), [(2, 2, 0), (3, 2, 1)])
@pytest.mark.parametrize("size", [4, 6])
def test_max_pool(kernel: int, stride: int, pad: int, size: int) -> None:
    # All values negative: a padding of 0 would win at the border.
    x = rng(5).integers(-900, -100, (2, size, size, 3))
    out = golden.max_pool(x, kernel=kernel, stride=stride, pad=pad)
    maps = torch.from_numpy(x.astype(np.float64)).permute(0, 3, 1, 2)
    expected = torch.nn.functional.max_pool2d(maps, kernel, stride, pad).permute(0, 2, 3, 1).numpy()
    assert out.dtype == np.int64 and out.max() < 0
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("steps", [1, 4, 16])
@pytest.mark.parametrize(("kernel", "stride", "pad"), [(2, 2, 0), (3, 2, 1)])
def test_or_pool_is_a_max_pool_of_each_step(steps: int, kernel: int, stride: int, pad: int) -> None:
    x = words((2, 6, 6, 3), steps) & words((2, 6, 6, 3), steps, 1) & words((2, 6, 6, 3), steps, 2)
    out = golden.or_pool(x, kernel=kernel, stride=stride, pad=pad)
    assert out.dtype == np.uint16
    for t in range(steps):
        expected = golden.max_pool(spikes(x, t), kernel=kernel, stride=stride, pad=pad)
        np.testing.assert_array_equal(spikes(out, t), expected)


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_qk_transposed_v(steps: int, heads: int) -> None:
    batch, tokens, dim = 2, 5, 8
    q, k, v = (words((batch, tokens, dim), steps, seed) for seed in range(3))
    out = golden.attention(q, k, v, heads=heads, timesteps=steps)
    assert out.shape == (batch, tokens, dim * steps)
    width = dim // heads
    assert out.min() >= 0 and out.max() <= tokens * width
    for b, t, h in itertools.product(range(batch), range(steps), range(heads)):
        part = slice(h * width, (h + 1) * width)
        qs, ks, vs = (spikes(x[b, :, part], t) for x in (q, k, v))
        np.testing.assert_array_equal(out[b, :, t::steps][:, part], (qs @ ks.T) @ vs)


def test_align_shifts_then_adds() -> None:
    currents, shift, bias = rng(6).integers(-50, 50, (2, 3, 4 * 5)), np.array([0, 1, 3, 5]), np.array([7, -7, 0, 100])
    out = golden.align(currents, shift, bias, timesteps=5)
    for c, t in itertools.product(range(4), range(5)):
        np.testing.assert_array_equal(out[..., c * 5 + t], currents[..., c * 5 + t] * 2 ** int(shift[c]) + bias[c])


def test_add_does_not_wrap() -> None:
    a = np.array([[[100, -100]]], np.int8)
    assert golden.add(a, a).tolist() == [[[200, -200]]]


def test_tokens_are_read_row_by_row() -> None:
    x = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4)
    assert golden.tokens(x).shape == (2, 6, 4)
    np.testing.assert_array_equal(golden.tokens(x)[1, 4], x[1, 1, 1])


def readout_loop(
    x: np.ndarray, time_weight: Any, weight: np.ndarray, bias: np.ndarray, steps: int, shift: int
) -> np.ndarray:
    """Compute the readout with Python's integers."""
    batch, tokens, dim = x.shape
    out = np.zeros((batch, len(weight)), np.int64)
    for b in range(batch):
        z = []
        for d in range(dim):
            total = sum(int(time_weight[t]) * int(spikes(x[b, n, d], t)) for n in range(tokens) for t in range(steps))
            half = 2 ** (shift - 1) if shift else 0
            z.append(math.floor((total + half) / 2**shift))
        for e in range(len(weight)):
            out[b, e] = sum(int(w) * v for w, v in zip(weight[e], z, strict=True)) + int(bias[e])
    return out


@pytest.mark.parametrize("shift", [0, 1, 4])
@pytest.mark.parametrize("steps", [1, 4, 16])
def test_readout(shift: int, steps: int) -> None:
    x = words((2, 6, 5), steps)
    time_weight = rng(7).integers(-127, 128, steps).astype(np.int8)
    weight, bias = rng(8).integers(-127, 128, (3, 5)).astype(np.int8), rng(9).integers(-999, 999, 3)
    out = golden.readout(x, time_weight, weight, bias, timesteps=steps, shift=shift)
    np.testing.assert_array_equal(out, readout_loop(x, time_weight, weight, bias, steps, shift))


def test_readout_rounds_halves_up_also_below_zero() -> None:
    one = np.array([[1]])

    def z(total: int) -> int:  # one token, one channel, one step, shift 2
        return int(
            golden.readout(np.array([[[1]]], np.uint16), np.array([total]), one, np.array([0]), timesteps=1, shift=2)[
                0, 0
            ]
        )

    assert [z(v) for v in (5, 6, 7, -5, -6, -7, 2, -2)] == [1, 2, 2, -1, -1, -2, 1, 0]


@given(data=st.data())
def test_all_operators_treat_images_apart(data: st.DataObject) -> None:
    """The result of an image does not depend on its position or its neighbours."""
    steps, seed = data.draw(st.integers(1, 16)), data.draw(st.integers(0, 99))
    order = np.array(data.draw(st.permutations(range(3))))
    maps, rows = words((3, 4, 4, 4), steps, seed), words((3, 5, 4), steps, seed)
    kernel, matrix = rng(seed).integers(-8, 8, (2, 3, 3, 4)), rng(seed).integers(-8, 8, (3, 4))
    time_weight, bias = rng(seed).integers(-9, 9, steps), rng(seed).integers(-9, 9, 3)
    functions: list[tuple[np.ndarray, Any]] = [
        (maps, lambda x: golden.conv(x.astype(np.int16), kernel, pad=1)),
        (maps, lambda x: golden.spike_conv(x, kernel, pad=1, timesteps=steps)),
        (maps, lambda x: golden.max_pool(x, kernel=3, stride=2, pad=1)),
        (maps, lambda x: golden.or_pool(x, kernel=2, stride=2, pad=0)),
        (maps, golden.tokens),
        (rows, lambda x: golden.spike_linear(x, matrix, timesteps=steps)),
        (rows, lambda x: golden.attention(x, x, x, heads=2, timesteps=steps)),
        (rows, lambda x: golden.readout(x, time_weight, matrix, bias, timesteps=steps, shift=3)),
    ]
    for x, function in functions:
        together = function(x)
        np.testing.assert_array_equal(function(x[order]), together[order])
        np.testing.assert_array_equal(function(x[1:2])[0], together[1])


def test_the_table_of_operators_is_complete() -> None:
    from spikeclip_fpga.quantize.ops import integer

    assert all(hasattr(integer, f"{op}_v1") for op in golden.OPS) and len(golden.OPS) == 11
