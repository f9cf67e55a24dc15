"""SpikePool as a FINN node, behind FMPadding and a depthwise ConvolutionInputGenerator."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..finn_node import SpikingNode, register
from ..operator import Array
from .op import SpikePool as Operator


@register
class SpikePool(SpikingNode):
    """Windows (1, H', W', k*k*X) -> maxima (1, H', W', X): words (X = C) or currents (X = C*T).

    numInputVectors is (1, H', W'); IFMDim the map before padding. A window's tensor is (k*k, X), the channel
    innermost; in exec_mode "cppsim" and "rtlsim" FINN's generator gives the stream's order instead,
    (X/fold, k*k, fold), of groups of PE channels.
    """

    keeps_type: ClassVar = True

    def attributes(self) -> dict[str, Any]:
        """Return its own attributes, as get_nodeattr_types does."""
        return {
            "NumChannels": ("i", True, 0),
            "IFMDim": ("ints", True, []),
            "kernel": ("i", True, 2),
            "stride": ("i", True, 2),
            "pad": ("i", True, 0),
            "mode": ("s", True, "or", {"or", "max"}),
        }

    def operator(self) -> Operator:
        """Return the operator its attributes describe; raises ParameterError."""
        height, width = (int(n) for n in self.value("IFMDim"))
        return Operator(
            channels=self.value("NumChannels"),
            pe=self.value("PE"),
            timesteps=self.value("timesteps"),
            height=height,
            width=width,
            mode=self.value("mode"),
            in_width=self.bits("inputDataType") if self.value("mode") == "max" else 1,
            kernel=self.value("kernel"),
            stride=self.value("stride"),
            pad=self.value("pad"),
        )

    def _elements(self) -> int:
        return int(self.value("timesteps")) if self.value("mode") == "max" else 1

    def _by_element(self, windows: Array) -> Array:
        """Return windows (1, H', W', k*k, X)."""
        elements, fold = self.channels()[1], self.folding()[0]
        if not self.value("exec_mode"):
            return windows.reshape(*self.vectors, -1, elements)
        groups = windows.reshape(*self.vectors, elements // fold, -1, fold)
        return groups.swapaxes(-3, -2).reshape(*self.vectors, -1, elements)

    def run(self, arrays: list[Array]) -> list[Array]:
        """Return the maxima of windows; a padded element never wins."""
        operator = self.operator()
        windows = self._by_element(arrays[0])
        if operator.mode == "or":
            return [np.bitwise_or.reduce(windows, axis=3)]
        steps = np.arange(operator.kernel) - operator.pad

        def inside(size: int, out: int) -> Array:
            at = operator.stride * np.arange(out)[:, None] + steps
            return (at >= 0) & (at < size)

        rows, columns = inside(operator.height, self.vectors[1]), inside(operator.width, self.vectors[2])
        valid = (rows[:, None, :, None] & columns[None, :, None, :]).reshape(*self.vectors, -1, 1)
        return [np.where(valid, windows, np.iinfo(np.int64).min).max(3)]

    def channels(self) -> tuple[int, int]:
        """Return the last axis of the input and of the output tensor."""
        elements = self.value("NumChannels") * self._elements()
        return elements * self.value("kernel") ** 2, elements

    def folding(self) -> tuple[int, int]:
        """Return the elements in a beat of the input and of the output stream."""
        return (self.value("PE") * self._elements(),) * 2

    def operations(self) -> dict[str, int]:
        """Return comparisons (or ORs) of a frame."""
        return {f"op_{self.value('mode')}": int(np.prod(self.vectors)) * self.channels()[0]}
