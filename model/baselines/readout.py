"""The readout of a network without time: a last activation, the token mean, a linear map to the embedding."""

from __future__ import annotations

import torch
from torch import nn

from ..config import ModelConfig


class MeanReadout(nn.Module):
    """Tokens (B, N, D) -> embedding (B, E), not normalised."""

    def __init__(self, config: ModelConfig, last: nn.Module) -> None:
        super().__init__()
        self.last = last
        self.project = nn.Linear(config.dim, config.embed_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return W mean_n last(x_n) + b, in float32 under autocast too."""
        mean = self.last(x).mean(1, dtype=torch.float32)
        with torch.autocast("cpu", enabled=False):
            out: torch.Tensor = self.project(mean)
        return out
