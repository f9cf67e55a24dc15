"""What the shell must know of an accelerator: the bytes of a beat and frame in, the elements of those out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


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


def geometry(model: Any) -> Geometry:
    """Return the geometry of a graph of FINN nodes: one input of 8-bit pixels, one output of signed integers.

    Raises ShellError for another graph.
    """
    from qonnx.custom_op.registry import getCustomOp

    if len(model.graph.input) != 1 or len(model.graph.output) != 1:
        counts = f"{len(model.graph.input)} and {len(model.graph.output)}"
        raise ShellError(f"expected a graph of one input and one output, got {counts}")
    source, sink = model.graph.input[0].name, model.graph.output[0].name
    reader, writer = getCustomOp(model.find_consumers(source)[0]), getCustomOp(model.find_producer(sink))
    pixel, element = model.get_tensor_datatype(source), model.get_tensor_datatype(sink)
    if pixel.bitwidth() != 8:
        raise ShellError(f"input {source}: expected pixels of 8 bits, one byte each, got {pixel.name}")
    if not element.signed() or not element.is_integer():
        raise ShellError(f"output {sink}: expected signed integers, got {element.name}")
    return Geometry(
        in_bytes=int(reader.get_folded_input_shape()[-1]),
        frame_bytes=math.prod(map(int, model.get_tensor_shape(source)[1:])),
        pe=int(writer.get_folded_output_shape()[-1]),
        out_width=int(element.bitwidth()),
        out_bits=int(writer.get_outstream_width_padded()),
        elements=math.prod(map(int, model.get_tensor_shape(sink)[1:])),
    )
