"""Spike rasters: which neurons of each layer fire at which step, for one image."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from .figure import LINE, svg

# A colour that shows on light and on dark; nothing where no neuron fires.
_SPIKE = (0.16, 0.47, 0.84, 1.0)
_NO_NEURON = (0.5, 0.5, 0.5, 0.25)
_GAP = 1
_LONGEST = 24


def raster(report: dict[str, Any], index: int) -> Markup:
    """Return the raster of the entry ``index`` of the report's rasters; layers side by side, steps left to right."""
    entry = report["rasters"][index]
    layers, steps = entry["layers"], entry["timesteps"]
    rows = max(len(layer["words"]) for layer in layers)
    width = steps + _GAP
    picture = np.zeros((rows, width * len(layers) - _GAP, 4))
    for i, layer in enumerate(layers):
        words = np.array(layer["words"])
        fires = (words[:, None] >> np.arange(steps)) & 1
        block = picture[:, i * width : i * width + steps]
        block[: len(words)][fires == 1] = _SPIKE
        block[len(words) :] = _NO_NEURON

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.imshow(picture, aspect="auto", interpolation="nearest", interpolation_stage="rgba")
        for i in range(1, len(layers)):
            axes.axvline(i * width - 1, color=LINE, linewidth=0.6)
        centres = [i * width + (steps - 1) / 2 for i in range(len(layers))]
        axes.set_xticks(centres, [_short(layer["name"]) for layer in layers], rotation=90, fontsize=7.5)
        axes.set_yticks([0, rows - 1], ["1", str(rows)])
        axes.set_ylabel("neuron")
        axes.tick_params(length=2)

    said = "; ".join(f"{layer['name']}: {layer['spikes']} spikes" for layer in layers)
    return svg(draw, f"Spikes of image {entry['index']}, {entry['label']}. In whole layers: {said}.", 3.4)


def _short(name: str) -> str:
    short = name.replace("blocks.", "").replace("attention.", "att.").replace("tokenizer.", "tok.")
    return short if len(short) <= _LONGEST else f"{short[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
