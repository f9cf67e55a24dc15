"""Spiking self-attention (SSA) and the block around it.

SSA has no softmax: with binary Q, K, V the product (Q K^T) V counts coincidences (Spikformer, Zhou et
al. 2022). It is computed as Q (K^T V), which is the same integer and costs N d^2 instead of N^2 d.
"""

from __future__ import annotations

import torch
from torch import nn

from .config import ModelConfig
from .neuron import LIF


class LinearBN(nn.Module):
    """A linear map of tokens with its BatchNorm over all tokens. (R, N, C) -> (R, N, C')."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inner, outer, bias=False)
        self.bn = nn.BatchNorm1d(outer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the normalised currents."""
        return self.bn(self.linear(x).flatten(0, 1)).unflatten(0, x.shape[:2])


def split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(R, N, D) -> (R, heads, N, D/heads)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


class SpikingSelfAttention(nn.Module):
    """LIF -> q, k, v (each Linear-BN-LIF) -> scale * Q K^T V -> LIF -> Linear-BN. Tokens in, currents out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.scale = config.heads, config.attention_scale
        dim, neuron, steps = config.dim, config.neuron, config.timesteps
        self.lif_in = LIF(neuron, steps)
        self.q, self.k, self.v = (LinearBN(dim, dim) for _ in range(3))
        self.lif_q, self.lif_k, self.lif_v = (LIF(neuron, steps) for _ in range(3))
        self.lif_attention = LIF(neuron, steps, v_threshold=neuron.v_threshold_attention)
        self.proj = LinearBN(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the currents to add to the residual stream (T*B, N, D)."""
        spikes = self.lif_in(x)
        q = split_heads(self.lif_q(self.q(spikes)), self.heads)
        k = split_heads(self.lif_k(self.k(spikes)), self.heads)
        v = split_heads(self.lif_v(self.v(spikes)), self.heads)
        counts = q @ (k.transpose(-1, -2) @ v)
        current = (counts * self.scale).transpose(1, 2).flatten(2)
        out: torch.Tensor = self.proj(self.lif_attention(current))
        return out


class SpikingMLP(nn.Module):
    """LIF -> Linear-BN -> LIF -> Linear-BN. Tokens in, currents out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.dim * config.mlp_ratio
        self.lif_in = LIF(config.neuron, config.timesteps)
        self.fc1 = LinearBN(config.dim, hidden)
        self.lif_hidden = LIF(config.neuron, config.timesteps)
        self.fc2 = LinearBN(hidden, config.dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the currents to add to the residual stream (T*B, N, D)."""
        out: torch.Tensor = self.fc2(self.lif_hidden(self.fc1(self.lif_in(x))))
        return out


class SpikingBlock(nn.Module):
    """x + SSA(x), then x + MLP(x), on the multi-bit residual stream (Spikingformer's pre-activation shortcut)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = SpikingSelfAttention(config)
        self.mlp = SpikingMLP(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the residual stream after the block."""
        x = x + self.attention(x)
        out: torch.Tensor = x + self.mlp(x)
        return out
