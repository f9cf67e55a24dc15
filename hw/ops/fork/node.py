"""Fork as a FINN node."""

from __future__ import annotations

from typing import Any, ClassVar

from ..finn_node import SpikingNode, register
from ..operator import Array
from .op import Fork as Operator


@register
class Fork(SpikingNode):
    """A tensor (..., X) -> copies of it. PE: elements per beat."""

    keeps_type: ClassVar = True

    @property
    def results(self) -> tuple[str, ...]:
        """Return the RTL names of the output streams."""
        return tuple(f"out{i}" for i in range(self.value("NumOutputs")))

    def attributes(self) -> dict[str, Any]:
        """Return its own attributes; NumChannels counts elements, C or C*T."""
        return {"NumChannels": ("i", True, 0), "NumOutputs": ("i", True, 2)}

    def operator(self) -> Operator:
        """Return the operator its attributes describe; raises ParameterError."""
        return Operator(self.value("NumOutputs"), self.value("PE") * self.bits("inputDataType"))

    def run(self, arrays: list[Array]) -> list[Array]:
        """Return the copies."""
        return list(arrays) * self.value("NumOutputs")

    def channels(self) -> tuple[int, int]:
        """Return the last axis of the input and of the output tensor."""
        return (self.value("NumChannels"),) * 2

    def folding(self) -> tuple[int, int]:
        """Return the elements in a beat of the input and of the output stream."""
        return (self.value("PE"),) * 2

    def get_exp_cycles(self) -> int:
        """Return the cycles of a frame: one per beat."""
        return int(self.positions * self.value("NumChannels") // self.value("PE"))

    def output_links(self) -> list[str]:
        """Return the connections of sc_fork's vectors."""

        def side_by_side(signal: str) -> str:
            return "{" + ", ".join(f"out{i}{signal}" for i in reversed(range(self.value("NumOutputs")))) + "}"

        return [
            f".out_valid_o({side_by_side('_V_TVALID')})",
            f".out_ready_i({side_by_side('_V_TREADY')})",
            f".out_data_o({side_by_side('')})",
        ]
