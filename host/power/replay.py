"""A recording of power (CSV) as a source: for meters that log by themselves, and for repeating a measurement."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .clock import Clock, RealClock
from .errors import RecordingError
from .source import PowerSource, Reading, require_boundary

_SCALE = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "w": 1.0, "mw": 1e-3, "uw": 1e-6}
_SCALE |= {"v": 1.0, "mv": 1e-3, "a": 1.0, "ma": 1e-3, "ua": 1e-6}
_QUANTITY_UNITS = {
    "time": ("s", "ms", "us"),
    "power": ("w", "mw", "uw"),
    "voltage": ("v", "mv"),
    "current": ("a", "ma", "ua"),
}
# A step between samples longer than this many usual ones is a gap.
_GAP_STEPS = 5


@dataclass(frozen=True)
class Recording:
    """time_s (n,) increasing, power_w (n,) float64; resolution_w: smallest step between readings, None if constant."""

    name: str
    time_s: np.ndarray
    power_w: np.ndarray

    @property
    def rate_hz(self) -> float:
        """Return samples per second, from the usual step."""
        return 1 / float(np.median(np.diff(self.time_s)))

    @property
    def resolution_w(self) -> float | None:
        """Return the smallest difference of two readings in W, None if there is none."""
        steps = np.diff(np.unique(self.power_w))
        return float(steps.min()) if len(steps) else None

    def require(self, start_s: float, end_s: float) -> None:
        """Raise RecordingError unless start < end lie within the recording."""
        first, last = float(self.time_s[0]), float(self.time_s[-1])
        slack = 1.0 / self.rate_hz
        if not first - slack <= start_s < end_s <= last + slack:
            raise RecordingError(
                f"{self.name}: expected a span within {first:.6g} to {last:.6g} s, got {start_s:.6g} to {end_s:.6g} s"
            )


def _column(header: str) -> tuple[str, str] | None:
    """Return quantity and unit of a header such as power_mw, "Power [mW]" or "time (s)"; unit "" if there is none."""
    match = re.fullmatch(r"(time|power|voltage|current)[\s_]*[\[(]?\s*(\w*)\s*[\])]?", header.strip().lower())
    return (match[1], match[2].replace("µ", "u").replace("μ", "u")) if match else None


def _columns(path: Path, header: list[str]) -> dict[str, tuple[int, float]]:
    """Return quantity -> index and factor to SI. Raises RecordingError for a missing unit or quantity."""
    found: dict[str, tuple[int, float]] = {}
    for index, text in enumerate(header):
        known = _column(text)
        if known is None:
            continue
        quantity, unit = known
        if unit not in _QUANTITY_UNITS[quantity]:
            units = ", ".join(f"{quantity}_{u}" for u in _QUANTITY_UNITS[quantity])
            raise RecordingError(f"{path}: column {text!r}: expected a unit, one of {units}; name it in the header")
        if quantity in found:
            raise RecordingError(f"{path}: column {text!r}: a second {quantity}; leave one")
        found[quantity] = index, _SCALE[unit]
    if "time" not in found or not ("power" in found or {"voltage", "current"} <= set(found)):
        raise RecordingError(
            f"{path}: expected columns time_s and power_w (or voltage_v and current_a), got {header!r:.120}"
        )
    return found


def load_recording(path: Path) -> Recording:
    """Return the recording in a CSV file with header; lines starting with # are skipped.

    Raises RecordingError: no file, no units, a line that is no numbers, time not increasing, a gap.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read ({error}); give a CSV file with a header") from error
    kept = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if not kept:
        raise RecordingError(f"{path}: empty; expected a header such as time_s,power_w and samples")
    columns = _columns(path, next(csv.reader([kept[0][1]])))
    values: dict[str, list[float]] = {quantity: [] for quantity in columns}
    for number, line in kept[1:]:
        row = next(csv.reader([line]))
        for quantity, (index, factor) in columns.items():
            try:
                values[quantity].append(float(row[index]) * factor)
            except (ValueError, IndexError):
                raise RecordingError(
                    f"{path}: line {number}: {quantity}: expected a number, got {line!r:.80}; mend or remove the line"
                ) from None
    data = {quantity: np.array(column) for quantity, column in values.items()}
    times, watts = data["time"], data["power"] if "power" in data else data["voltage"] * data["current"]
    _require_samples(path, [number for number, _ in kept[1:]], times, watts)
    return Recording(str(path), times, watts)


def _require_samples(path: Path, lines: list[int], times: np.ndarray, watts: np.ndarray) -> None:
    if len(times) < 3:
        raise RecordingError(f"{path}: {len(times)} samples, expected 3 or more")
    for what, bad in (("time", ~np.isfinite(times)), ("power", ~np.isfinite(watts) | (watts < 0))):
        if bad.any():
            first = int(np.argmax(bad))
            raise RecordingError(
                f"{path}: line {lines[first]}: {what}: expected a finite number, 0 or more for power, got "
                f"{times[first] if what == 'time' else watts[first]:g}; mend or remove the line"
            )
    steps = np.diff(times)
    if (steps <= 0).any():
        at = int(np.argmax(steps <= 0)) + 1
        raise RecordingError(
            f"{path}: line {lines[at]}: time {times[at]:.6g} s does not come after {times[at - 1]:.6g} s; sort it"
        )
    usual, at = float(np.median(steps)), int(np.argmax(steps))
    if steps[at] > _GAP_STEPS * usual:
        raise RecordingError(
            f"{path}: line {lines[at + 1]}: gap of {steps[at]:.4g} s after {times[at]:.6g} s, expected steps of about "
            f"{usual:.3g} s; cut the recording there, or record again"
        )


class CsvReplay(PowerSource):
    """Plays a recording from its start at the first reading; each sample holds until the next."""

    def __init__(self, path: str | Path, *, boundary: str, clock: Clock | None = None) -> None:
        self.recording = load_recording(Path(path))
        self.name = f"recording {path}"
        self.boundary = require_boundary(self.name, boundary)
        self.rate_hz, self.resolution_w = self.recording.rate_hz, self.recording.resolution_w
        self.detail = "replayed, not measured now"
        self._clock: Clock = clock or RealClock()
        self._start_s: float | None = None

    def read(self) -> Reading:
        """Return the sample of this moment. Raises RecordingError past the end."""
        now = self._clock.now()
        if self._start_s is None:
            self._start_s = now
        times = self.recording.time_s
        at = times[0] + now - self._start_s
        if at > times[-1] + 1.5 / self.rate_hz:
            raise RecordingError(
                f"{self.name}: ends after {times[-1] - times[0]:.6g} s, and the measurement goes on; "
                "record longer, or ask for fewer or shorter windows"
            )
        # 1e-6: a reading on the very time of a sample, but for rounding, is that sample.
        index = int(np.searchsorted(times, at + 1e-6 / self.rate_hz, side="right")) - 1
        return Reading(float(self.recording.power_w[max(0, index)]))
