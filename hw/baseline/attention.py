"""Attention of a quantised ANN, Q (K^T V) of every head without softmax: a FINN node that has a cost and no RTL.

FINN 1.6.1 has this in HLS alone, or as one MVAU with loaded weights for each head and product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from finn.custom_op.fpgadataflow import register_custom_op as register_abstract
from finn.custom_op.fpgadataflow.rtl import register_custom_op as register_rtl
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend

from ..ops import memory
from ..ops.finn_node import SpikingNode
from ..ops.operator import Array, Operator, Resources, require_multiple
from .errors import BaselineError


@dataclass(frozen=True)
class AttentionCost(Operator):
    """The two products over ``tokens`` tokens of ``dim`` channels of ``bits`` bits in ``heads`` heads.

    pe: multiply-accumulates a cycle of each product. K^T V of a frame is made while Q meets that of the frame
    before, as in SpikeAttention. scores: Q K^T first, then V, with K and V of a frame kept; softmax is left out.
    """

    dim: int
    heads: int
    tokens: int
    bits: int
    pe: int
    scores: bool = False

    top: ClassVar[str] = ""
    sources: ClassVar = ()

    def __post_init__(self) -> None:
        require_multiple("attention", {"dim": self.dim}, {"heads": self.heads})
        require_multiple("attention", {"head_dim": self.head_dim}, {"pe": self.pe})

    @property
    def head_dim(self) -> int:
        """Return the channels of a head."""
        return self.dim // self.heads

    @property
    def inner_bits(self) -> int:
        """Return the bits of an element of K^T V; scores are brought back to ``bits``."""
        return self.bits if self.scores else 2 * self.bits + (self.tokens - 1).bit_length()

    @property
    def out_bits(self) -> int:
        """Return the bits of a result, with a sign that a requantiser can read."""
        terms = self.tokens if self.scores else self.head_dim
        return self.inner_bits + self.bits + (terms - 1).bit_length() + 1

    def parameters(self) -> dict[str, int | str]:
        """Return none."""
        return {}

    def input_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return dict.fromkeys(("q", "k", "v"), self.pe * self.bits)

    def output_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"out": self.pe * self.out_bits}

    def initiation_interval(self) -> int:
        """Return the cycles per frame."""
        return self.tokens * self.dim * (self.tokens if self.scores else self.head_dim) // self.pe

    def latency(self) -> int:
        """Return the cycles from a frame's first beat to its first result: all of K^T V."""
        return self.initiation_interval()

    def resources(self, family: str = "xc7") -> Resources:
        """Return a DSP for each multiplication of a cycle, the memories, and the control SpikeAttention was fitted to.

        Memories: K^T V twice, q of a frame and two tokens; with scores K and V twice, scores of a token. LUTs: 85 and
        5.2 a bit of the memory's address, and the sums where the DSPs' own accumulators do not hold them.
        """
        inner = self.dim * self.head_dim // self.pe, self.pe * self.inner_bits
        queries = (self.tokens + 2) * self.dim // self.pe, self.pe * self.bits
        if self.scores:
            inner = 2 * self.tokens * self.dim // self.pe, self.pe * self.bits
            queries = 2 * self.heads * self.tokens, self.bits
        address = memory.address_bits(inner[0])
        lut, ff, blocks = 85 + 5.2 * address + self.pe * self.out_bits, 4.0 * address + 60, 0
        for (depth, width), number in ((inner, 2), (queries, 1)):
            if memory.ram_style(depth, width) == "block":
                taken, muxes = memory.block_ram(depth, width, written=True)
                blocks, lut = blocks + number * taken, lut + number * muxes
            else:
                lut, ff = lut + number * memory.ram_luts(depth, width), ff + number * width
        ff += self.pe * (3 * self.bits + self.inner_bits + self.out_bits)
        return Resources(round(lut), round(ff), blocks, dsp=2 * self.pe)


class QuantAttention(SpikingNode):
    """Three tensors (1, H, W, C), q, k and v -> (1, H, W, C)."""

    streams: ClassVar = ("q", "k", "v")

    def attributes(self) -> dict[str, Any]:
        """Return its own attributes, as get_nodeattr_types does."""
        return {"NumChannels": ("i", True, 0), "heads": ("i", True, 1), "scores": ("i", False, 0, {0, 1})}

    def operator(self) -> AttentionCost:
        """Return the cost its attributes describe; raises ParameterError."""
        heads, bits = self.value("heads"), self.bits("inputDataType")
        pe, scores = self.value("PE"), bool(self.value("scores"))
        return AttentionCost(self.value("NumChannels"), heads, self.positions, bits, pe, scores)

    def run(self, arrays: list[Array]) -> list[Array]:
        """Return the products, without softmax in either order."""
        shape, heads = arrays[0].shape, self.value("heads")
        q, k, v = (a.reshape(self.positions, heads, -1).swapaxes(0, 1) for a in arrays)
        return [(q @ (k.swapaxes(1, 2) @ v)).swapaxes(0, 1).reshape(shape)]

    def channels(self) -> tuple[int, int]:
        """Return the last axis of the input and of the output tensor."""
        return (self.value("NumChannels"),) * 2

    def folding(self) -> tuple[int, int]:
        """Return the elements in a beat of the input and of the output stream."""
        return (self.value("PE"),) * 2

    def get_exp_cycles(self) -> int:
        """Return the cycles of a frame."""
        return self.operator().initiation_interval()

    def operations(self) -> dict[str, int]:
        """Return the multiply-accumulates of a frame."""
        found = self.operator()
        return {"op_mac": 2 * found.pe * found.initiation_interval()}


class QuantAttention_rtl(QuantAttention, RTLBackend):  # noqa: N801
    """Its variant that FINN's passes choose; it is priced, and refuses to be built."""

    def _refuse(self) -> BaselineError:
        name = cast(SpikingNode, self).onnx_node.name
        return BaselineError(f"{name}: attention of a quantised ANN has a cost and no RTL; simulate the other nodes")

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        """Raise BaselineError."""
        raise self._refuse()

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        """Raise BaselineError."""
        raise self._refuse()

    def code_generation_ipi(self) -> list[str]:
        """Raise BaselineError."""
        raise self._refuse()

    def execute_node(self, context: dict[str, np.ndarray], graph: Any) -> None:
        """Multiply as integers, in any exec_mode."""
        SpikingNode.execute_node(self, context, graph)


register_abstract(QuantAttention)
register_rtl(QuantAttention_rtl)
