"""The ANN of SpikeCLIP's topology, node for node: every LIF is a ReLU, and there is no time.

Tokenizer, blocks and their layers are SpikeCLIP's own modules with the neurons exchanged, so both
networks have the same convolutions, Linear-BN layers and names, and from one seed the same first weights.
Attention stays softmax-free, scale * Q (K^T V). Two things differ. The scale is 1/(N sqrt(d)) (a mean
over N tokens, dot products of d features), since activations here are not counts of spikes. And the
readout has no weights over time. quantize/baselines/ turns it into the 3-bit QNN.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from ..attention import SpikingBlock
from ..config import ModelConfig
from ..neuron import LIF
from ..tokenizer import Tokenizer
from .readout import MeanReadout

M = TypeVar("M", bound=nn.Module)


def with_relu(module: M) -> M:
    """Exchange every LIF inside ``module`` for a ReLU, in place; return ``module``."""
    for name, child in module.named_children():
        if isinstance(child, LIF):
            setattr(module, name, nn.ReLU())
        else:
            with_relu(child)
    return module


def attention_scale(config: ModelConfig) -> float:
    """Return the factor 1/(N sqrt(d)) on Q (K^T V) for N tokens and heads of width d."""
    return 1.0 / (config.tokens * math.sqrt(config.dim // config.heads))


class AnnCLIP(nn.Module):
    """SpikeCLIP's topology with ReLU. Images (B, 3, H, W) in [-1, 1) -> embeddings (B, E).

    ``config``'s timesteps, neuron and time weights have no effect. Max-pool and ReLU commute, so that
    both pool orders are the same function.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = with_relu(Tokenizer(config))
        self.blocks = nn.ModuleList(self._block(config) for _ in range(config.depth))
        self.readout = MeanReadout(config, nn.ReLU())

    @staticmethod
    def _block(config: ModelConfig) -> SpikingBlock:
        block = with_relu(SpikingBlock(config))
        block.attention.scale = attention_scale(config)
        return block

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
