"""Charts of energies and of the sweep."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from matplotlib.patches import Rectangle

from .figure import COLOURS, LINE, QUIET, TEXT, svg
from .numbers import energy

COLUMNS = ("theory", "theory_width", "memory_aware", "fabric", "measured")
SHORT = {
    "theory": "theory",
    "theory_width": "theory, real widths",
    "memory_aware": "memory-aware",
    "fabric": "this hardware",
    "measured": "measured",
}
# Beyond this ratio bars from zero hide the small ones, and points on a log axis are honest.
_LOG_RATIO = 20
_DECADE = 10
PARTS = ("inputs", "weights", "state", "params", "outputs", "compute", "address")
_MARKERS = "osD^v"


def four_energies(report: dict[str, Any]) -> Markup:
    """Return the energies of all networks, kind by kind; bars from zero, or points on a log axis."""
    rows = [
        (column, i, network["energies"][column], network["name"])
        for column in COLUMNS
        for i, network in enumerate(report["networks"])
        if column in network["energies"]
    ]
    there = [found["value_nj"] for _, _, found, _ in rows if found["value_nj"] is not None]
    columns = [c for c in COLUMNS if any(column == c for column, *_ in rows)]
    count = len(report["networks"])
    log = bool(there) and max(there) > _LOG_RATIO * min(there)
    ends = [v for _, _, f, _ in rows for v in (f["value_nj"], f["low_nj"], f["high_nj"]) if v]
    ends += [v for network in report["networks"] for v in network["energies"]["variants"].values()] if log else []

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        ticks = []
        for row, column in enumerate(columns):
            top = row * (count + 1)
            ticks.append((top + (count - 1) / 2, SHORT[column]))
            for _, i, found, _ in (r for r in rows if r[0] == column):
                others: list[float] = []
                if column == "memory_aware" and log:
                    others = [value / 1000 for value in report["networks"][i]["energies"]["variants"].values()]
                colour = COLOURS[i % len(COLOURS)]
                axes.plot(others, [top + i] * len(others), "|", color=colour, markersize=7, alpha=0.55)
                _one_energy(axes, top + i, found, colour, log, max(others, default=0))
            if row:
                axes.axhline(top - 1, color=LINE, linewidth=0.5)
        axes.set_yticks([y for y, _ in ticks], [name for _, name in ticks])
        axes.set_ylim(len(columns) * (count + 1) - 1.2, -0.8)
        if log and ends:
            axes.set_xscale("log")
            axes.set_xlim(min(ends) / 1000 / 2, max(ends) / 1000 * 12)
        elif ends:
            axes.set_xlim(0, max(ends) / 1000 * 1.4)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("µJ per image, " + ("logarithmic" if log else "linear from 0"))
        axes.grid(axis="x")
        for i, network in enumerate(report["networks"]):
            axes.plot([], [], "o", color=COLOURS[i % len(COLOURS)], label=network["name"])
        figure.legend(loc="outside upper left", ncols=3, handletextpad=0.1, columnspacing=1)

    said = "; ".join(
        f"{name}, {SHORT[column]}: {energy(found['value_nj']) if found['value_nj'] is not None else found['variant']}"
        for column, _, found, name in rows
    )
    return svg(draw, f"Energy per image. {said}.", 1.0 + 0.26 * len(columns) * (count + 1))


def _one_energy(axes: Any, y: float, found: dict[str, Any], colour: str, log: bool, drawn: float) -> None:
    """Draw one energy, its label to the right of it, of its interval and of what is ``drawn`` already, in uJ."""
    value = found["value_nj"]
    if value is None:
        transform = axes.get_yaxis_transform()
        axes.text(
            0.02, y, found["variant"], transform=transform, va="center", color=QUIET, style="italic", fontsize=8.5
        )
        return
    low, high = (found[end] if found[end] is not None else value for end in ("low_nj", "high_nj"))
    if log:
        axes.plot([value / 1000], [y], "o", color=colour, markersize=6)
    else:
        axes.barh([y], [value / 1000], color=colour, height=0.8)
    if high > low:
        axes.errorbar(
            [value / 1000], [y], xerr=[[(value - low) / 1000], [(high - value) / 1000]], color=TEXT, **_ERRORS
        )
    end = max(high / 1000, drawn)
    axes.annotate(energy(value), (end, y), (6, 0), textcoords="offset points", va="center", **_LABEL)


_ERRORS: dict[str, Any] = {"fmt": "none", "capsize": 3, "linewidth": 1.2}
_LABEL: dict[str, Any] = {"fontsize": 8.5}


def memory_parts(report: dict[str, Any]) -> Markup:
    """Return the memory-aware estimates by part, a scale for each network, the total of the table's in bold.

    Shown are the placements of the state that share packing and arithmetic with the estimate in the table.
    """
    names = {network["kind"]: network["name"] for network in report["networks"]}
    rows = [row for row in report["energy"]["estimates"]["comparison"]["rows"] if row["network"] in names]
    shown = [_alike(row) for row in rows]

    def draw(figure: Any) -> None:
        panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
        for axes, row, variants in zip(panels, rows, shown, strict=True):
            for y, variant in enumerate(variants):
                left = 0.0
                for part, colour in zip(PARTS, COLOURS, strict=False):
                    width = row["parts"][variant][part] / 1000
                    axes.barh([y], [width], left=left, color=colour, height=0.7)
                    left += width
                weight = "bold" if variant == row["memory_aware"]["variant"] else "normal"
                label = {"textcoords": "offset points", "va": "center", "weight": weight, **_LABEL}
                axes.annotate(energy(row["variants"][variant]), (left, y), (4, 0), **label)
            axes.set_title(names[row["network"]], loc="left")
            axes.set_yticks(range(len(variants)), [_placement(variant) for variant in variants])
            axes.set_ylim(len(variants) - 0.4, -0.6)
            axes.set_xlim(0, 1.25 * max(row["variants"][variant] for variant in variants) / 1000)
            axes.grid(axis="x")
        panels[-1].set_xlabel("µJ per image, each network on its own scale")
        for part, colour in zip(PARTS, COLOURS, strict=False):
            panels[0].add_patch(Rectangle((0, 0), 0, 0, facecolor=colour, label=part))
        figure.legend(loc="outside upper left", ncols=4, handlelength=0.8, columnspacing=1, handletextpad=0.4)

    said = "; ".join(
        f"{names[row['network']]}, {_placement(variant)}: {energy(row['variants'][variant])}"
        for row, variants in zip(rows, shown, strict=True)
        for variant in variants
    )
    height = 0.9 + sum(0.6 + 0.32 * len(variants) for variants in shown)
    return svg(draw, f"Memory-aware energy per image by part. {said}.", height)


def _alike(row: dict[str, Any]) -> list[str]:
    """Return the estimates with packing and arithmetic of the one in the table, which is among them."""
    _, assumptions = row["memory_aware"]["variant"].split(", ", 1)
    return [variant for variant in row["variants"] if variant.split(", ", 1)[1] == assumptions]


def _placement(variant: str) -> str:
    return variant.split(", ", 1)[0].replace("_", "-")


def fabric_parts(report: dict[str, Any], kind: str) -> Markup:
    """Return the activity-based estimate of a network by part of the fabric, with its intervals."""
    parts = report["energy"]["fabric"][kind]["parts_nj"]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for y, found in enumerate(parts.values()):
            value, low, high = (found[end] / 1000 for end in ("value", "low", "high"))
            axes.barh([y], [value], color=COLOURS[y % len(COLOURS)], height=0.7)
            axes.errorbar([value], [y], xerr=[[value - low], [high - value]], color=TEXT, **_ERRORS)
            axes.annotate(energy(found["value"]), (high, y), (6, 0), textcoords="offset points", va="center", **_LABEL)
        axes.set_yticks(range(len(parts)), [name.replace("_", " ") for name in parts])
        axes.set_ylim(len(parts) - 0.4, -0.6)
        axes.set_xlim(0, 1.3 * max(max(found["high"] for found in parts.values()) / 1000, 1e-9))
        axes.set_xlabel("µJ per image, dynamic")
        axes.grid(axis="x")

    said = "; ".join(
        f"{name}: {energy(f['value'])}, {energy(f['low'])} to {energy(f['high'])}" for name, f in parts.items()
    )
    return svg(draw, f"Estimated dynamic energy of the fabric per image by part. {said}.", 0.7 + 0.34 * len(parts))


def sweep_points(report: dict[str, Any], what: str) -> Markup:
    """Return accuracy against energy. what: theory, or a packing and placement such as "packed, time_parallel"."""
    points = report["sweep"]["points"]

    def nj(point: dict[str, Any]) -> float:
        if what == "theory":
            return float(point["theory_nj"])
        packing, placement = what.split(", ")
        return float(point["memory_aware_nj"][packing][placement])

    widths = sorted({point["bits"] for point in points})

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for bits, colour, marker in zip(widths, COLOURS, _MARKERS * 2, strict=False):
            line = sorted((p["timesteps"], nj(p) / 1000, p["accuracy"]) for p in points if p["bits"] == bits)
            axes.plot([x for _, x, _ in line], [y for *_, y in line], "-", color=colour, linewidth=0.8, alpha=0.6)
            axes.plot([x for _, x, _ in line], [y for *_, y in line], marker, color=colour, label=f"{bits} bits")
        # Below the narrowest weights, whose curve is the lowest: nothing else is there.
        for point in (p for p in points if p["bits"] == widths[0]):
            at, label = (nj(point) / 1000, point["accuracy"]), f"T = {point['timesteps']}"
            axes.annotate(label, at, (4, -13), textcoords="offset points", fontsize=8.5)
        wide = max(map(nj, points)) > _DECADE * min(map(nj, points))
        if wide:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("µJ per image, " + ("logarithmic" if wide else "linear"))
        axes.set_ylabel("accuracy, %")
        axes.margins(0.1, 0.14)
        axes.grid()
        figure.legend(loc="outside upper left", ncols=4, handletextpad=0.1, columnspacing=1)

    said = "; ".join(f"T {p['timesteps']}, {p['bits']} bits: {p['accuracy']:.2f} %, {energy(nj(p))}" for p in points)
    return svg(draw, f"Accuracy against energy ({what.replace('_', '-')}). {said}.", 3.5)
