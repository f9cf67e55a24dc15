"""report.json: its format, its sections, and how it is read back and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FORMAT, SCHEMA = "spikeclip-fpga/report", 1
# Section -> the type it has. A section that may be missing is null, never absent.
SECTIONS: dict[str, tuple[type, ...]] = {
    "head": (dict,),
    "networks": (list,),
    "ladder": (list,),
    "spikes": (dict,),
    "rasters": (list,),
    "energy": (dict,),
    "hardware": (dict,),
    "sweep": (dict, type(None)),
    "provenance": (dict,),
}
# What a number can be, and the sentence that explains it.
KINDS = {
    "theory": "theory: the papers' formula on counted spikes; memory, neurons and control cost nothing in it",
    "estimate": "estimate: a model with coefficients from the literature",
    "simulated": "simulated: counted clock by clock in a simulation of the hardware's RTL",
    "computed": "computed: the network's arithmetic, run in software; no model in between",
    "measured": "measured: with a sensor, on a board",
    "not measured": "not measured: no board ran, so there is no number",
}


class ReportError(RuntimeError):
    """A report that cannot be made or read; one line with the remedy."""


def check(content: Any, where: str) -> dict[str, Any]:
    """Return ``content`` if it has format, schema and all sections; raise ReportError naming the first flaw."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        got = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ReportError(f"{where}: format: expected {FORMAT}, got {got!r}; give a report.json of `spikeclip report`")
    if content.get("schema") != SCHEMA:
        raise ReportError(f"{where}: schema: expected {SCHEMA}, got {content.get('schema')!r}; make the report again")
    for name, types in SECTIONS.items():
        if name not in content or not isinstance(content[name], types):
            expected = " or ".join("null" if t is type(None) else t.__name__ for t in types)
            got = type(content[name]).__name__ if name in content else "nothing"
            raise ReportError(f"{where}: {name}: expected {expected}, got {got}; make the report again")
    for i, network in enumerate(content["networks"]):
        found = network.get("hardware_accuracy", "nothing") if isinstance(network, dict) else network
        if found is not None and not isinstance(found, dict):
            got = found if found == "nothing" else type(found).__name__
            field = f"networks[{i}].hardware_accuracy"
            raise ReportError(f"{where}: {field}: expected dict or null, got {got}; make the report again")
    return content


def read(path: Path) -> dict[str, Any]:
    """Return the report in ``path``; raise ReportError if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: expected a report.json of `spikeclip report`, got {error}") from error
    return check(content, str(path))


def write(path: Path, text: str) -> None:
    """Write ``text`` to ``path``: to a temporary name first, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read_json(path: Path, expected: str, remedy: str) -> dict[str, Any]:
    """Return the JSON object in ``path``, whose format is ``expected`` ("" for any); raise ReportError otherwise."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: cannot be read ({error}); {remedy}") from error
    if not isinstance(content, dict) or (expected and (content.get("format"), content.get("schema")) != (expected, 1)):
        raise ReportError(f"{path}: expected format {expected or 'of a JSON object'}, schema 1; {remedy}")
    return content
