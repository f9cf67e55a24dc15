"""Align as a FINN node."""

from __future__ import annotations

from typing import Any, ClassVar

from ..finn_node import SpikingNode, register
from ..operator import Array
from .op import Align as Operator


@register
class Align(SpikingNode):
    """Currents (..., C*T), shift (C,), bias (C,) -> currents (..., C*T)."""

    constants: ClassVar = ("shiftDataType", "biasDataType")

    def attributes(self) -> dict[str, Any]:
        """Return its own attributes: shift is what every channel shifts, extra_width the bits of what one adds."""
        return {
            "NumChannels": ("i", True, 0),
            "shiftDataType": ("s", True, ""),
            "biasDataType": ("s", True, ""),
            "shift": ("i", True, 0),
            "extra_width": ("i", True, 0),
        }

    def operator(self) -> Operator:
        """Return the operator its attributes describe; raises ParameterError."""
        return Operator(
            channels=self.value("NumChannels"),
            pe=self.value("PE"),
            timesteps=self.value("timesteps"),
            in_width=self.bits("inputDataType"),
            bias_width=self.bits("biasDataType"),
            shift=self.value("shift"),
            extra_width=self.value("extra_width"),
            out_width=self.bits("outputDataType"),
        )

    def run(self, arrays: list[Array]) -> list[Array]:
        """Return golden.align's currents."""
        return [self.operator().golden(*arrays)]

    def channels(self) -> tuple[int, int]:
        """Return the last axis of the input and of the output tensor."""
        return (self.value("NumChannels") * self.value("timesteps"),) * 2

    def folding(self) -> tuple[int, int]:
        """Return the elements in a beat of the input and of the output stream."""
        return (self.value("PE") * self.value("timesteps"),) * 2

    def files(self, constants: list[Array]) -> dict[str, str]:
        """Return the ROM of shifts and biases."""
        return self.operator().files(*constants)

    def operations(self) -> dict[str, int]:
        """Return additions and parameters."""
        channels = self.value("NumChannels")
        return {"op_add": self.positions * channels * self.value("timesteps"), "param_align": 2 * channels}
