"""The definition of SpikeCLIP's arithmetic: numpy, integers only.

Everything else in this project (the QAT network, the ONNX operators, the fast runner, the FINN
operators, the RTL) is tested for equality against the functions on this page.

Layouts. B images, N tokens, H x W maps, C channels, T time steps:
  words     (..., C)    spikes, one unsigned word per neuron, bit t = spike at step t
  currents  (..., C*T)  integers, t innermost: element c*T + t
  pixels    (B, H, W, C) signed bytes, the image's byte minus 128
No state is carried from one image to the next. A tie, V = threshold, fires.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray


class RangeError(ArithmeticError):
    """A value left the range its width was proven for."""


def pack(spikes: Array) -> Array:
    """Return words (..., C) uint16 from spikes (..., C, T) of 0 and 1; bit t is step t. 1 <= T <= 16."""
    if not 1 <= spikes.shape[-1] <= 16:
        raise ValueError(f"spikes: expected 1 to 16 steps on the last axis, got {spikes.shape[-1]}")
    weights = (1 << np.arange(spikes.shape[-1])).astype(np.uint16)
    return (spikes.astype(np.uint16) * weights).sum(-1, dtype=np.uint16)


def unpack(words: Array, timesteps: int) -> Array:
    """Return spikes (..., C, T) int64 of 0 and 1 from words (..., C)."""
    return ((words[..., None].astype(np.int64) >> np.arange(timesteps)) & 1).astype(np.int64)


def _by_step(currents: Array, timesteps: int) -> Array:
    return currents.reshape(*currents.shape[:-1], -1, timesteps)


def _flat(by_step: Array) -> Array:
    return by_step.reshape(*by_step.shape[:-2], -1)


def _windows(x: Array, kernel: int, stride: int, pad: int, fill: int) -> Array:
    """Return (B, H', W', k, k, ...) windows of a map (B, H, W, ...) padded with ``fill``."""
    margin = ((0, 0), (pad, pad), (pad, pad)) + ((0, 0),) * (x.ndim - 3)
    padded = np.pad(x, margin, constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(1, 2))
    view = view[:, ::stride, ::stride]
    return np.moveaxis(view, (-2, -1), (3, 4))


def conv(pixels: Array, weight: Array, *, pad: int) -> Array:
    """Convolve a static image: (B, H, W, C) with weight (M, k, k, C) -> accumulators (B, H', W', M), int64.

    acc[m] = sum over window of w[m] x; zero padding, stride 1.
    """
    windows = _windows(pixels.astype(np.int64), weight.shape[1], 1, pad, 0)
    return np.tensordot(windows, weight.astype(np.int64), axes=((3, 4, 5), (1, 2, 3)))


def spike_conv(words: Array, weight: Array, *, pad: int, timesteps: int) -> Array:
    """Convolve spikes: words (B, H, W, C) with weight (M, k, k, C) -> currents (B, H', W', M*T), int64."""
    windows = _windows(unpack(words, timesteps), weight.shape[1], 1, pad, 0)
    by_step = np.tensordot(windows, weight.astype(np.int64), axes=((3, 4, 5), (1, 2, 3)))
    return _flat(np.moveaxis(by_step, -1, -2))


def spike_linear(words: Array, weight: Array, *, timesteps: int) -> Array:
    """Map spikes linearly: words (..., C) with weight (M, C) -> currents (..., M*T), int64."""
    by_step = np.tensordot(unpack(words, timesteps), weight.astype(np.int64), axes=((-2,), (1,)))
    return _flat(np.moveaxis(by_step, -1, -2))


def max_pool(currents: Array, *, kernel: int, stride: int, pad: int) -> Array:
    """Pool accumulators or currents (B, H, W, X) by their maximum; padding counts as minus infinity."""
    x = currents.astype(np.int64)
    return _windows(x, kernel, stride, pad, np.iinfo(np.int64).min).max((3, 4))


def or_pool(words: Array, *, kernel: int, stride: int, pad: int) -> Array:
    """Pool spikes (B, H, W, C) words: a step has a spike where any of the window has one."""
    return np.bitwise_or.reduce(np.bitwise_or.reduce(_windows(words, kernel, stride, pad, 0), axis=4), axis=3)


def lif(
    currents: Array,
    threshold: Array,
    bias: Array,
    *,
    timesteps: int,
    broadcast: int = 0,
    frac_bits: int,
    leak_k: int,
    leak_n: int,
    reset: str = "subtract",
    membrane_bits: int = 32,
) -> Array:
    """Run integer LIF neurons over T steps -> words (..., C) uint16. Eq. 1-2 of SpikeCLIP on integers:

      V_t = I_t 2^F + bias + floor(k V_{t-1} / 2^n) - S_{t-1} threshold      reset "subtract"
      V_t = I_t 2^F + bias + (1 - S_{t-1}) floor(k V_{t-1} / 2^n)            reset "zero"
      S_t = [V_t >= threshold],  V_{-1} = S_{-1} = 0

    currents (..., C*T), or (..., C) with ``broadcast``: the same at every step.  threshold, bias: (C,)
    integers in units of 2^-F of a current.  Raises RangeError if a membrane needs more than
    ``membrane_bits`` (two's complement).
    """
    if broadcast:
        drive = np.repeat(currents.astype(np.int64)[..., None], timesteps, axis=-1)
    else:
        drive = _by_step(currents.astype(np.int64), timesteps)
    drive = (drive << frac_bits) + bias.astype(np.int64)[:, None]
    theta = threshold.astype(np.int64)
    limit = 1 << (membrane_bits - 1)
    v = np.zeros(drive.shape[:-1], np.int64)
    s = np.zeros(drive.shape[:-1], np.int64)
    spikes = np.zeros(drive.shape, np.int64)
    for t in range(timesteps):
        leaked = (leak_k * v) >> leak_n
        v = drive[..., t] + (leaked - s * theta if reset == "subtract" else leaked * (1 - s))
        if v.size and (int(v.max()) >= limit or int(v.min()) < -limit):
            raise RangeError(f"membrane {int(v.min())} to {int(v.max())} at step {t} does not fit {membrane_bits} bits")
        s = (v >= theta).astype(np.int64)
        spikes[..., t] = s
    return pack(spikes)


def align(currents: Array, shift: Array, bias: Array, *, timesteps: int) -> Array:
    """Bring currents (..., C*T) onto the residual stream's grid: I 2^shift + bias, per channel (C,)."""
    by_step = _by_step(currents.astype(np.int64), timesteps)
    return _flat((by_step << shift.astype(np.int64)[:, None]) + bias.astype(np.int64)[:, None])


def add(a: Array, b: Array) -> Array:
    """Add two residual streams of one grid, (..., C*T)."""
    return a.astype(np.int64) + b.astype(np.int64)


def tokens(x: Array) -> Array:
    """Read a map (B, H, W, X) as tokens (B, H*W, X), row by row."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


def attention(q: Array, k: Array, v: Array, *, heads: int, timesteps: int) -> Array:
    """Spiking self-attention: words (B, N, D) three times -> counts (B, N, D*T), int64.

    Per head and step: Q (K^T V), which equals (Q K^T) V since integers associate. 0 <= count <= N d.
    """

    def split(words: Array) -> Array:  # (B, T, heads, N, d)
        spikes = unpack(words, timesteps)
        batch, n, dim, _ = spikes.shape
        return spikes.reshape(batch, n, heads, dim // heads, timesteps).transpose(0, 4, 2, 1, 3)

    counts = split(q) @ (split(k).swapaxes(-1, -2) @ split(v))
    batch, _, _, n, _ = counts.shape
    return counts.transpose(0, 3, 2, 4, 1).reshape(batch, n, -1)


def readout(words: Array, time_weight: Array, weight: Array, bias: Array, *, timesteps: int, shift: int) -> Array:
    """Embed: words (B, N, D) -> (B, E) int64.

    z[d] = floor((sum_t w_t sum_n S_t,n,d + 2^(shift-1)) / 2^shift)      (no rounding term if shift = 0)
    y[e] = sum_d weight[e, d] z[d] + bias[e]
    """
    per_step = unpack(words, timesteps).sum(1)
    weighted = per_step @ time_weight.astype(np.int64)
    z = (weighted + ((1 << shift) >> 1)) >> shift
    return z @ weight.astype(np.int64).T + bias.astype(np.int64)


OPS: dict[str, Callable[..., Array]] = {
    "Conv": conv,
    "SpikeConv": spike_conv,
    "SpikeLinear": spike_linear,
    "MaxPool": max_pool,
    "OrPool": or_pool,
    "LIF": lif,
    "Align": align,
    "ResidualAdd": add,
    "Tokens": tokens,
    "SpikeAttention": attention,
    "Readout": readout,
}
