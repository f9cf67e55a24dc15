"""LIF as a FINN node."""

from __future__ import annotations

from typing import Any, ClassVar

from ..finn_node import SpikingNode, register
from ..operator import Array
from .op import Lif


@register
class LIF(SpikingNode):
    """Currents (..., C*T), or (..., C) with broadcast, threshold (C,), bias (C,) -> words (..., C)."""

    constants: ClassVar = ("thresholdDataType", "biasDataType")

    def attributes(self) -> dict[str, Any]:
        """Return its own attributes, as get_nodeattr_types does."""
        return {
            "NumChannels": ("i", True, 0),
            "thresholdDataType": ("s", True, ""),
            "biasDataType": ("s", True, ""),
            "broadcast": ("i", False, 0, {0, 1}),
            "frac_bits": ("i", True, 0),
            "leak_k": ("i", True, 1),
            "leak_n": ("i", True, 1),
            "reset": ("s", False, "subtract", {"subtract", "zero"}),
            "membrane_bits": ("i", True, 32),
        }

    def operator(self) -> Lif:
        """Return the operator its attributes describe; raises ParameterError."""
        return Lif(
            channels=self.value("NumChannels"),
            pe=self.value("PE"),
            timesteps=self.value("timesteps"),
            in_width=self.bits("inputDataType"),
            threshold_width=self.bits("thresholdDataType"),
            bias_width=self.bits("biasDataType"),
            membrane_width=self.value("membrane_bits"),
            frac_bits=self.value("frac_bits"),
            leak_k=self.value("leak_k"),
            leak_n=self.value("leak_n"),
            reset=self.value("reset"),
            broadcast=bool(self.value("broadcast")),
        )

    def run(self, arrays: list[Array]) -> list[Array]:
        """Return golden.lif's words."""
        return [self.operator().golden(*arrays)]

    def channels(self) -> tuple[int, int]:
        """Return the last axis of the input and of the output tensor."""
        return self.value("NumChannels") * self.operator().input_steps, self.value("NumChannels")

    def folding(self) -> tuple[int, int]:
        """Return the elements in a beat of the input and of the output stream."""
        return self.value("PE") * self.operator().input_steps, self.value("PE")

    def files(self, constants: list[Array]) -> dict[str, str]:
        """Return the ROM of thresholds and biases."""
        return self.operator().files(*constants)

    def operations(self) -> dict[str, int]:
        """Return neuron updates and parameters."""
        channels = self.value("NumChannels")
        return {"op_lif": self.positions * channels * self.value("timesteps"), "param_lif": 2 * channels}
