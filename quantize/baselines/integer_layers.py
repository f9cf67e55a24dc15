"""The layers of a baseline as integers on real images: what a hardware cost model needs to price them."""

from __future__ import annotations

import numpy as np
from torch import nn

from spikeclip_fpga.model.baselines.scratchclip import ScratchCLIP

from .integer_layer import IntegerLayer
from .qnn import QnnCLIP
from .qnn_layers import qnn_layers
from .scratchclip_layers import scratchclip_layers
from .scratchclip_rounding import Rounding, calibrate


def integer_layers(net: nn.Module, images: np.ndarray, rounding: Rounding | None = None) -> list[IntegerLayer]:
    """Return the layers of a QnnCLIP or ScratchCLIP, in the order data takes, run on (N, 32, 32, 3) uint8 ``images``.

    The QNN's are the trained network's own; ScratchCLIP's are rounded to 8 bits after training
    (``IntegerLayer.origin``).  rounding: ScratchCLIP's, None to calibrate on ``images``; a QNN needs none.
    Raises TypeError for another network.
    """
    if isinstance(net, QnnCLIP):
        return qnn_layers(net, images)
    if isinstance(net, ScratchCLIP):
        return scratchclip_layers(net, images, rounding or calibrate(net, images))
    raise TypeError(f"integer layers: expected a QnnCLIP or a ScratchCLIP, got {type(net).__name__}")
