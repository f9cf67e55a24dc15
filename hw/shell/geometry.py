"""What the shell must know of an accelerator: the bytes of a beat and frame in, the elements of those out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..stream_layout import StreamLayout


class ShellError(ValueError):
    """An accelerator, or a board, the shell does not fit; one line with what was expected."""


@dataclass(frozen=True)
class Geometry:
    """The streams of an accelerator.

    in_bytes: of a beat of s_axis_0. frame_bytes: H x W x C. pe: elements in a beat of m_axis_0, out_width bits each,
    in out_bits bits with the padding. elements: of a frame. frames: that may be in the accelerator at a time.
    Raises ShellError for streams the shell does not have.
    """

    in_bytes: int
    frame_bytes: int
    pe: int
    out_width: int
    out_bits: int
    elements: int
    frames: int = 64

    def __post_init__(self) -> None:
        if self.in_bytes < 1 or self.frame_bytes < 1 or self.frame_bytes % self.in_bytes:
            raise ShellError(f"frame_bytes {self.frame_bytes} is not a multiple of in_bytes {self.in_bytes}")
        if self.pe < 1 or self.elements < 1 or self.elements % self.pe:
            raise ShellError(f"elements {self.elements} is not a multiple of pe {self.pe}")
        if not 1 <= self.out_width <= 32:
            raise ShellError(f"out_width: expected 1 to 32 bits, as words of 32 bits hold, got {self.out_width}")
        if self.out_bits < self.pe * self.out_width:
            raise ShellError(f"out_bits {self.out_bits} is below pe x out_width, {self.pe * self.out_width}")
        if self.frames < 2:
            raise ShellError(f"frames: expected 2 or more, got {self.frames}")

    @classmethod
    def of(cls, layout: StreamLayout) -> Geometry:
        """Return the geometry of an accelerator that takes 8-bit pixels and gives signed integers.

        Raises ShellError for other streams.
        """
        source, sink = layout.source, layout.sink
        if source.bits != 8:
            raise ShellError(f"input {source.tensor}: expected pixels of 8 bits, one byte each, got {source.kind}")
        if not sink.signed:
            raise ShellError(f"output {sink.tensor}: expected signed integers, got {sink.kind}")
        return cls(
            in_bytes=source.fields,
            frame_bytes=math.prod(source.shape),
            pe=sink.fields,
            out_width=sink.bits,
            out_bits=sink.width,
            elements=math.prod(sink.shape),
        )

    @property
    def parameters(self) -> dict[str, int]:
        """Return the parameters of sc_dma_shell."""
        return {
            "IN_BYTES": self.in_bytes,
            "FRAME_BYTES": self.frame_bytes,
            "PE": self.pe,
            "OUT_WIDTH": self.out_width,
            "OUT_BITS": self.out_bits,
            "ELEMENTS": self.elements,
            "FRAMES": self.frames,
        }
