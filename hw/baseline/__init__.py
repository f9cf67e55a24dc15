"""A quantised ANN on FINN's own operators, priced and stimulated like the spiking network beside it.

found = cost(layers, "pynq-z2", fps=2500)         # layers: integers, see layers.Layer
found.totals, found.cycles, found.to_json()
activity(layers, found, network=..., network_sha256=..., stimulus=...)      # activity.json
prices(layers, found)                             # MVAU and SpikeMVAU side by side
"""

from __future__ import annotations

from .activity import activity
from .compare import Price, prices
from .cost import BaselineCost, CostRow, cost
from .errors import BaselineError
from .layers import Layer
from .samples import random_layers

__all__ = [
    "BaselineCost",
    "BaselineError",
    "CostRow",
    "Layer",
    "Price",
    "activity",
    "cost",
    "prices",
    "random_layers",
]
