"""The accelerator behind its shell, as streams: bytes of frames in, bytes of embeddings out, with a batch's end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Embed = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Timing:
    """Simulated cycles: of one frame from first pixel to last element, and between frames of a batch."""

    latency_cycles: int
    cycles_per_frame: int

    def cycles(self, frames: int) -> int:
        """Return the cycles a batch of ``frames`` takes, transfers not counted."""
        return self.latency_cycles + (frames - 1) * self.cycles_per_frame if frames > 0 else 0


@dataclass(frozen=True)
class Batch:
    """The results of a transfer's frames, and the bytes of the frame it left unfinished."""

    results: list[bytes]
    part: bytes


class Pipeline:
    """Frames of H x W x C signed bytes in, E 32-bit integers each out; a frame may span transfers.

    embed: (N, H, W, C) uint8 images -> (N, E) integers. Its user serialises calls.
    """

    def __init__(self, embed: Embed, shape: tuple[int, ...], elements: int, xor: int = 0x80) -> None:
        self._embed, self._shape, self._elements, self._xor = embed, shape, elements, xor
        self.frame_bytes, self.result_bytes = int(np.prod(shape)), 4 * elements
        self.reset()

    def reset(self) -> None:
        """Forget everything on the way, as configuring the device anew does."""
        self._part = b""
        self._results: deque[tuple[bytes, bool]] = deque()
        self.frames = 0

    @property
    def state(self) -> int:
        """Return the ID block's state bits: 0 inside a frame, 1 results waiting."""
        return (1 if self._part else 0) | (2 if self._results else 0)

    @property
    def waiting(self) -> int:
        """Return the frames whose results nobody has taken."""
        return len(self._results)

    def run(self, data: bytes) -> Batch:
        """Return what one transfer, ending in TLAST, makes of the accelerator. Changes nothing: see accept.

        The batch's last result carries TLAST only if the transfer ended with a frame: in the middle of one, the
        hardware's shell has no last frame to mark. Raises ValueError if the accelerator gives no (N, E) int32.
        """
        whole = self._part + data
        count = len(whole) // self.frame_bytes
        end = count * self.frame_bytes
        if count == 0:
            return Batch([], whole)
        pixels = np.frombuffer(whole, np.uint8, end).reshape(count, *self._shape)
        embeddings = np.asarray(self._embed(pixels ^ np.uint8(self._xor)))
        if embeddings.shape != (count, self._elements):
            raise ValueError(f"accelerator: expected ({count}, {self._elements}) integers, got {embeddings.shape}")
        if embeddings.min() < -(1 << 31) or embeddings.max() >= 1 << 31:
            raise ValueError(f"accelerator: {np.abs(embeddings).max()} does not fit the stream's 32 bits")
        return Batch([row.tobytes() for row in embeddings.astype("<i4")], whole[end:])

    def accept(self, batch: Batch) -> None:
        """Make what run returned the accelerator's state: its results wait to be taken."""
        self._part = batch.part
        last = len(batch.results) - 1
        self._results.extend((data, i == last and not batch.part) for i, data in enumerate(batch.results))
        self.frames += len(batch.results)

    def pull(self) -> tuple[bytes, bool] | None:
        """Return the next frame's bytes and whether TLAST ends them; None if none is ready."""
        return self._results.popleft() if self._results else None
