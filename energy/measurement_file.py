"""Read a measurement file strictly: JSON, format, fields with their types and units; numbers finite."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

FORMAT, SCHEMA = "spikeclip-fpga/measurement", 1
REPORT_FORMAT, REPORT_SCHEMA = "spikeclip-fpga/energy", 1
REMEDY = "write it again with `spikeclip measure --out`"
# Keys of the energy report that are estimates, and the unit each must have; board_idle_w may be null.
UNITS = {
    "energy_total_mj": "mJ",
    "energy_dynamic_mj": "mJ",
    "board_idle_w": "W",
    "configured_idle_w": "W",
    "active_w": "W",
    "time_per_image_ms": "ms",
}
# Beyond these no quantity of a board lies, and products of some still are finite and not zero.
_LARGEST, _SMALLEST, _MOST = 1e50, 1e-50, 2**53
_UNIT = re.compile(r"_(mj|uj|nj|kj|j|mw|uw|kw|w|ms|us|ns|s|mhz|khz|hz)$")


class MeasurementError(ValueError):
    """A measurement that is not to be used; one line with file, field, expected, got and remedy."""


class Fields:
    """The fields of a JSON object, each asked for with its type; ``where`` names it in errors."""

    def __init__(self, where: str, content: Any) -> None:
        if not isinstance(content, dict):
            raise MeasurementError(f"{where}: expected an object, got {content!r:.60}; {REMEDY}")
        self.where, self.content = where, content

    def error(self, key: str, expected: str, remedy: str = REMEDY) -> MeasurementError:
        """Return the error for a field."""
        shown = f"got {self.content[key]!r:.60}" if key in self.content else "which is missing"
        return MeasurementError(f"{self.where}: {key}: expected {expected}, {shown}; {remedy}")

    def raw(self, key: str) -> Any:
        """Return a field that must be there, its unit in its name."""
        if key not in self.content:
            stem = _UNIT.sub("", key)
            for other in self.content:
                if stem != key and _UNIT.sub("", other) == stem:
                    unit = _UNIT.search(other)
                    said = f"another unit, {other!r}" if unit else f"{other!r}, which names no unit"
                    raise MeasurementError(f"{self.where}: expected {key!r}, got {said}; {REMEDY}")
            raise self.error(key, "a value")
        return self.content[key]

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = self.raw(key)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, "a text")
        return value

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self.raw(key)
        if not isinstance(value, bool):
            raise self.error(key, "true or false")
        return value

    def number(self, key: str, least: float = -math.inf, above: float = -math.inf) -> float:
        """Return a finite number, at least ``least`` and above ``above``."""
        value = self.raw(key)
        bounds = f" of {least:g} or more" if least > -math.inf else f" above {above:g}" if above > -math.inf else ""
        good = isinstance(value, int | float) and not isinstance(value, bool)
        good = good and (value == 0 or _SMALLEST <= abs(value) <= _LARGEST)
        if not good or value < least or not value > above:
            raise self.error(key, f"a finite number{bounds}")
        return float(value)

    def count(self, key: str, least: int = 0) -> int:
        """Return an integer of ``least`` or more."""
        value = self.raw(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
            raise self.error(key, f"an integer of {least} or more")
        return value

    def optional(self, key: str) -> float | None:
        """Return a finite number or None for null."""
        return None if self.raw(key) is None else self.number(key)

    def inside(self, key: str) -> Fields:
        """Return the object in a field."""
        return Fields(f"{self.where}: {key}", self.raw(key))

    def rows(self, key: str) -> list[Fields]:
        """Return the objects of a list."""
        value = self.raw(key)
        if not isinstance(value, list):
            raise self.error(key, "a list")
        return [Fields(f"{self.where}: {key}[{i}]", row) for i, row in enumerate(value)]


def read_file(path: Path) -> Fields:
    """Return the fields of a measurement file. Raises MeasurementError: unreadable, no JSON, another format."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, UnicodeDecodeError) as error:
        raise MeasurementError(f"{path}: cannot be read ({error}); {REMEDY}") from error
    except (ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise MeasurementError(
            f"{path}: expected JSON that `spikeclip measure` wrote, got {said:.120}; {REMEDY}"
        ) from error
    found = Fields(str(path), content)
    require_format(found, FORMAT, SCHEMA)
    return found


def require_format(found: Fields, expected: str, schema: int) -> None:
    """Raise MeasurementError for another format or schema."""
    if found.content.get("format") != expected:
        raise found.error("format", repr(expected), "give the file that `spikeclip measure --out` wrote")
    if found.content.get("schema") != schema or isinstance(found.content["schema"], bool):
        raise found.error("schema", str(schema), "read it with the version that wrote it, or measure again")


def estimate(report: Fields, key: str) -> tuple[float, float, float]:
    """Return value, low95 and high95 of an estimate in the unit its name says. Raises MeasurementError."""
    found, unit = report.inside(key), UNITS[key]
    if "unit" not in found.content or found.content["unit"] != unit:
        raise found.error("unit", repr(unit), "a figure without its unit is none; measure again")
    value, low, high = (found.number(part) for part in ("value", "low95", "high95"))
    if not low <= value <= high:
        raise MeasurementError(
            f"{found.where}: expected low95 <= value <= high95, got {low:g}, {value:g}, {high:g} {unit}; {REMEDY}"
        )
    return value, low, high


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant}, which is no finite number")
