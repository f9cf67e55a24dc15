"""Read a source in the background, with timestamps; count what came late or never."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from .checks import ReadingChecks
from .clock import Clock, Job, RealClock
from .errors import TooSlowError
from .intervals import batch_error
from .source import PowerSource, require_positive

# Fewer than this say too little about a window; a gap may be no longer than this part of one.
FEWEST_SAMPLES = 8
_LONGEST_GAP = 0.25
_SILENCE_S = 5.0


@dataclass(frozen=True)
class Window:
    """Power over a span of time: its integral in J, its mean in W, and how many samples they come from.

    error_w: standard error of the mean, from the scatter inside the window.
    """

    start_s: float
    duration_s: float
    energy_j: float
    error_w: float
    samples: int
    images: int = 0

    @property
    def power_w(self) -> float:
        """Return the mean power in W."""
        return self.energy_j / self.duration_s


def integrate(time_s: np.ndarray, power_w: np.ndarray, start_s: float, end_s: float) -> tuple[float, int]:
    """Return energy in J over [start, end] by the trapezoid rule, and the number of samples inside.

    time_s, power_w: (n,) float64, times increasing. The first and last sample inside hold to the window's edges.
    """
    inside = slice(*np.searchsorted(time_s, (start_s, end_s), side="left"))
    times, watts = time_s[inside], power_w[inside]
    if not len(times):
        return math.nan, 0
    edges = (times[0] - start_s) * watts[0] + (end_s - times[-1]) * watts[-1]
    return float(edges + np.sum(np.diff(times) * (watts[1:] + watts[:-1]) / 2)), len(times)


def cut(name: str, time_s: np.ndarray, power_w: np.ndarray, start_s: float, end_s: float, images: int = 0) -> Window:
    """Return the window [start, end] of a trace. Raises TooSlowError for too few samples or a gap."""
    energy, count = integrate(time_s, power_w, start_s, end_s)
    duration = end_s - start_s
    if count < FEWEST_SAMPLES:
        raise TooSlowError(
            f"{name}: {count} samples in a window of {duration:.3g} s, expected {FEWEST_SAMPLES} or more; "
            "make the windows longer (window_s) or use a faster sensor"
        )
    inside = (time_s >= start_s) & (time_s < end_s)
    gap = float(np.max(np.diff(np.concatenate([[start_s], time_s[inside], [end_s]]))))
    if gap > _LONGEST_GAP * duration:
        raise TooSlowError(
            f"{name}: no sample for {gap:.3g} s of a window of {duration:.3g} s, expected gaps of "
            f"{_LONGEST_GAP * duration:.3g} s at most; free the processor or the bus, or make the windows longer"
        )
    return Window(start_s, duration, energy, batch_error(power_w[inside], FEWEST_SAMPLES), count, images)


class Sampler:
    """Samples a source at a steady rate from ``with`` to its end.

    clock: RealClock (a thread) by default. rate_hz: the source's own by default. A sample's time is the middle of
    its reading. late: samples begun over half a period behind; dropped: periods that passed without a sample.
    A failure in the background is raised by the next call, in the caller's thread.
    """

    def __init__(self, source: PowerSource, clock: Clock | None = None, rate_hz: float | None = None) -> None:
        self.source, self.clock = source, clock or RealClock()
        self.rate_hz = source.rate_hz if rate_hz is None else rate_hz
        require_positive(source.name, rate_hz=self.rate_hz)
        self.late = self.dropped = 0
        self._times: list[float] = []
        self._watts: list[float] = []
        self._failure: Exception | None = None
        self._job: Job | None = None
        self._heard_s = self._started_s = self.clock.now()

    def __enter__(self) -> Sampler:
        self._heard_s = self._started_s = self.clock.now()
        self._job = self.clock.spawn(self._loop())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._job is not None
        ended = self._job.stop(self._patience_s)
        if kind is not None:
            return
        self.check()
        if not ended:
            raise self._silent()

    @property
    def samples(self) -> int:
        """Return the number of samples so far."""
        return len(self._times)

    @property
    def measured_rate_hz(self) -> float:
        """Return samples per second, from the first to the last."""
        span = self._times[-1] - self._times[0] if self.samples > 1 else 0.0
        return (self.samples - 1) / span if span > 0 else 0.0

    @property
    def _patience_s(self) -> float:
        return max(_SILENCE_S, 10 / self.rate_hz)

    def _silent(self) -> TooSlowError:
        return TooSlowError(
            f"{self.source.name}: no answer for {self.clock.now() - self._heard_s:.3g} s at {self.rate_hz:.3g} Hz; "
            "check its cable, or power it off and on"
        )

    def check(self) -> None:
        """Raise what went wrong in the background, or TooSlowError when nothing has been heard for long."""
        if self._failure is not None:
            raise self._failure
        if self.clock.now() - self._heard_s > self._patience_s:
            raise self._silent()

    def wait(self, seconds: float) -> None:
        """Wait while sampling; raise at once what goes wrong."""
        end = self.clock.now() + seconds
        while (left := end - self.clock.now()) > 0:
            self.clock.sleep(min(left, 0.5))
            self.check()

    def window(self, start_s: float, end_s: float, images: int = 0) -> Window:
        """Return what was measured from ``start_s`` to ``end_s`` of the clock. Raises TooSlowError."""
        self.check()
        count = self.samples  # the thread appends to the times last
        times, watts = np.array(self._times[:count]), np.array(self._watts[:count])
        window = cut(self.source.name, times, watts, start_s, end_s, images)
        slots = (self.clock.now() - self._started_s) * self.rate_hz
        if self.dropped > slots / 2:
            raise TooSlowError(
                f"{self.source.name}: asked for {self.rate_hz:.3g} Hz, got {self.measured_rate_hz:.3g} Hz; "
                f"give rate_hz={self.measured_rate_hz:.2g} or less, or free the processor or the bus"
            )
        return window

    def _loop(self) -> Iterator[float]:
        checks, period = ReadingChecks(self.source), 1 / self.rate_hz
        start, slot = self.clock.now(), 0
        try:
            while True:
                due = start + slot * period
                yield due
                began = self.clock.now()
                reading = self.source.read()
                ended = self.clock.now()
                self.late += began - due > period / 2
                checks.add(reading, ended)
                self._watts.append(reading.power_w)
                self._times.append((began + ended) / 2)
                self._heard_s = ended
                # 1e-6: a reading that ends on the next slot's edge, but for rounding, has not missed it.
                following = max(slot + 1, math.ceil((ended - start) / period - 1e-6))
                self.dropped += following - slot - 1
                slot = following
        except Exception as error:  # raised again by check(), in the caller's thread
            self._failure = error
