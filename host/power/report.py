"""The energy of an inference with everything needed to judge it: energy.json, and a table to read."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from .errors import ReportError
from .intervals import Estimate

FORMAT, SCHEMA = "spikeclip-fpga/energy", 1
Pairing = Literal["interleaved", "separate"]
# The unit each estimate must be in; board_idle_w may be null.
UNITS = {
    "energy_total_mj": "mJ",
    "energy_dynamic_mj": "mJ",
    "board_idle_w": "W",
    "configured_idle_w": "W",
    "active_w": "W",
    "time_per_image_ms": "ms",
}


@dataclass(frozen=True)
class Sensor:
    """What measured: resolution_w and accuracy_pct are None where not known or not stated."""

    name: str
    boundary: str
    rate_hz: float
    resolution_w: float | None
    accuracy_pct: float | None
    detail: str


@dataclass(frozen=True)
class Sampling:
    """How it was read: rate_hz as measured, samples in all, how many late, how many periods without one."""

    rate_hz: float
    samples: int
    late: int
    dropped: int


@dataclass(frozen=True)
class Procedure:
    """How it was done: idle and active windows in turn (paired), or separate."""

    pairing: Pairing
    windows: int
    window_s: float
    warmup_s: float
    settle_s: float


@dataclass(frozen=True)
class WindowRow:
    """One window: mean power over its duration and its standard error, images done in it, samples in it."""

    duration_s: float
    power_w: float
    error_w: float
    images: int
    samples: int


@dataclass(frozen=True)
class EnergyReport:
    """Energy per image, total and dynamic, in mJ, with baselines, 95 % intervals, sensor and windows."""

    created: str
    sensor: Sensor
    sampling: Sampling
    procedure: Procedure
    images: int
    energy_total_mj: Estimate
    energy_dynamic_mj: Estimate
    board_idle_w: Estimate | None
    configured_idle_w: Estimate
    active_w: Estimate
    time_per_image_ms: Estimate
    lag1_total: float
    lag1_dynamic: float
    idle_windows: tuple[WindowRow, ...]
    active_windows: tuple[WindowRow, ...]

    def to_json(self) -> str:
        """Return the report as JSON text that from_json() reads back equal."""
        return json.dumps({"format": FORMAT, "schema": SCHEMA, **asdict(self)}, indent=1, allow_nan=False) + "\n"

    def write(self, path: Path) -> None:
        """Write energy.json."""
        path.write_text(self.to_json(), encoding="utf-8")

    def table(self) -> str:
        """Return the report as a text table."""
        sensor, sampling, run = self.sensor, self.sampling, self.procedure
        seconds = self.time_per_image_ms.value / 1e3
        accuracy = "not stated" if sensor.accuracy_pct is None else f"{sensor.accuracy_pct:g} %"
        step = "unknown" if sensor.resolution_w is None else f"{1e3 * sensor.resolution_w:.3g} mW"
        idle = "not measured" if self.board_idle_w is None else str(self.board_idle_w)
        rows = [
            ("energy per image, total", str(self.energy_total_mj)),
            ("energy per image, dynamic", str(self.energy_dynamic_mj)),
            ("power, active", str(self.active_w)),
            ("power, configured and idle", str(self.configured_idle_w)),
            ("power, board idle", idle),
            ("time per image", f"{self.time_per_image_ms} ({1 / seconds:.4g} images/s)"),
            ("images", f"{self.images} in {run.windows} windows of {run.window_s:.3g} s ({run.pairing} idle windows)"),
            ("sensor", f"{sensor.name}" + (f" ({sensor.detail})" if sensor.detail else "")),
            ("boundary", sensor.boundary),
            ("sensor's own error", f"{accuracy} (not in the intervals); step {step}"),
            (
                "sampling",
                f"{sampling.rate_hz:.4g} Hz, {sampling.samples} samples, {sampling.late} late, "
                f"{sampling.dropped} dropped",
            ),
        ]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {value}" for name, value in rows]
        return "\n".join([*lines, "[..]: 95 % interval, Student's t over windows"]) + "\n"


def read_report(path: Path) -> EnergyReport:
    """Return the report in an energy.json. Raises ReportError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{path}: cannot be read ({error}); give an energy.json written by spikeclip") from error
    return from_json(text, str(path))


def from_json(text: str, where: str = "energy.json") -> EnergyReport:
    """Return the report in JSON text. Raises ReportError for another schema, missing or wrong fields and units."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ReportError(f"{where}: no JSON ({error}); measure again") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ReportError(f"{where}: format: expected {FORMAT!r}; give an energy.json written by spikeclip")
    if data.get("schema") != SCHEMA:
        raise ReportError(
            f"{where}: schema: expected {SCHEMA}, got {data.get('schema')!r}; use the version that wrote it"
        )
    body = {key: value for key, value in data.items() if key not in ("format", "schema")}
    for key, unit in UNITS.items():
        if body.get(key) is None and not (key == "board_idle_w" and key in body):
            raise ReportError(f"{where}: {key}: missing; measure again")
        if body[key] is not None:
            body[key] = _estimate(body[key], unit, f"{where}: {key}")
    body["sensor"] = _record(Sensor, body.get("sensor"), f"{where}: sensor")
    body["sampling"] = _record(Sampling, body.get("sampling"), f"{where}: sampling")
    body["procedure"] = _record(Procedure, body.get("procedure"), f"{where}: procedure")
    for key in ("idle_windows", "active_windows"):
        rows = body.get(key)
        if not isinstance(rows, list) or not rows:
            raise ReportError(f"{where}: {key}: expected a list of windows, got {rows!r:.60}; measure again")
        body[key] = tuple(_record(WindowRow, row, f"{where}: {key}") for row in rows)
    return _record(EnergyReport, body, where)


def _estimate(value: Any, unit: str, where: str) -> Estimate:
    if not isinstance(value, dict) or "unit" not in value:
        raise ReportError(f"{where}: expected a value with a unit, got {value!r:.60}; a figure without unit is none")
    estimate = _record(Estimate, value, where)
    if estimate.unit != unit:
        raise ReportError(f"{where}: unit: expected {unit!r}, got {estimate.unit!r}; convert it, or measure again")
    if not estimate.low95 <= estimate.value <= estimate.high95:
        raise ReportError(f"{where}: expected low95 <= value <= high95, got {estimate}; measure again")
    return estimate


def _record(kind: type, value: Any, where: str) -> Any:
    """Return dataclass ``kind`` of a JSON object with exactly its fields, numbers finite. Raises ReportError."""
    wanted = {field.name: str(field.type) for field in fields(kind)}
    got = set(value) if isinstance(value, dict) else set()
    if got != set(wanted):
        missing, unknown = sorted(set(wanted) - got), sorted(got - set(wanted))
        raise ReportError(f"{where}: missing {missing or 'nothing'}, unknown {unknown or 'nothing'}; measure again")
    for key, declared in wanted.items():
        item = value[key]
        optional = "None" in declared and item is None
        if declared.startswith(("float", "int")) and not optional:
            number = isinstance(item, int if declared.startswith("int") else (int, float))
            if not number or isinstance(item, bool) or not math.isfinite(item):
                raise ReportError(f"{where}: {key}: expected a finite number, got {item!r:.60}; measure again")
        elif declared.startswith("str") and not isinstance(item, str):
            raise ReportError(f"{where}: {key}: expected text, got {item!r:.60}; measure again")
    return kind(**value)
