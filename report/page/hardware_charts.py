"""Rooflines of the accelerator."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from .figure import COLOURS, LINE, QUIET, TEXT, svg
from .numbers import si, tick


def _family(layer: str) -> str:
    """Return what kind of layer it is, for its colour."""
    if layer.startswith("tokenizer"):
        return "tokenizer"
    if layer.startswith("blocks"):
        return "attention" if ".attention" in layer else "MLP"
    return "readout"


def roofline_layers(report: dict[str, Any]) -> Markup:
    """Return each matrix node: what it does a second, below the ceiling of its own PE and SIMD."""
    points = report["hardware"]["roofline"]["points"]
    families = list(dict.fromkeys(_family(p["layer"]) for p in points))

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for family, colour in zip(families, COLOURS, strict=False):
            mine = [p for p in points if _family(p["layer"]) == family]
            for p in mine:
                x, y, top = p["operations_per_bit"], p["operations_per_second"], p["ceiling_per_second"]
                axes.plot([x, x], [y, top], "-", color=colour, linewidth=1)
                axes.plot([x / 1.12, x * 1.12], [top, top], "-", color=colour, linewidth=2)
            xy = [[p[k] for p in mine] for k in ("operations_per_bit", "operations_per_second")]
            axes.plot(*xy, "o", color=colour, markersize=6, label=family)
        axes.plot([], [], "-", color=TEXT, linewidth=2, label="PE x SIMD ceiling")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.margins(0.15, 0.15)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
        axes.yaxis.set_major_formatter(tick)
        axes.set_xlabel("operations per bit of weights and inputs")
        axes.set_ylabel("operations per second")
        axes.grid()
        figure.legend(loc="outside upper left", ncols=3, handletextpad=0.2, columnspacing=1, handlelength=1)

    said = "; ".join(
        f"{p['layer']}: {si(p['operations_per_second'])} of {si(p['ceiling_per_second'])} operations a second"
        for p in points
    )
    return svg(draw, f"Operations a second of each matrix node and its ceiling. {said}.", 3.6)


def roofline_whole(report: dict[str, Any]) -> Markup:
    """Return the whole accelerator below its ceilings: all PE and SIMD, the input stream, the DMA."""
    whole = report["hardware"]["roofline"]["whole"]
    x, y, top = (whole[k] for k in ("operations_per_bit", "operations_per_second", "ceiling_per_second"))
    slopes = (
        (f"input stream, {whole['input_bits_per_clock']} bit a clock", whole["input_bits_per_second"], COLOURS[1]),
        (f"DMA, {whole['dma_bits_per_clock']} bit a clock", whole["dma_bits_per_second"], COLOURS[2]),
    )

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        left, right = x / 100, x * 10
        for name, slope, colour in slopes:
            knee = top / slope
            axes.plot([left, knee], [left * slope, top], "-", color=colour, label=name)
        start = min(top / slope for _, slope, _ in slopes)
        axes.plot([start, right], [top, top], "-", color=COLOURS[0], label="all PE x SIMD at once")
        axes.plot([x, x], [y, top], ":", color=QUIET, linewidth=1)
        axes.plot([x], [y], "o", color=TEXT, markersize=7)
        axes.annotate("this accelerator", (x, y), (0, -14), textcoords="offset points", ha="center", fontsize=8.5)
        axes.axvline(x, color=LINE, linewidth=0.5)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(left, right)
        axes.set_ylim(left * min(slope for _, slope, _ in slopes) / 2, top * 3)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(tick)
        axes.set_xlabel("operations per bit of the image")
        axes.set_ylabel("operations per second")
        axes.grid()
        figure.legend(loc="outside upper left", ncols=1, handletextpad=0.4, handlelength=1.2)

    said = "; ".join(f"{name}: {si(slope)} bit a second" for name, slope, _ in slopes)
    return svg(
        draw,
        f"Roofline of the whole accelerator: {si(y)} operations a second at {x:,.0f} operations per bit, below "
        f"{si(top)} if every PE worked all the time; {said}.",
        3.6,
    )
