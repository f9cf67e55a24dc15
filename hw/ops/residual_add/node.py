"""ResidualAdd as a FINN node."""

from __future__ import annotations

from typing import Any, ClassVar

from ..finn_node import SpikingNode, register
from ..operator import Array
from .op import ResidualAdd as Operator


@register
class ResidualAdd(SpikingNode):
    """Two currents (..., C*T) -> their sum."""

    streams: ClassVar = ("a", "b")

    def attributes(self) -> dict[str, Any]:
        """Return its own attributes, as get_nodeattr_types does."""
        return {"NumChannels": ("i", True, 0), "inputDataType1": ("s", True, "")}

    def operator(self) -> Operator:
        """Return the operator its attributes describe; raises ParameterError."""
        return Operator(
            channels=self.value("NumChannels"),
            pe=self.value("PE"),
            timesteps=self.value("timesteps"),
            a_width=self.bits("inputDataType"),
            b_width=self.bits("inputDataType1"),
            out_width=self.bits("outputDataType"),
        )

    def input_type(self, ind: int) -> str:
        """Return the attribute that holds the type of a stream."""
        return "inputDataType1" if ind else "inputDataType"

    def run(self, arrays: list[Array]) -> list[Array]:
        """Return golden.add's sums."""
        return [self.operator().golden(*arrays)]

    def channels(self) -> tuple[int, int]:
        """Return the last axis of the input and of the output tensor."""
        return (self.value("NumChannels") * self.value("timesteps"),) * 2

    def folding(self) -> tuple[int, int]:
        """Return the elements in a beat of the input and of the output stream."""
        return (self.value("PE") * self.value("timesteps"),) * 2

    def operations(self) -> dict[str, int]:
        """Return additions."""
        return {"op_add": self.positions * self.channels()[0]}
