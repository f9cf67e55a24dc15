"""What the page says in words and how long its bars are, computed from the report alone."""

from __future__ import annotations

from typing import Any

from ..schema import KINDS
from . import numbers
from .charts import COLUMNS

# What a column of energies is, as a badge says it.
BADGES = {
    "theory": "theory",
    "theory_width": "theory",
    "memory_aware": "estimate",
    "fabric": "estimate",
    "measured": "measured",
}
TITLES = {
    "theory": "Theory (the papers' formula)",
    "theory_width": "Theory, integer prices by real widths",
    "memory_aware": "Memory-aware estimate, 45 nm",
    "fabric": "Activity-based estimate of this FPGA, dynamic",
    "measured": "Measured on a board, dynamic",
}
_BY = {"theory": "theory", "memory_aware": "the memory-aware estimate", "fabric": "the estimate of this FPGA"}
# Nodes that take less than this share of a frame's cycles limit nothing and are listed in the long table only.
_SHOWN_BUSY = 0.3


def view(report: dict[str, Any]) -> dict[str, Any]:
    """Return what the templates need beside the report itself."""
    spikes, hardware = report["spikes"], report["hardware"]
    sops = [row["sops"] or row["macs"] for row in spikes["operations"]]
    return {
        "columns": COLUMNS,
        "badges": BADGES if report["provenance"]["on_board"] else BADGES | {"measured": "not measured"},
        "titles": TITLES,
        "kinds": KINDS,
        "names": {network["kind"]: network["name"] for network in report["networks"]},
        "tiles": _tiles(report),
        "findings": _findings(report),
        "unequal": [row for row in report["ladder"] if row["mismatches"]],
        "compared": sum(row["elements"] for row in report["ladder"] if row["elements"]),
        "top_rate": max(rate for layer in spikes["layers"] for rate in layer["rate_by_step"]) or 1.0,
        "top_class_rate": max(rate for one in spikes["classes"] for rate in one["rate_by_layer"].values()) or 1.0,
        "top_operations": max(row["dense"] for row in spikes["operations"]),
        "top_done": max(sops),
        "top_layer_nj": max(row["ann_energy_nj"] for row in report["energy"]["estimates"]["theory"]["layers"]),
        "busy": [node for node in hardware["nodes"] if (node["busy"] or 0) >= _SHOWN_BUSY],
        "shown_busy": _SHOWN_BUSY,
        "streams": [limit for limit in hardware["limits"] if limit["where"] == "stream"],
        "sweep_plots": _sweep_plots(report),
        "notes": _notes(report),
    }


def _tiles(report: dict[str, Any]) -> list[dict[str, str]]:
    first, hardware = report["networks"][0], report["hardware"]
    accuracy, energies = first["accuracy"], first["energies"]
    tiles = [
        {
            "title": "Accuracy",
            "value": f"{accuracy['percent']:.2f} %",
            "kind": "computed",
            "text": f"{numbers.count(accuracy['correct'])} of {numbers.count(accuracy['images'])} images right; "
            f"95 % interval {accuracy['low95']:.2f} to {accuracy['high95']:.2f} %",
        }
    ]
    for column in ("theory", "memory_aware", "fabric", "measured"):
        found = energies[column]
        there = found["value_nj"] is not None
        text = found["note"] if not there else numbers.plain(found["variant"])
        if there and found["low_nj"] is not None:
            text += f"; {numbers.energy(found['low_nj'])} to {numbers.energy(found['high_nj'])}"
        kind = BADGES[column] if there else ("not measured" if column == "measured" else "estimate")
        value = numbers.energy(found["value_nj"]) if there else found["variant"]
        tiles.append({"title": TITLES[column], "value": value, "kind": kind, "text": text})
    latency = "" if hardware["latency_ms"] is None else f", latency {numbers.significant(hardware['latency_ms'])} ms"
    tiles.append(
        {
            "title": "Frames per second",
            "value": numbers.count(hardware["frames_per_second"]),
            "kind": hardware["timing_kind"],
            "text": f"{hardware['board']} at {hardware['clk_mhz']:g} MHz, "
            f"{numbers.count(hardware['cycles_per_frame'])} cycles a frame{latency}",
        }
    )
    return tiles


def _findings(report: dict[str, Any]) -> list[str]:
    """Return the sentences under the head: what the energies say of each other."""
    theory = report["energy"]["estimates"]["theory"]
    found = [
        f"By the papers' theory an image costs {numbers.energy(theory['energy_nj'])}, "
        f"{numbers.percent(theory['reduction_summed'])} less than the same layers as an ANN "
        f"({numbers.energy(theory['ann_energy_nj'])}); their closed form (F.5) gives "
        f"{numbers.percent(theory['reduction_closed_form'])}."
    ]
    by_kind = {network["kind"]: network for network in report["networks"]}
    first = by_kind["spikeclip"]["energies"]
    for kind, network in by_kind.items():
        parts = []
        for column in ("theory", "memory_aware", "fabric"):
            mine, other = first[column]["value_nj"], network["energies"][column]["value_nj"]
            if mine and other:
                parts.append(
                    f"{numbers.significant(mine / other, 2)} times by {_BY[column]}{_but(first, network, column)}"
                )
        if kind != "spikeclip" and parts:
            found.append(f"SpikeCLIP's energy against {network['name']}'s: {', '.join(parts)}.")
    return found


def _but(first: dict[str, Any], network: dict[str, Any], column: str) -> str:
    """Return what a ratio of two energies must not be read without, in brackets."""
    mine, other = first[column], network["energies"][column]
    notes = [f"of {network['fabric_of']}"] if column == "fabric" and network["fabric_of"] else []
    ends = [one[end] for one in (mine, other) for end in ("low_nj", "high_nj")]
    if None not in ends and ends[0] <= ends[3] and ends[2] <= ends[1]:
        notes.append("the intervals overlap")
    return f" ({'; '.join(notes)})" if notes else ""


def _sweep_plots(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (title, key of charts.sweep_points) of what the sweep has."""
    if report["sweep"] is None or not report["sweep"]["points"]:
        return []
    memory = report["sweep"]["points"][0]["memory_aware_nj"]
    plots = [("theory", "theory")]
    for packing, placements in memory.items():
        if packing == "packed":
            plots += [(f"memory-aware, {name.replace('_', '-')}, packed", f"packed, {name}") for name in placements]
    return plots


def _notes(report: dict[str, Any]) -> list[str]:
    """Return the caveats, those of the inputs last."""
    notes = []
    if not report["provenance"]["on_board"]:
        notes.append("Nothing here ran on a board: no number in this report is a measurement of energy or speed.")
    if report["hardware"]["resources"]["how"] == "model":
        notes.append("Resources are by a model of LUTs fitted to Yosys; no vendor tool placed or routed this design.")
    else:
        notes.append(
            f"Resources are by {report['hardware']['resources']['how']}; no vendor tool placed or routed this."
        )
    notes.append(
        "Theory and memory-aware estimates are of a 45 nm process, the activity-based estimate of the FPGA's own: "
        "compare networks within a row, not rows with each other."
    )
    return notes + list(report["provenance"]["notes"])
