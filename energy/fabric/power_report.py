"""The text that Vivado's report_power writes: what it says of each kind of resource, its clocks and its part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import FabricError

# Rows of On-Chip Components that are LUTs: 7-series and UltraScale+ name their carry chains differently.
LUTS = ("LUT as Logic", "LUT as Distributed RAM", "LUT as Shift Register", "LUT as Memory")
WITH_LUTS = (*LUTS, "CARRY4", "CARRY8", "F7/F8 Muxes", "F7/F8/F9 Muxes")
LOGIC = ("Slice Logic", "CLB Logic")
STEP_W = 0.001
_SECTION = re.compile(r"^\d+(\.\d+)*\.?\s+(\S.*?)\s*$")


@dataclass(frozen=True)
class Component:
    """A row of On-Chip Components. watts: None for "<0.001"; used: None where it is blank or a dash."""

    watts: float | None
    used: float | None


@dataclass(frozen=True)
class PowerReport:
    """One report. simulation: the SAIF it read, None if toggle rates were propagated instead.

    clocks: name -> MHz, of the clock constraints, which it prints in ns with one decimal. nets_matched: as
    printed. components: name -> row, indented ones too.
    """

    path: str
    part: str
    state: str
    tool: str
    total_w: float
    dynamic_w: float
    static_w: float
    confidence: str
    simulation: str | None
    nets_matched: str
    components: dict[str, Component]
    clocks: dict[str, float]

    def watts(self, names: tuple[str, ...]) -> float | None:
        """Return the sum over rows; a row below a milliwatt counts 0; None if no row has a milliwatt."""
        found = [row.watts for name in names if (row := self.components.get(name)) and row.watts]
        return sum(found) if found else None

    def used(self, names: tuple[str, ...]) -> float:
        """Return how many are used, 0 without such rows."""
        return sum(row.used or 0.0 for name in names if (row := self.components.get(name)))


def load(path: Path) -> PowerReport:
    """Return a report_power text file. Raises FabricError for any other file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise FabricError(f"{path}: cannot be read ({error}); give the file of `report_power -file`") from error
    return parse(text, str(path))


def parse(text: str, path: str = "power.rpt") -> PowerReport:
    """Return the report in a text. Raises FabricError if it is none, or has no part, summary or components."""
    header = dict(re.findall(r"^\|\s*(Tool Version|Command|Device|Design State)\s*:\s*(.*?)\s*$", text, re.MULTILINE))
    tables = _tables(text)
    summary = {row[0]: row[1] for row in tables.get("Summary", []) if len(row) == 2}
    rows = {row[0]: row for row in tables.get("On-Chip Components", []) if len(row) >= 3}
    rows.pop("On-Chip", None)
    if "Device" not in header or not rows or "Total On-Chip Power (W)" not in summary:
        raise FabricError(
            f"{path}: no power report: expected a Device line, a Summary and On-Chip Components; "
            "give the text file of Vivado's `report_power -file`"
        )
    simulation = summary.get("Simulation Activity File", "---")
    return PowerReport(
        path=path,
        part=header["Device"],
        state=header.get("Design State", "unknown"),
        tool=header.get("Tool Version", "unknown"),
        total_w=_watts(summary, "Total On-Chip Power (W)", path),
        dynamic_w=_watts(summary, "Dynamic (W)", path),
        static_w=_watts(summary, "Device Static (W)", path),
        confidence=summary.get("Confidence Level", "unknown"),
        simulation=None if simulation.strip("- ") in ("", "NA") else simulation,
        nets_matched=" ".join(summary.get("Design Nets Matched", "NA").split()),
        components={name: Component(_number(row[1]), _number(row[2])) for name, row in rows.items()},
        clocks=_clocks(tables.get("Clock Constraints", [])),
    )


def _tables(text: str) -> dict[str, list[list[str]]]:
    """Return heading, without its number -> rows of the table under it; a heading is underlined with dashes."""
    found: dict[str, list[list[str]]] = {}
    heading, lines = "", text.splitlines()
    for line, following in zip(lines, [*lines, ""][1:], strict=True):
        match = _SECTION.match(line)
        if match and following.startswith("---"):
            heading = match.group(2)
        elif line.startswith("|"):
            found.setdefault(heading, []).append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return found


def _number(text: str) -> float | None:
    # "<0.001" is below what it prints, so there is no number to scale by.
    try:
        return float(text)
    except ValueError:
        return None


def _watts(summary: dict[str, str], key: str, path: str) -> float:
    value = _number(summary.get(key, ""))
    if value is None or not 0 <= value < float("inf"):
        raise FabricError(f"{path}: {key}: expected watts, got {summary.get(key, 'nothing')!r}; write the report again")
    return value


def _clocks(rows: list[list[str]]) -> dict[str, float]:
    periods = {row[0]: _number(row[2]) for row in rows if len(row) == 3}
    return {name: 1000.0 / period for name, period in periods.items() if period}
