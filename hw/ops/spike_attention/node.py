"""SpikeAttention as a FINN node."""

from __future__ import annotations

from typing import Any, ClassVar

from ..finn_node import SpikingNode, register
from ..operator import Array
from .op import SpikeAttention as Operator


@register
class SpikeAttention(SpikingNode):
    """Words q, k, v (1, ..., D) -> counts (1, ..., D*T); the axes between are the tokens, row by row."""

    streams: ClassVar = ("q", "k", "v")

    def attributes(self) -> dict[str, Any]:
        """Return its own attributes, as get_nodeattr_types does."""
        return {"NumChannels": ("i", True, 0), "heads": ("i", True, 1)}

    def operator(self) -> Operator:
        """Return the operator its attributes describe; raises ParameterError."""
        return Operator(
            dim=self.value("NumChannels"),
            heads=self.value("heads"),
            tokens=super().positions,
            timesteps=self.value("timesteps"),
            pe=self.value("PE"),
            out_width=self.bits("outputDataType"),
        )

    @property
    def positions(self) -> int:
        """Return 1: the operator counts its cycles per frame."""
        return 1

    def run(self, arrays: list[Array]) -> list[Array]:
        """Return golden.attention's counts."""
        q, k, v = (x.reshape(1, -1, x.shape[-1]) for x in arrays)
        return [self.operator().golden(q, k, v).reshape(self.get_normal_output_shape())]

    def channels(self) -> tuple[int, int]:
        """Return the last axis of the input and of the output tensor."""
        return self.value("NumChannels"), self.value("NumChannels") * self.value("timesteps")

    def folding(self) -> tuple[int, int]:
        """Return the elements in a beat of the input and of the output stream."""
        return self.value("PE"), self.value("PE") * self.value("timesteps")

    def operations(self) -> dict[str, int]:
        """Return the additions of a bit, K^T V and Q times it."""
        operator = self.operator()
        return {"op_ac_1bx1b": 2 * operator.tokens * operator.dim * operator.head_dim * operator.timesteps}
