"""The grids that ScratchCLIP is rounded to after training: the one definition for its integers and its accuracy.

Weights per output channel, activations per tensor, all symmetric. The largest magnitude spans a grid: of a channel's
weights, of an activation on the images of the calibration; values beyond it saturate. Pixels stay the bytes they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from spikeclip_fpga.model.baselines.scratchclip import ScratchCLIP
from spikeclip_fpga.model.data.input import PIXEL_SCALE

from .integer_layer import watch

ROUNDED_BITS = 8
_LEAST = 1e-30  # range of what is zero everywhere
_ATTENTION = ".attention."


@dataclass(frozen=True)
class Grid:
    """The values scale * n of the whole numbers n from low to high."""

    scale: float
    low: int
    high: int

    def levels(self, x: torch.Tensor) -> torch.Tensor:
        """Return the nearest n of each element, as whole float32; low or high beyond them."""
        return (x / self.scale).round().clamp(self.low, self.high)

    def nearest(self, x: torch.Tensor) -> torch.Tensor:
        """Return each element's nearest value on the grid."""
        return self.levels(x) * self.scale


@dataclass(frozen=True)
class Rounding:
    """Grids of one network by module name: of what enters its layers, and of what leaves the others (see calibrate)."""

    bits: int
    entering: dict[str, Grid]
    leaving: dict[str, Grid]


def calibrate(net: ScratchCLIP, images: np.ndarray, bits: int = ROUNDED_BITS) -> Rounding:
    """Return the grids that the float ``net`` spans on (N, 32, 32, 3) uint8 ``images``; weights get ``bits`` too.

    Entering: of each convolution and linear layer. Leaving: q, k, v and the softmax, the factors of attention.
    """
    entered, left = watch(net, images)
    entering, leaving = dict[str, Grid](), dict[str, Grid]()
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            pixels = module is net.tokenizer.stages[0].conv
            entering[name] = Grid(PIXEL_SCALE, -128, 127) if pixels else _spanned(entered[name], bits, False)
        elif isinstance(module, nn.Linear):
            entering[name] = _spanned(entered[name], bits, True)
            if _ATTENTION in name and name.rsplit(".", 1)[1] in ("q", "k", "v"):
                leaving[name] = _spanned(left[name], bits, True)
        elif isinstance(module, nn.Softmax):
            leaving[name] = _spanned(left[name], bits, False)
    return Rounding(bits, entering, leaving)


def weight_levels(weight: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (O, ...) weights as whole float32, and the (O, 1, ...) scale that each channel of them is worth.

    Weights that are on their grids already give the same levels again.
    """
    given, top = weight.detach(), 2 ** (bits - 1) - 1
    scale = given.flatten(1).abs().amax(1).clamp_min(_LEAST).view(-1, *[1] * (weight.dim() - 1)) / top
    return (given / scale).round().clamp(-top, top), scale


def _spanned(x: torch.Tensor, bits: int, signed: bool) -> Grid:
    """Return the grid whose highest value is the largest magnitude of ``x``; ``x`` is not negative unless signed."""
    top = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    return Grid(max(float(x.abs().max()), _LEAST) / top, -top if signed else 0, top)
