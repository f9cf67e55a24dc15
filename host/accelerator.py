"""What classifies: one protocol, interchangeable backends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.network import IntNetwork

if TYPE_CHECKING:
    from .bundle import Bundle


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


def _twin(bundle: Bundle) -> Accelerator:
    from .twin_backend import TwinAccelerator

    return TwinAccelerator(bundle)


def _pynq(bundle: Bundle) -> Accelerator:
    from .pynq_backend import PynqAccelerator

    return PynqAccelerator(bundle)


def _xrt(bundle: Bundle) -> Accelerator:
    from .xrt_backend import XrtAccelerator

    return XrtAccelerator(bundle)


# These need a board's description, real or emulated, and are closed after use.
BUNDLE_BACKENDS: dict[str, Callable[[Bundle], Accelerator]] = {"twin": _twin, "pynq": _pynq, "xrt": _xrt}


def open_accelerator(backend: str, source: Path | Bundle) -> Accelerator:
    """Return the backend of that name running a bundle, or the integer network in a file.

    What has a ``close`` must be closed. Raises AcceleratorError for an unknown name, a backend that needs a bundle
    and got a file, and a device that is not to be had.
    """
    if backend in BACKENDS:
        return BACKENDS[backend](network.load(source) if isinstance(source, Path) else source.network)
    if backend not in BUNDLE_BACKENDS:
        raise AcceleratorError(f"backend: expected one of {', '.join([*BACKENDS, *BUNDLE_BACKENDS])}, got {backend!r}")
    if isinstance(source, Path):
        raise AcceleratorError(f"backend {backend}: expected a bundle, got the network {source}; give --bundle FOLDER")
    return BUNDLE_BACKENDS[backend](source)
