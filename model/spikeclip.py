"""The SpikeCLIP image encoder: an image walks through it from top to bottom."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .attention import SpikingBlock
from .config import ModelConfig
from .readout import Readout
from .tokenizer import Tokenizer


class SpikeCLIP(nn.Module):
    """Spikingformer image encoder distilled from CLIP (SpikeCLIP, sections 3.1-3.3).

    Images (B, 3, H, W) in [-1, 1) -> embeddings (B, E), compared with text by cosine similarity.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = Tokenizer(config)
        self.blocks = nn.ModuleList(SpikingBlock(config) for _ in range(config.depth))
        self.readout = Readout(config)

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
