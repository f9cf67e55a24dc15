"""Refuse readings that are no measurement: not a number, negative, silent zero, frozen."""

from __future__ import annotations

import math

from .errors import BadReadingError, FrozenError, SilentZeroError
from .source import PowerSource, Reading

# A live supply is taken to move by at least this much of its power (rms, per reading); real boards move by some %.
_LEAST_NOISE = 5e-4
# A run of equal readings less likely than this, with that noise, is a frozen sensor.
_IMPROBABLE = 1e-9
_SHORTEST_RUN = 32
# And one of less than this is not: many sensors have a new value only once a second.
_SHORTEST_S = 2.0
_ZEROS = 8


def longest_run(power_w: float, resolution_w: float | None) -> float:
    """Return how many equal readings in a row a live sensor may give; infinite where its step hides the noise.

    With noise sigma and step q, all readings lie within one step with probability erf(q / (2 sqrt(2) sigma)) each.
    The result is doubled: a sensor may be read twice between its updates. An unknown resolution counts as fine.
    """
    sigma = _LEAST_NOISE * abs(power_w)
    if sigma == 0 or resolution_w is None:
        return _SHORTEST_RUN
    same = math.erf(resolution_w / (2 * math.sqrt(2) * sigma))
    if same >= 1 - 1e-12:
        return math.inf
    return max(_SHORTEST_RUN, 2 * math.log(_IMPROBABLE) / math.log(same)) if same > 0 else _SHORTEST_RUN


class ReadingChecks:
    """Judge a stream of readings of one source."""

    def __init__(self, source: PowerSource) -> None:
        self._source = source
        self._last: Reading | None = None
        self._run, self._zeros, self._since_s, self._limit = 0, 0, 0.0, math.inf

    def add(self, reading: Reading, time_s: float) -> None:
        """Judge one reading taken at ``time_s``. Raises BadReadingError, SilentZeroError, FrozenError."""
        name = self._source.name
        for what, unit, value in (
            ("power", "W", reading.power_w),
            ("voltage", "V", reading.voltage_v),
            ("current", "A", reading.current_a),
        ):
            if value is not None and not math.isfinite(value):
                raise BadReadingError(
                    f"{name}: {what}: expected a finite number, got {value} {unit}; check the sensor and its driver"
                )
        if reading.power_w < 0:
            raise BadReadingError(
                f"{name}: expected 0 W or more, got {reading.power_w:.6g} W; "
                "swap the sensor's two current terminals, or check its driver"
            )
        self._zeros = self._zeros + 1 if reading.power_w == 0 else 0
        if self._zeros >= _ZEROS:
            raise SilentZeroError(
                f"{name}: gave 0 W {self._zeros} times in a row, which no powered board draws; check that it measures "
                f"{self._source.boundary!r}, its wiring and its driver"
            )
        if reading != self._last:
            self._last, self._run, self._since_s = reading, 1, time_s
            self._limit = longest_run(reading.power_w, self._source.resolution_w)
            return
        self._run += 1
        if self._run > self._limit and time_s - self._since_s > _SHORTEST_S:
            raise FrozenError(
                f"{name}: gave {reading.power_w:.6g} W {self._run} times in a row ({time_s - self._since_s:.3g} s); "
                "reconnect it, read it at the rate it updates (rate_hz), or give its true step (resolution_w, now "
                f"{'unknown' if self._source.resolution_w is None else f'{self._source.resolution_w:.3g} W'})"
            )
