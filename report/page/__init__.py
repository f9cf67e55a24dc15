"""The page: report.json's content as one HTML file that loads nothing.

    html = render(content)

Templates are Jinja2's, with everything escaped; charts are matplotlib's, as SVG inside the page.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..schema import check
from . import charts, hardware_charts, numbers, rasters, view

_FOLDER = Path(__file__).parent


def render(content: dict[str, Any]) -> str:
    """Return the page of a report; raise ReportError if ``content`` is none."""
    report = check(content, "report")
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(numbers.FILTERS)
    style = Markup((_FOLDER / "page.css").read_text(encoding="utf-8"))
    drawn = {
        name: partial(draw, report)
        for name, draw in (
            ("four_energies", charts.four_energies),
            ("memory_parts", charts.memory_parts),
            ("fabric_parts", charts.fabric_parts),
            ("sweep_points", charts.sweep_points),
            ("roofline_layers", hardware_charts.roofline_layers),
            ("roofline_whole", hardware_charts.roofline_whole),
            ("raster", rasters.raster),
        )
    }
    template = environment.get_template("report.html.j2")
    return template.render(**report, view=view.view(report), charts=drawn, style=style)
