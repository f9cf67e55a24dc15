"""Neurons on the LIF operator."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .graph import integer, is_integer, make, replace, text, type_of
from .signed_constants import signed_type


class ConvertLIF(Transformation):
    """LIF of the integer graph -> LIF of the hardware graph."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph without the integer graph's LIF."""
        for node in [n for n in model.graph.node if is_integer(n, "LIF")]:
            current, threshold, bias = node.input
            shape = model.get_tensor_shape(current)
            broadcast, steps = integer(node, "broadcast"), integer(node, "timesteps")
            made = make(
                "LIF",
                [current, threshold, bias],
                [node.output[0]],
                node.name,
                NumChannels=shape[-1] // (1 if broadcast else steps),
                PE=1,
                broadcast=broadcast,
                reset=text(node, "reset"),
                thresholdDataType=signed_type(model, threshold),
                biasDataType=signed_type(model, bias),
                inputDataType=type_of(model, current),
                outputDataType=f"UINT{steps}",
                numInputVectors=shape[:-1],
                **{n: integer(node, n) for n in ("timesteps", "frac_bits", "leak_k", "leak_n", "membrane_bits")},
            )
            replace(model, node, [made])
        return model, False
