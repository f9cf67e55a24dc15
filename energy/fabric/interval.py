"""A value with the lowest and the highest it may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """low <= value <= high, in the unit of its name. Bounds, not a confidence interval: sums add them."""

    value: float
    low: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.value + other.value, self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Interval:
        """Return value and bounds times ``factor`` >= 0."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def by(self, other: Interval) -> Interval:
        """Return the product: all low gives the low bound, all high the high one."""
        return Interval(self.value * other.value, self.low * other.low, self.high * other.high)

    def to_json(self) -> dict[str, float]:
        """Return value, low and high."""
        return {"value": self.value, "low": self.low, "high": self.high}


ZERO = Interval(0.0, 0.0, 0.0)


def total(intervals: Iterable[Interval]) -> Interval:
    """Return the sum, ZERO of none."""
    return sum(intervals, ZERO)
