"""Bounds of integer arithmetic, by interval: what no input can leave (numpy only).

An accumulator lies between the sums of its negative and positive weights (times the input's range); a
membrane is bounded by unrolling eq. 2 over the T steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """Per-channel bounds (C,) of a tensor; ``words`` for spike words."""

    low: np.ndarray
    high: np.ndarray
    words: bool = False


def signed_bits(low: int, high: int) -> int:
    """Return the width of the two's-complement word that holds low to high."""
    return max(int(high).bit_length() if high > 0 else 0, int(-low - 1).bit_length() if low < 0 else 0) + 1


def weighted(x: Interval, weight: np.ndarray) -> Interval:
    """Bounds of sum_c w[m, ..., c] x[c] per output m; x is 0..1 for spikes, and padding is 0."""
    low = np.minimum(0, np.zeros_like(x.low) if x.words else x.low)
    high = np.maximum(0, np.ones_like(x.high) if x.words else x.high)
    positive, negative = np.maximum(weight, 0), np.minimum(weight, 0)
    axes = tuple(range(1, weight.ndim))
    return Interval((positive * low + negative * high).sum(axes), (positive * high + negative * low).sum(axes))


def membrane(
    low: np.ndarray,
    high: np.ndarray,
    threshold: np.ndarray,
    *,
    timesteps: int,
    leak_k: int,
    leak_n: int,
    subtract: bool,
) -> tuple[int, int]:
    """Return bounds of V over T steps for drives between ``low`` and ``high`` (in membrane units, bias included).

    A neuron that has not fired carries at most threshold - 1 into the next step; one that has fired
    (V >= threshold) carries the leaked V less the threshold, or nothing after a hard reset.
    """
    v_low, v_high = low.astype(object), high.astype(object)
    lowest, highest = v_low.min(), v_high.max()
    for _ in range(timesteps - 1):
        quiet_high = np.minimum(v_high, threshold - 1) * leak_k >> leak_n
        quiet_low = v_low * leak_k >> leak_n
        if subtract:
            fired_high = (v_high * leak_k >> leak_n) - threshold
            fired_low = (threshold.astype(object) * leak_k >> leak_n) - threshold
        else:
            fired_high = fired_low = np.zeros_like(v_high)
        can_fire = v_high >= threshold
        carry_high = np.where(can_fire, np.maximum(quiet_high, fired_high), quiet_high)
        carry_low = np.where(can_fire, np.minimum(quiet_low, fired_low), quiet_low)
        v_low, v_high = low + carry_low, high + carry_high
        lowest, highest = min(lowest, v_low.min()), max(highest, v_high.max())
    return int(lowest), int(highest)
