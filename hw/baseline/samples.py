"""A network of random integer layers, which fixes sizes and costs but computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .layers import Array, Layer

# Kinds of a layer's numbers: the image's, inner ones, the token sums'.
_IMAGE, _INNER, _SUMS = range(3)


def random_layers(
    *,
    bits: int = 3,
    weight_bits: int = 4,
    outer_bits: int = 8,
    image: int = 32,
    channels: Sequence[int] = (24, 48, 96),
    blocks: int = 2,
    hidden: int = 2,
    embed: int = 384,
    frames: int = 1,
    seed: int = 0,
) -> list[Layer]:
    """Return layers of the network ``tiny`` with random numbers, without the thresholds of the residual stream.

    bits: of activations, but 8 of the image and of the token sums. outer_bits: of the first and last weights.
    hidden: times the width of the MLP inside.
    """
    rng = np.random.default_rng(seed)

    def numbers(shape: tuple[int, ...], wide: int, *, signed: bool) -> Array:
        """Draw mostly small ones, as behind a ReLU."""
        low = -(1 << (wide - 1)) if signed else 0
        drawn = rng.normal(0, (1 << wide) / 4, shape).round().astype(np.int64)
        return np.clip(drawn, low, low + (1 << wide) - 1)

    def layer(name: str, op: str, size: int, sizes: tuple[int, int, int], kind: int, **how: Any) -> Layer:
        out, given, kernel = sizes
        wide, used = (weight_bits, bits) if kind == _INNER else (outer_bits, 8)
        top = (1 << (wide - 1)) - 1
        weight = np.clip(rng.normal(0, top / 3, (out, kernel, kernel, given)).round(), -top, top).astype(np.int64)
        inputs = numbers((frames, size, size, given), used, signed=kind == _IMAGE)
        return Layer(name, op, weight, wide, inputs, used, input_signed=kind == _IMAGE, **how)

    found, size, given, levels = [], image, 3, (1 << bits) - 1
    for i, out in enumerate(channels):
        last = i == len(channels) - 1
        how = {"pad": 1, "pool": 2, "out_levels": 0 if last else levels}
        found.append(layer(f"tokenizer.{i}", "conv", size, (out, given, 3), _INNER if i else _IMAGE, **how))
        size, given = size // 2, out
    for i in range(blocks):
        parts = [(f"attention.{part}", given, given) for part in ("q", "k", "v", "proj")]
        parts += [("mlp.fc1", hidden * given, given), ("mlp.fc2", given, hidden * given)]
        for name, out, into in parts:
            after = 0 if name.endswith(("proj", "fc2")) else levels
            found.append(layer(f"blocks.{i}.{name}", "linear", size, (out, into, 1), _INNER, out_levels=after))
    found.append(layer("readout.project", "linear", 1, (embed, given, 1), _SUMS))
    return found
