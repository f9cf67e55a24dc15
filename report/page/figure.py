"""Figures as SVG inside the page: its colours, its fonts, a name for screen readers, nothing loaded."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
from markupsafe import Markup, escape

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# Each stands in the SVG for a variable of page.css, so that both colour schemes fit.
TEXT, QUIET, LINE = "#a10b00", "#a10b01", "#a10b02"
COLOURS = tuple(f"#a10b1{i}" for i in range(1, 9))
_VARIABLES = {TEXT: "--text", QUIET: "--quiet", LINE: "--line"} | {c: f"--c{i}" for i, c in enumerate(COLOURS, 1)}
WIDTH_IN = 4.1  # a phone's width at the size the text is drawn
_SETTINGS = {
    **{"svg.fonttype": "none", "font.size": 9.5, "axes.titlesize": 9.5, "axes.labelsize": 9.5, "legend.fontsize": 9},
    **{"text.color": TEXT, "axes.edgecolor": LINE, "axes.labelcolor": TEXT, "xtick.color": QUIET, "ytick.color": TEXT},
    **{"axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False},
    **{"axes.spines.top": False, "axes.spines.right": False, "grid.color": LINE, "grid.linewidth": 0.5},
    # "$" in a name is a dollar, not mathematics.
    **{"axes.axisbelow": True, "text.parse_math": False, "axes.formatter.use_mathtext": False},
}


def svg(draw: Callable[[Any], Any], description: str, height_in: float, width_in: float = WIDTH_IN) -> Markup:
    """Return what ``draw`` makes of a figure. description: what a screen reader says."""
    digest = hashlib.sha256(description.encode()).hexdigest()[:10]
    with plt.rc_context({**_SETTINGS, "svg.hashsalt": digest}):
        figure = plt.figure(figsize=(width_in, height_in), layout="constrained")
        try:
            draw(figure)
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        finally:
            plt.close(figure)
    return _clean(buffer.getvalue(), description, f"f{digest}-")


def _clean(text: str, description: str, prefix: str) -> Markup:
    """Return matplotlib's SVG without what a page has already, its ids unique in the page."""
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    head, _, rest = body.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None  # matplotlib always writes one
    opening = f'<svg class="chart" {box.group()} role="img" aria-label="{escape(description)}">'
    rest = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', rest)
    rest = re.sub(r'(xlink:)?href="#([^"]+)"', rf'href="#{prefix}\2"', rest)
    rest = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}\1)", rest)
    rest = rest.replace('xlink:href="data:', 'href="data:')
    # The style element would reach the whole page; the one rule in it is page.css's.
    rest = re.sub(r"<style.*?</style>", "", rest, flags=re.DOTALL)
    rest = re.sub(r"(font: [^;\"]*?px )[^;\"]*", r"\1system-ui, sans-serif", rest)
    for colour, variable in _VARIABLES.items():
        rest = rest.replace(colour, f"var({variable})")
    return Markup(opening + rest)
