"""What classifies: one protocol, interchangeable backends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.network import IntNetwork


class AcceleratorError(RuntimeError):
    """A backend that is not to be had; the message names it and the remedy."""


class Accelerator(Protocol):
    """Embeds images; all backends give the same integers."""

    name: str
    embed_dim: int

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Return (N, E) int64 embeddings of (N, 32, 32, 3) uint8 images."""
        ...


class GoldenAccelerator:
    """The definition itself (quantize/golden.py), in numpy: slow, and right by definition."""

    name = "golden"
    # Bounds the unpacked spikes of a batch to some tens of megabytes.
    _BATCH = 16

    def __init__(self, net: IntNetwork) -> None:
        self._net, self.embed_dim = net, net.embed_dim

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Return (N, E) int64 embeddings of (N, 32, 32, 3) uint8 images."""
        parts = [self._net.run(images[i : i + self._BATCH]) for i in range(0, len(images), self._BATCH)]
        return np.concatenate(parts)


class FastAccelerator:
    """The same integers from compiled code; needs g++ once."""

    name = "fast"

    def __init__(self, net: IntNetwork) -> None:
        from spikeclip_fpga.quantize.runner import FastRunner

        self._runner, self.embed_dim = FastRunner(net), net.embed_dim

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Return (N, E) int64 embeddings of (N, 32, 32, 3) uint8 images."""
        return self._runner.run(images)


BACKENDS: dict[str, Callable[[IntNetwork], Accelerator]] = {"golden": GoldenAccelerator, "fast": FastAccelerator}


def open_accelerator(backend: str, network_file: Path) -> Accelerator:
    """Return the backend of that name running the integer network in ``network_file``."""
    if backend not in BACKENDS:
        raise AcceleratorError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    return BACKENDS[backend](network.load(network_file))
