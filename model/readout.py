"""Readout: token mean, a weighted sum over time steps, a linear map to the embedding.

The weights over time are learnt (time-dependent weights, TDW) or fixed (SpikeCLIP, section 4.5):
``mean`` 1/T each; ``ad`` arithmetic: in proportion to t; ``ar`` geometric: in proportion to 2^t, so the
latest step counts most. The papers name AD and AR without their constants; these are this project's.
"""

from __future__ import annotations

import torch
from torch import nn

from .config import ModelConfig, ReadoutKind
from .neuron import LIF


def time_weights(kind: ReadoutKind, timesteps: int) -> torch.Tensor:
    """Return the (T,) float32 weights of a kind; for ``tdw`` where learning starts. They sum to 1."""
    t = torch.arange(1, timesteps + 1, dtype=torch.float32)
    weights = {"tdw": torch.ones_like(t), "mean": torch.ones_like(t), "ad": t, "ar": 2.0**t}[kind]
    return weights / weights.sum()


class Readout(nn.Module):
    """Residual stream (T*B, N, D) -> embedding (B, E), not normalised."""

    time_weight: torch.Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.timesteps = config.timesteps
        self.lif = LIF(config.neuron, config.timesteps)
        start = time_weights(config.readout, config.timesteps)
        if config.readout == "tdw":
            self.time_weight = nn.Parameter(start)
        else:
            self.register_buffer("time_weight", start)
        self.project = nn.Linear(config.dim, config.embed_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return W sum_t w_t mean_n S_t,n + b."""
        rates = self.lif(x).mean(1, dtype=torch.float32).unflatten(0, (self.timesteps, -1))
        weighted = (rates * self.time_weight.float().view(-1, 1, 1)).sum(0)
        with torch.autocast("cpu", enabled=False):
            out: torch.Tensor = self.project(weighted)
        return out
