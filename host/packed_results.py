"""Results as FINN's output DMA leaves them in memory: beat after beat, each a few elements padded to whole bytes."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .accelerator import AcceleratorError

_FORMAT, _SCHEMA = "spikeclip-fpga/streams", 1
# Unpacked as int64, of which an element may begin at any bit of its first byte.
_MOST_BITS = 56


class ResultsError(AcceleratorError):
    """A stream layout that is missing or not one of such results; one line with the remedy."""


@dataclass(frozen=True)
class PackedResults:
    """A frame of ``elements`` signed elements of ``bits`` bits, ``fields`` of them a beat of ``beat_bytes`` bytes.

    The first element of a beat is in its lowest bits, its first byte the lowest (what FINN's drivers call
    reverse_inner and reverse_endian). Bits above the last element are undefined. Raises ResultsError.
    """

    elements: int
    fields: int
    bits: int
    beat_bytes: int

    def __post_init__(self) -> None:
        if self.fields < 1 or self.elements < 1 or self.elements % self.fields:
            raise ResultsError(f"elements {self.elements} is not a multiple of fields {self.fields}")
        if not 1 <= self.bits <= _MOST_BITS:
            raise ResultsError(f"bits: expected 1 to {_MOST_BITS}, got {self.bits}")
        if 8 * self.beat_bytes < self.fields * self.bits:
            raise ResultsError(f"beat_bytes {self.beat_bytes} holds no {self.fields} fields of {self.bits} bits")

    @property
    def frame_bytes(self) -> int:
        """Return the bytes of a frame."""
        return self.elements // self.fields * self.beat_bytes

    def unpack(self, raw: np.ndarray, out: np.ndarray) -> None:
        """Write ``raw``, uint8 (n, frame_bytes), to ``out``, int64 (n, elements)."""
        beats = raw.reshape(len(raw), -1, self.beat_bytes)
        values = out.reshape(len(raw), -1, self.fields)
        for field in range(self.fields):
            first, offset = divmod(field * self.bits, 8)
            word = np.zeros(beats.shape[:2], np.uint64)
            for index in range(math.ceil((offset + self.bits) / 8)):
                word |= beats[:, :, first + index].astype(np.uint64) << np.uint64(8 * index)
            # To the top, so that the sign is the word's, and back down.
            high = (word << np.uint64(64 - self.bits - offset)).view(np.int64)
            values[:, :, field] = high >> np.int64(64 - self.bits)


def read_layout(path: Path, frame: tuple[int, ...], elements: int) -> PackedResults:
    """Return the results' layout from the stream layout that `spikeclip build` wrote, after comparing it.

    frame: shape of an image. Raises ResultsError for another network's, or pixels that are not signed bytes.
    """
    remedy = "pack the bundle again from the folder of its build"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content["format"], content["schema"]) != (_FORMAT, _SCHEMA):
            raise ValueError(f"expected {_FORMAT} schema {_SCHEMA}")
        source, sink = content["source"], content["sink"]
        pixels, shape, low = int(source["bits"]), tuple(map(int, source["shape"])), int(source["low"])
        packed = int(source["fields"]) * pixels == int(source["width"])
        found, signed = math.prod(map(int, sink["shape"])), int(sink["low"]) < 0
        fields, bits, width = (int(sink[key]) for key in ("fields", "bits", "width"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path}: no stream layout ({error!r}); {remedy}") from error
    if (shape, pixels, low, packed) != (frame, 8, -128, True):
        raise ResultsError(f"{path}: source: expected INT8 {frame} without padding, got {source}; {remedy}")
    if found != elements or not signed or width % 8:
        raise ResultsError(f"{path}: sink: expected {elements} signed elements in whole bytes, got {sink}; {remedy}")
    return PackedResults(elements, fields, bits, width // 8)
