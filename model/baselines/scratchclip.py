"""ScratchCLIP, the papers' ANN twin of SpikeCLIP: the same patch splitting, depth and width, no spiking neurons.

The papers say: the image encoder is a Transformer of SpikeCLIP's depth and width in floating point, behind
a patch splitting layer with SPS's parameters, trained alike. Where they are silent this is the plain way:
pre-norm blocks (LayerNorm), softmax attention with scale 1/sqrt(d), linear maps with bias, GELU in the
MLP, a LayerNorm before the readout, and ReLU in the patch splitting where SPS has neurons. As in
SpikeCLIP there is no position embedding (the convolutions' zero padding tells position), no class token
(the readout takes the token mean), and the text side is the frozen text tower that SpikeCLIP also uses,
not an MLP trained beside the image side.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..attention import split_heads
from ..config import ModelConfig
from ..tokenizer import Tokenizer
from .ann import with_relu
from .readout import MeanReadout


class SoftmaxAttention(nn.Module):
    """LayerNorm -> q, k, v -> softmax(Q K^T / sqrt(d)) V -> Linear. Tokens (B, N, D) in and out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.dim
        self.heads, self.scale = config.heads, (dim // config.heads) ** -0.5
        self.norm = nn.LayerNorm(dim)
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))
        self.softmax = nn.Softmax(-1)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is added to the residual stream."""
        x = self.norm(x)
        q, k, v = (split_heads(layer(x), self.heads) for layer in (self.q, self.k, self.v))
        weights = self.softmax(q @ k.transpose(-1, -2) * self.scale)
        out: torch.Tensor = self.proj((weights @ v).transpose(1, 2).flatten(2))
        return out


class MLP(nn.Module):
    """LayerNorm -> Linear -> GELU -> Linear. Tokens (B, N, D) in and out."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.dim * config.mlp_ratio
        self.norm = nn.LayerNorm(config.dim)
        self.fc1 = nn.Linear(config.dim, hidden)
        self.gelu = nn.GELU()
        self.fc2 = nn.Linear(hidden, config.dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is added to the residual stream."""
        out: torch.Tensor = self.fc2(self.gelu(self.fc1(self.norm(x))))
        return out


class Block(nn.Module):
    """x + attention(x), then x + MLP(x)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = SoftmaxAttention(config)
        self.mlp = MLP(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the residual stream after the block."""
        x = x + self.attention(x)
        out: torch.Tensor = x + self.mlp(x)
        return out


class ScratchCLIP(nn.Module):
    """The ANN twin. Images (B, 3, H, W) in [-1, 1) -> embeddings (B, E).

    ``config``'s timesteps, neuron, attention_scale and time weights have no effect.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = with_relu(Tokenizer(config))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.readout = MeanReadout(config, nn.LayerNorm(config.dim))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embeddings, not normalised."""
        x = self.tokenizer(images)
        for block in self.blocks:
            x = block(x)
        out: torch.Tensor = self.readout(x)
        return out

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embeddings as unit vectors."""
        return F.normalize(self(images), dim=-1)
