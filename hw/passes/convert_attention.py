"""Spiking self-attention."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .graph import integer, is_integer, make, replace, type_of


class ConvertAttention(Transformation):
    """SpikeAttention of the integer graph -> SpikeAttention of the hardware graph."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph without the integer graph's SpikeAttention."""
        for node in [n for n in model.graph.node if is_integer(n, "SpikeAttention")]:
            shape = model.get_tensor_shape(node.input[0])
            out = node.output[0]
            made = make(
                "SpikeAttention",
                list(node.input),
                [out],
                node.name,
                NumChannels=shape[-1],
                heads=integer(node, "heads"),
                PE=1,
                timesteps=integer(node, "timesteps"),
                inputDataType=type_of(model, node.input[0]),
                outputDataType=type_of(model, out),
                numInputVectors=shape[:-1],
            )
            replace(model, node, [made])
        return model, False
