"""What goes through an accelerator's two streams, in integers: ``rtl/streams.json``, all one needs to drive the RTL.

layout = StreamLayout.of(model, "spikeclip_accelerator"); layout.write(folder)     # with FINN
beats = StreamLayout.read(folder).source.to_beats(images)                          # with numpy alone
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import beats
from .finn_rtl import RtlError

Array = np.ndarray
NAME, FORMAT, SCHEMA = "streams.json", "spikeclip-fpga/streams", 1
# Cycles without a handshake at the top before a run counts as stuck: so many times the sum of all nodes' cycles
# per frame, which no stage that still works exceeds, and some for short pipelines.
_PATIENCE, _PATIENCE_CYCLES = 2, 10_000


@dataclass(frozen=True)
class TensorStream:
    """A frame's tensor on a stream.

    port: of the top module, s_axis_0 or m_axis_0. shape: of one frame. fields: elements a beat. bits: of an element.
    low, high: what an element can be. width: bits of tdata, whole bytes.
    """

    port: str
    tensor: str
    shape: tuple[int, ...]
    fields: int
    bits: int
    low: int
    high: int
    width: int

    @property
    def signed(self) -> bool:
        """Return whether an element can be negative."""
        return self.low < 0

    @property
    def kind(self) -> str:
        """Return the type of an element, as INT8."""
        return f"{'INT' if self.signed else 'UINT'}{self.bits}"

    @property
    def frame_beats(self) -> int:
        """Return the beats of one frame."""
        return int(np.prod(self.shape)) // self.fields

    def to_beats(self, frames: Array) -> Array:
        """Return (N * frame_beats, words) uint32 beats of integers (N, *shape). Raises RtlError."""
        wanted = ", ".join(map(str, self.shape))
        if frames.shape[1:] != self.shape or not np.issubdtype(frames.dtype, np.integer) or not len(frames):
            raise RtlError(f"{self.tensor}: expected integers (N, {wanted}), got {frames.dtype} {frames.shape}")
        low, high = int(frames.min()), int(frames.max())
        if low < self.low or high > self.high:
            raise RtlError(f"{self.tensor}: expected {self.kind}, {self.low} to {self.high}, got {low} to {high}")
        stream = beats.pack(frames.reshape(-1, self.fields), self.bits)
        return np.pad(stream, ((0, 0), (0, beats.words_of(self.width) - stream.shape[1])))

    def from_beats(self, stream: Array) -> Array:
        """Return (N, *shape) int64 of (N * frame_beats, words) beats; bits beyond the elements are ignored."""
        values = beats.unpack(stream, self.bits, self.fields, signed=self.signed)
        return values.reshape(-1, *self.shape)


@dataclass(frozen=True)
class StreamLayout:
    """The one input and the one output of ``top``; patience_cycles: without a handshake, it is stuck."""

    top: str
    source: TensorStream
    sink: TensorStream
    patience_cycles: int

    @classmethod
    def of(cls, model: Any, top: str) -> StreamLayout:
        """Return the layout of a FINN graph after PrepareIP.

        Raises RtlError for a graph of not one input and one output, and for tensors that are no integers.
        """
        from qonnx.custom_op.registry import getCustomOp

        graph = model.graph
        if len(graph.input) != 1 or len(graph.output) != 1:
            counts = f"{len(graph.input)} and {len(graph.output)}"
            raise RtlError(f"{top}: expected a graph of one input and one output, got {counts}")
        name, raw = graph.input[0].name, model.find_consumer(graph.input[0].name)
        node, index = getCustomOp(raw), list(raw.input).index(name)
        source = _stream(
            *("s_axis_0", name, model.get_tensor_datatype(name), node.get_normal_input_shape(index)),
            *(node.get_folded_input_shape(index), node.get_instream_width_padded(index)),
        )
        name, raw = graph.output[0].name, model.find_producer(graph.output[0].name)
        node, index = getCustomOp(raw), list(raw.output).index(name)
        sink = _stream(
            *("m_axis_0", name, model.get_tensor_datatype(name), node.get_normal_output_shape(index)),
            *(node.get_folded_output_shape(index), node.get_outstream_width_padded(index)),
        )
        cycles = sum(int(getCustomOp(node).get_exp_cycles()) for node in graph.node)
        return cls(top, source, sink, _PATIENCE * cycles + _PATIENCE_CYCLES)

    @classmethod
    def read(cls, folder: Path) -> StreamLayout:
        """Return the layout in ``folder``. Raises RtlError if there is none, or one of another schema."""
        path = folder / NAME
        try:
            content = json.loads(path.read_text())
            if (content.pop("format"), content.pop("schema")) != (FORMAT, SCHEMA):
                raise ValueError(f"expected {FORMAT} schema {SCHEMA}")
            for side in ("source", "sink"):
                content[side] = TensorStream(**{**content[side], "shape": tuple(content[side]["shape"])})
            return cls(**content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RtlError(f"{path}: no stream layout ({error}); run `spikeclip build` again") from error

    def write(self, folder: Path) -> Path:
        """Write it to ``folder`` and return its path."""
        path = folder / NAME
        path.write_text(json.dumps({"format": FORMAT, "schema": SCHEMA, **asdict(self)}, indent=1) + "\n")
        return path


def _stream(port: str, tensor: str, kind: Any, shape: Any, folded: Any, width: int) -> TensorStream:
    """Return a stream of a tensor (1, ...) of qonnx type ``kind``."""
    if not kind.is_integer() or kind.get_canonical_name() == "BIPOLAR":
        raise RtlError(f"{tensor}: expected an integer type, got {kind.name}")
    sizes = tuple(int(n) for n in shape[1:])
    return TensorStream(
        *(port, tensor, sizes, int(folded[-1]), int(kind.bitwidth()), int(kind.min()), int(kind.max()), int(width))
    )
