"""Sums of two residual streams."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .graph import is_integer, make, replace, type_of


class ConvertResidualAdd(Transformation):
    """ResidualAdd of the integer graph -> ResidualAdd of the hardware graph."""

    def __init__(self, timesteps: int) -> None:
        super().__init__()
        self.timesteps = timesteps

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph without the integer graph's ResidualAdd."""
        for node in [n for n in model.graph.node if is_integer(n, "ResidualAdd")]:
            a, b = node.input
            shape = model.get_tensor_shape(a)
            made = make(
                "ResidualAdd",
                [a, b],
                [node.output[0]],
                node.name,
                NumChannels=shape[-1] // self.timesteps,
                PE=1,
                timesteps=self.timesteps,
                inputDataType=type_of(model, a),
                inputDataType1=type_of(model, b),
                outputDataType=type_of(model, node.output[0]),
                numInputVectors=shape[:-1],
            )
            replace(model, node, [made])
        return model, False
