"""95 % intervals from a few windows: Student's t, widened when neighbouring windows resemble each other.

Five windows now and then agree by luck. So an interval is no narrower than the scatter inside the windows implies:
``errors`` are the windows' standard errors from that scatter (see batch_error). It covers a little more than 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval and unit."""

    value: float
    low95: float
    high95: float
    unit: str

    @classmethod
    def of(cls, value: float, half_width: float, unit: str) -> Estimate:
        """Return value -/+ half_width."""
        return cls(value, value - half_width, value + half_width, unit)

    @property
    def half_width(self) -> float:
        """Return half the interval's width, in the unit."""
        return (self.high95 - self.low95) / 2

    def __str__(self) -> str:
        return f"{self.value:.4g} {self.unit} [{self.low95:.4g}, {self.high95:.4g}]"


def _t_probability(t: float, dof: float) -> float:
    """Return P(0 < T < t) of Student's t: with T = sqrt(dof) tan(a) its density is c cos(a)^(dof-1)."""
    upper = math.atan(t / math.sqrt(dof))
    angles = upper * (_NODES + 1) / 2
    integral = upper / 2 * float(np.sum(_WEIGHTS * np.cos(angles) ** (dof - 1)))
    return integral * math.exp(math.lgamma((dof + 1) / 2) - math.lgamma(dof / 2)) / math.sqrt(math.pi)


def t_quantile(dof: float) -> float:
    """Return t with P(-t < T < t) = 0.95 for ``dof`` >= 1 degrees of freedom."""
    low, high = 0.0, 13.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_probability(middle, dof) < 0.475 else (low, middle)
    return (low + high) / 2


def lag1(values: Sequence[float]) -> float:
    """Return the lag-1 autocorrelation of ``values``, -1 to 1; 0 if they do not vary."""
    centred = np.asarray(values, dtype=np.float64) - np.mean(values)
    total = float(centred @ centred)
    # Below rounding there is no variation to correlate.
    if total <= (1e-12 * max(1e-300, float(np.max(np.abs(values))))) ** 2 * len(centred):
        return 0.0
    return float(centred[1:] @ centred[:-1]) / total


def batch_error(values: np.ndarray, batches: int = 8) -> float:
    """Return the standard error of the mean of (n,) samples, n >= batches, from the means of consecutive batches.

    Batches instead of samples: neighbouring samples resemble each other.
    """
    means = [float(np.mean(part)) for part in np.array_split(values, batches)]
    return float(np.std(means, ddof=1)) / math.sqrt(batches)


def mean_variance(values: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Return the mean of n >= 2 windows and the variance of that mean, errors being their own standard errors.

    s^2 / n, times (1 + r) / (1 - r) for a positive lag-1 autocorrelation r: drift leaves fewer independent windows;
    no less than sum(errors^2) / n^2.
    """
    data = np.asarray(values, dtype=np.float64)
    r = min(0.9, max(0.0, lag1(values)))
    between = float(data.var(ddof=1)) / len(data) * (1 + r) / (1 - r)
    within = float(np.sum(np.square(errors))) / len(data) ** 2
    return float(data.mean()), max(between, within)


def mean_estimate(
    values: Sequence[float], errors: Sequence[float], unit: str, least_half_width: float = 0.0
) -> Estimate:
    """Return the mean of n >= 2 windows with its interval, t of n - 1; no narrower than ``least_half_width``."""
    mean, variance = mean_variance(values, errors)
    half = t_quantile(len(values) - 1) * math.sqrt(variance)
    return Estimate.of(mean, max(half, least_half_width), unit)


def difference_estimate(
    plus: tuple[Sequence[float], Sequence[float]],
    minus: tuple[Sequence[float], Sequence[float]],
    unit: str,
    least_half_width: float = 0.0,
) -> Estimate:
    """Return mean(plus) - mean(minus), each (values, errors) of >= 2 unpaired windows; Welch's interval."""
    (a, va), (b, vb) = mean_variance(*plus), mean_variance(*minus)
    half = 0.0
    if va + vb > 0:
        dof = (va + vb) ** 2 / (va**2 / (len(plus[0]) - 1) + vb**2 / (len(minus[0]) - 1))
        half = t_quantile(dof) * math.sqrt(va + vb)
    return Estimate.of(a - b, max(half, least_half_width), unit)
