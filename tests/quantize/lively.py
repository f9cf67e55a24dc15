"""Untrained networks whose norms do something: gains and biases of their own, statistics of random images."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from spikeclip_fpga.model.config import ModelConfig

Net = TypeVar("Net", bound=nn.Module)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)


def lively(kind: type[Net], config: ModelConfig, seed: int = 0) -> Net:
    """Return a ``kind`` of ``config`` with random weights, in eval mode."""
    generator = torch.manual_seed(seed)
    net = kind(config).train()
    for module in net.modules():
        if isinstance(module, _NORMS):
            nn.init.uniform_(module.weight, 0.6, 1.6, generator)
            nn.init.uniform_(module.bias, -0.3, 0.6, generator)
    with torch.no_grad():
        for _ in range(15):
            net(torch.rand(16, 3, config.image_size, config.image_size, generator=generator) * 2 - 1)
    return net.eval()
