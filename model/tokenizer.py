"""Spiking patch splitting (SPS): 3x3 convolutions that turn an image into tokens.

Order ``current``: Conv - BN - MaxPool - LIF, the papers' (Spikingformer's) order: the pool sees currents.
Order ``spike``: Conv - BN - LIF - MaxPool: the pool is an OR of spikes. The last convolution has no
neuron: its output is the membrane-like residual stream the blocks add to.
"""

from __future__ import annotations

import torch
from torch import nn

from .config import ModelConfig
from .neuron import LIF


def max_pool(kernel: int) -> nn.MaxPool2d:
    """Return the pool that halves a map: 2x2, or 3x3 with stride 2 and padding 1."""
    return nn.MaxPool2d(kernel, stride=2, padding=(kernel - 1) // 2)


class ConvStage(nn.Module):
    """One convolution with its BatchNorm, pool and neuron. (T*B, C, H, W) -> (T*B, C', H', W')."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        channels = (config.in_channels, *config.conv_channels)
        last = index == len(config.conv_channels) - 1
        self.conv = nn.Conv2d(channels[index], channels[index + 1], 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels[index + 1])
        self.pool = max_pool(config.pool_kernel) if config.pool_after[index] else None
        self.pool_order = config.pool_order
        self.lif = None if last else LIF(config.neuron, config.timesteps, broadcast=index == 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return spikes, or currents from the last stage."""
        x = self.bn(self.conv(x))
        if self.pool is not None and self.pool_order == "current":
            x = self.pool(x)
        if self.lif is not None:
            x = self.lif(x)
        if self.pool is not None and self.pool_order == "spike":
            x = self.pool(x)
        return x


class Tokenizer(nn.Module):
    """Images (B, 3, H, W) -> tokens (T*B, N, D).

    The static image is convolved once; the first neuron repeats it over T.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.stages = nn.ModuleList(ConvStage(config, i) for i in range(len(config.conv_channels)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the residual stream's first value."""
        for stage in self.stages:
            x = stage(x)
        return x.permute(0, 2, 3, 1).flatten(1, 2)
