"""The model's normalisation, in one place: pixel p becomes the signed byte p - 128, worth (p - 128)/128."""

from __future__ import annotations

import numpy as np
import torch

PIXEL_ZERO = 128
PIXEL_SCALE = 1.0 / 128


def to_input(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Return (N, 3, H, W) float32 in [-1, 1), channels last in memory, from (N, H, W, 3) uint8."""
    pixels = torch.as_tensor(images)
    return ((pixels.to(torch.float32) - PIXEL_ZERO) * PIXEL_SCALE).permute(0, 3, 1, 2)


def augment(images: torch.Tensor, generator: torch.Generator, shift: int = 2) -> torch.Tensor:
    """Flip half of a batch of (N, H, W, 3) bytes left-right and shift each image by up to ``shift`` pixels.

    Pixels shifted in repeat the edge.
    """
    n, height, width, _ = images.shape
    flip = torch.rand(n, generator=generator) < 0.5
    rows = torch.arange(height)[None] + torch.randint(-shift, shift + 1, (n, 1), generator=generator)
    cols = torch.arange(width)[None] + torch.randint(-shift, shift + 1, (n, 1), generator=generator)
    cols = torch.where(flip[:, None], width - 1 - cols, cols)
    rows, cols = rows.clamp_(0, height - 1), cols.clamp_(0, width - 1)
    return images[torch.arange(n)[:, None, None], rows[:, :, None], cols[:, None, :]]
