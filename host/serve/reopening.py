"""An accelerator for a server that outlives its faults: a device given back after an error is opened again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..accelerator import Accelerator, AcceleratorError


class ReopeningAccelerator:
    """The accelerator that ``open_device`` returns; after an AcceleratorError the next call opens it anew.

    For one thread at a time, as the accelerators are. Raises what ``open_device`` raises.
    """

    def __init__(self, open_device: Callable[[], Accelerator]) -> None:
        self._open_device = open_device
        self._device: Accelerator | None = open_device()
        self.name, self.embed_dim = self._device.name, self._device.embed_dim

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Return (N, E) int64 embeddings of (N, H, W, C) uint8 images."""
        if self._device is None:
            self._device = self._open_device()
        try:
            return self._device.embed(images)
        except AcceleratorError:
            self.close()
            raise

    def close(self) -> None:
        """Release the device, if it is held and can be released."""
        close = getattr(self._device, "close", None)
        self._device = None
        if close is not None:
            close()
