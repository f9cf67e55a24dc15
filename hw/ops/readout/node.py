"""Readout as a FINN node: token sum and time weights; the projection is a stock MVAU behind it."""

from __future__ import annotations

from typing import Any, ClassVar

from ..finn_node import Shape, SpikingNode, register
from ..operator import Array
from .op import Readout as Operator


@register
class Readout(SpikingNode):
    """Words (1, ..., D) and time weights (T,) -> z (1, 1, 1, D)."""

    constants: ClassVar = ("weightDataType",)

    def attributes(self) -> dict[str, Any]:
        """Return its own attributes; accumulatorBits holds every weighted sum."""
        return {
            "NumChannels": ("i", True, 0),
            "weightDataType": ("s", True, ""),
            "accumulatorBits": ("i", True, 0),
            "shift": ("i", True, 0),
        }

    def operator(self) -> Operator:
        """Return the operator its attributes describe; raises ParameterError."""
        return Operator(
            channels=self.value("NumChannels"),
            pe=self.value("PE"),
            timesteps=self.value("timesteps"),
            tokens=super().positions,
            w_width=self.bits("weightDataType"),
            acc_width=self.value("accumulatorBits"),
            shift=self.value("shift"),
            out_width=self.bits("outputDataType"),
        )

    @property
    def positions(self) -> int:
        """Return 1: the operator counts its cycles per frame."""
        return 1

    def output_vectors(self) -> Shape:
        """Return the leading axes of z."""
        return (1, 1, 1)

    def run(self, arrays: list[Array]) -> list[Array]:
        """Return z as golden.readout has it."""
        words, weight = arrays
        z = self.operator().golden(words.reshape(1, -1, words.shape[-1]), weight)
        return [z.reshape(self.get_normal_output_shape())]

    def channels(self) -> tuple[int, int]:
        """Return the last axis of the input and of the output tensor."""
        return (self.value("NumChannels"),) * 2

    def folding(self) -> tuple[int, int]:
        """Return the elements in a beat of the input and of the output stream."""
        return (self.value("PE"),) * 2

    def files(self, constants: list[Array]) -> dict[str, str]:
        """Return the ROM of time weights."""
        return self.operator().files(*constants)

    def operations(self) -> dict[str, int]:
        """Return additions and parameters."""
        operator = self.operator()
        return {
            "op_add": operator.tokens * operator.channels * operator.timesteps,
            "param_time_weight": operator.timesteps,
        }
