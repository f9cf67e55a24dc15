"""activity.json: read, checked, and turned into numbers a cycle."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import FabricError
from .parts import FAMILIES, find

FORMAT, SCHEMA = "spikeclip-fpga/activity", 1
# A net without glitches changes at most twice a cycle, and then it is a clock.
MOST_TOGGLES = 2.0


@dataclass(frozen=True)
class Node:
    """One node's resources and its switching in a frame. register_* are None where they cannot be told apart."""

    name: str
    layer: str | None
    op: str
    lut: float
    ff: float
    bram18: float
    dsp: float
    bits: float
    toggles: float
    register_bits: float | None
    register_toggles: float | None
    bram_accesses: float
    dsp_operations: float


@dataclass(frozen=True)
class Activity:
    """What switched. subject, stimulus, netlist and notes are as the file has them."""

    part: str
    family: str
    clk_mhz: float
    cycles: float
    frames: int
    nodes: tuple[Node, ...]
    subject: dict[str, Any]
    stimulus: dict[str, Any]
    netlist: dict[str, Any]
    notes: tuple[str, ...]


def load(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, unchecked. Raises FabricError where there is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FabricError(
            f"{path}: no JSON ({error}); give an activity.json that `spikeclip activity` wrote"
        ) from error
    if not isinstance(data, dict):
        raise FabricError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data


def read(data: dict[str, Any]) -> Activity:
    """Return a checked activity. Raises FabricError naming what is missing, negative, no number or contradictory."""
    if data.get("format") != FORMAT:
        raise FabricError(f"activity: format: expected {FORMAT!r}, got {data.get('format')!r}; give an activity.json")
    if data.get("schema") != SCHEMA:
        raise FabricError(f"activity: schema: expected {SCHEMA}, got {data.get('schema')!r}; count it again")
    subject = _object(data, "subject")
    part, family = _text(subject, "part", "subject"), _text(subject, "family", "subject")
    if family not in FAMILIES:
        raise FabricError(f"activity: subject: family: expected one of {', '.join(FAMILIES)}, got {family!r}")
    if find(part).family != family:
        raise FabricError(f"activity: subject: family: {part} is of {find(part).family}, got {family!r}")
    nodes = data.get("nodes")
    if not isinstance(nodes, list) or not nodes:
        raise FabricError("activity: nodes: expected a list with at least one node; count the activity again")
    frames = _number(data, "frames", "activity")
    if frames < 1 or frames != int(frames):
        raise FabricError(f"activity: frames: expected a whole number above 0, got {frames:g}")
    cycles = _positive(data, "cycles_per_frame", "activity")
    notes = data.get("notes", [])
    if not isinstance(notes, list):
        raise FabricError(f"activity: notes: expected a list of texts, got {type(notes).__name__}")
    return Activity(
        part=part,
        family=family,
        clk_mhz=_positive(subject, "clk_mhz", "subject"),
        cycles=cycles,
        frames=int(frames),
        nodes=tuple(_node(node, i, cycles) for i, node in enumerate(nodes)),
        subject=subject,
        stimulus=_object(data, "stimulus"),
        netlist=_object(data, "netlist"),
        notes=tuple(str(note) for note in notes),
    )


def _node(raw: Any, index: int, cycles: float) -> Node:
    if not isinstance(raw, dict):
        raise FabricError(f"activity: nodes[{index}]: expected an object, got {type(raw).__name__}")
    where = f"node {_text(raw, 'name', f'nodes[{index}]')}"
    counts = {name: _number(raw, name, where) for name in ("lut", "ff", "bram18", "dsp", "bits")}
    registers = [_optional(raw, key, where) for key in ("register_bits", "register_toggles_per_frame")]
    node = Node(
        name=str(raw["name"]),
        layer=None if raw.get("layer") is None else _text(raw, "layer", where),
        op=_text(raw, "op", where),
        **counts,
        toggles=_number(raw, "toggles_per_frame", where),
        register_bits=registers[0],
        register_toggles=registers[1],
        bram_accesses=_number(raw, "bram_accesses_per_frame", where),
        dsp_operations=_number(raw, "dsp_operations_per_frame", where),
    )
    _check(node, where, cycles)
    return node


def _check(node: Node, where: str, cycles: float) -> None:
    if (node.register_bits is None) != (node.register_toggles is None):
        raise FabricError(f"{where}: register_bits and register_toggles_per_frame: give both, or null for both")
    pairs = [("toggles_per_frame", node.toggles, "bits", node.bits)]
    if node.register_bits is not None and node.register_toggles is not None:
        pairs += [
            ("register_toggles_per_frame", node.register_toggles, "register_bits", node.register_bits),
            # The registers are among all signals, so what is left must be possible too.
            ("other toggles", node.toggles - node.register_toggles, "other bits", node.bits - node.register_bits),
        ]
    for what, toggles, of, bits in pairs:
        slack = 1e-9 * max(1.0, node.toggles)
        if bits < 0 or toggles < -slack or toggles > MOST_TOGGLES * bits * cycles + slack:
            raise FabricError(
                f"{where}: {what}: expected 0 to {MOST_TOGGLES:g} for each of {bits:g} {of} and {cycles:g} cycles, "
                f"got {toggles:g}; count the activity again"
            )


def _object(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    if not isinstance(value, dict):
        raise FabricError(f"activity: {key}: expected an object, got {'nothing' if value is None else repr(value)}")
    return value


def _text(data: dict[str, Any], key: str, where: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise FabricError(f"{where}: {key}: expected text, got {'nothing' if value is None else repr(value)}")
    return value


def _optional(data: dict[str, Any], key: str, where: str) -> float | None:
    return None if data.get(key) is None else _number(data, key, where)


def _positive(data: dict[str, Any], key: str, where: str) -> float:
    value = _number(data, key, where)
    if value <= 0:
        raise FabricError(f"{where}: {key}: expected a number above 0, got {value:g}")
    return value


def _number(data: dict[str, Any], key: str, where: str) -> float:
    if key not in data:
        raise FabricError(f"{where}: {key}: missing; count the activity again")
    value = data[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise FabricError(f"{where}: {key}: expected a number of at least 0, got {value!r}")
    return float(value)
