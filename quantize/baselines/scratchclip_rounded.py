"""ScratchCLIP rounded after training, to run: weights and activations are the grids' values, held in float32.

What multiplies is on the grids of scratchclip_rounding.py. Sums, scales and biases, batch norm's bias, layer norm,
GELU, softmax and the residual stream are float32; batch norm's gain is in the weights before they are rounded.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from spikeclip_fpga.model.baselines.scratchclip import ScratchCLIP

from ..qat import fold
from .scratchclip_rounding import Grid, Rounding, weight_levels


def rounded(net: ScratchCLIP, rounding: Rounding) -> ScratchCLIP:
    """Return a copy of ``net`` that computes with what ``rounding`` leaves of its weights and activations."""
    made = copy.deepcopy(net).eval().requires_grad_(False)
    stages: list[Any] = list(made.tokenizer.stages)
    for stage in stages:
        weight, bias = fold(stage.conv.weight, stage.bn)
        stage.conv.weight.data = weight
        stage.conv.bias = nn.Parameter(bias, requires_grad=False)
        stage.bn = nn.Identity()
    for name, grid in rounding.entering.items():
        layer: Any = made.get_submodule(name)
        levels, scale = weight_levels(layer.weight, rounding.bits)
        layer.weight.data = levels * scale
        layer.register_forward_pre_hook(_entering(grid))
    for name, grid in rounding.leaving.items():
        made.get_submodule(name).register_forward_hook(_leaving(grid))
    return made


def _entering(grid: Grid) -> Any:
    return lambda _, args: (grid.nearest(args[0]), *args[1:])


def _leaving(grid: Grid) -> Any:
    def hook(_: nn.Module, args: tuple[Any, ...], out: torch.Tensor) -> torch.Tensor:
        return grid.nearest(out)

    return hook
