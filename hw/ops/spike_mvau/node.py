"""SpikeMVAU as a FINN node."""

from __future__ import annotations

from typing import Any, ClassVar

from ..finn_node import SpikingNode, register
from ..operator import Array
from .op import SpikeMvau


@register
class SpikeMVAU(SpikingNode):
    """Words (..., MW) and weights (MH, MW) -> currents (..., MH*T)."""

    constants: ClassVar = ("weightDataType",)

    def attributes(self) -> dict[str, Any]:
        """Return its own attributes, as get_nodeattr_types does."""
        return {
            "MW": ("i", True, 0),
            "MH": ("i", True, 0),
            "SIMD": ("i", True, 1),
            "weightDataType": ("s", True, ""),
        }

    def operator(self) -> SpikeMvau:
        """Return the operator its attributes describe; raises ParameterError."""
        return SpikeMvau(
            mw=self.value("MW"),
            mh=self.value("MH"),
            simd=self.value("SIMD"),
            pe=self.value("PE"),
            timesteps=self.value("timesteps"),
            w_width=self.bits("weightDataType"),
            acc_width=self.bits("outputDataType"),
        )

    def run(self, arrays: list[Array]) -> list[Array]:
        """Return golden.spike_linear's currents."""
        return [self.operator().golden(*arrays)]

    def channels(self) -> tuple[int, int]:
        """Return the last axis of the input and of the output tensor."""
        return self.value("MW"), self.value("MH") * self.value("timesteps")

    def folding(self) -> tuple[int, int]:
        """Return the elements in a beat of the input and of the output stream."""
        return self.value("SIMD"), self.value("PE") * self.value("timesteps")

    def files(self, constants: list[Array]) -> dict[str, str]:
        """Return the ROM of weights."""
        return self.operator().files(*constants)

    def operations(self) -> dict[str, int]:
        """Return additions of a weight (were every spike 1) and weights."""
        weights, bits = self.value("MW") * self.value("MH"), self.bits("weightDataType")
        return {
            f"op_ac_1bx{bits}b": self.positions * weights * self.value("timesteps"),
            f"param_weight_{bits}b": weights,
        }
