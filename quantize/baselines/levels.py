"""ReLU onto 2^bits levels, the quantised ANN's counterpart of IntLIF, and the calibration of its step.

A layer hands on its level, 0 to L = 2^bits - 1, as a whole number: what a level is worth is in the next
layer's weights. As IntLIF does, it first recovers the integer accumulator by rounding, so that the order
in which float32 added the products cannot matter. One float32 product and one rounding follow, both
monotone, so integer thresholds on the accumulator give the same levels exactly.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import nn

from ..layers import IntLIF, ste_round

M = TypeVar("M", bound=nn.Module)


class LevelReLU(nn.Module):
    """clamp(round((acc + bias) unit / step), 0, L); step (in units of the current) and bias are learnt.

    currents (B, C, H, W) or (B, N, C), worth ``unit`` per accumulator unit and channel -> levels.
    """

    bias: torch.Tensor

    def __init__(self, channels: int, levels: int, *, learn_bias: bool = True) -> None:
        super().__init__()
        self.channels, self.levels = channels, levels
        # Its logarithm is learnt: the step stays positive, and the learning rate acts on its size in percent.
        self.log_step = nn.Parameter(torch.zeros(1))
        if learn_bias:
            self.bias = nn.Parameter(torch.zeros(channels))
        else:
            self.register_buffer("bias", torch.zeros(channels), persistent=False)

    def forward(self, x: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
        """Return the levels as whole numbers in float32; ``unit`` (C,) or (1,)."""
        shape = [1, -1, 1, 1] if x.dim() == 4 else [1, 1, -1]
        unit = unit.detach().flatten().view(shape)
        accumulator = ste_round(x / unit) + ste_round(self.bias.view(shape) / unit)
        return ste_round(accumulator * (unit / self.log_step.exp())).clamp(0, self.levels)

    @torch.no_grad()
    def thresholds(self, unit: torch.Tensor) -> np.ndarray:
        """Return (C, L) int64 thresholds: the level is how many of its channel's the bare accumulator reaches."""
        unit = unit.detach().flatten().expand(self.channels)
        bias = (self.bias / unit).round().long().numpy()[:, None]
        gain = (unit / self.log_step.exp()).numpy()[:, None]
        level = np.arange(1, self.levels + 1)[None]
        near = np.ceil((level - 0.5) / gain.astype(np.float64)).astype(np.int64)
        found = near + 2
        for candidate in (near + 1, near, near - 1, near - 2):  # float32's own rounding decides a near tie
            reaches = np.rint(candidate.astype(np.float32) * gain) >= level
            found = np.where(reaches, candidate, found)
        thresholds: np.ndarray = found - bias
        return thresholds


def with_levels(module: M, levels: int) -> M:
    """Exchange every IntLIF inside ``module`` for a LevelReLU with its bias, in place; return ``module``."""
    for name, child in module.named_children():
        if isinstance(child, IntLIF):
            learnt = isinstance(child.bias, nn.Parameter)
            relu = LevelReLU(child.channels, levels, learn_bias=learnt)
            if learnt:
                relu.bias.data = child.bias.data
            setattr(module, name, relu)
        else:
            with_levels(child, levels)
    return module


@torch.no_grad()
def best_step(values: torch.Tensor, levels: int) -> float:
    """Return the step, out of 60 from 1/30 of the maximum's to the maximum's own, with the least squared error."""
    top = float(values.max())
    if top <= 0:
        return 1.0 / levels
    values = values.flatten()[:: max(1, values.numel() // 200_000)]
    steps = torch.logspace(-1.477, 0, 60, dtype=torch.float64) * top / levels
    errors = [float(((values / s).round().clamp(0, levels) * s - values).square().mean()) for s in steps.tolist()]
    return float(steps[int(np.argmin(errors))])


@torch.no_grad()
def calibrate(net: nn.Module, images: torch.Tensor, levels: int) -> dict[str, float]:
    """Return the best step of each ReLU of the float network ``net``, by module name, on ``images`` (B, 3, H, W)."""
    steps: dict[str, float] = {}
    hooks = [
        module.register_forward_hook(
            lambda _, args, out, name=name: steps.__setitem__(name, best_step(out.float(), levels))
        )
        for name, module in net.named_modules()
        if isinstance(module, nn.ReLU)
    ]
    net.eval()(images)
    for hook in hooks:
        hook.remove()
    return steps
