"""Shift and bias onto the residual stream's grid."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .graph import integer, is_integer, make, replace, type_of
from .signed_constants import signed_type


class ConvertAlign(Transformation):
    """Align of the integer graph -> Align of the hardware graph."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph without the integer graph's Align."""
        for node in [n for n in model.graph.node if is_integer(n, "Align")]:
            current, shift, bias = node.input
            shape, shifts = model.get_tensor_shape(current), model.get_initializer(shift)
            least, most = int(shifts.min()), int(shifts.max())
            made = make(
                "Align",
                [current, shift, bias],
                [node.output[0]],
                node.name,
                NumChannels=len(shifts),
                PE=1,
                timesteps=integer(node, "timesteps"),
                shift=least,
                extra_width=(most - least).bit_length(),
                shiftDataType=signed_type(model, shift),
                biasDataType=signed_type(model, bias),
                inputDataType=type_of(model, current),
                outputDataType=type_of(model, node.output[0]),
                numInputVectors=shape[:-1],
            )
            replace(model, node, [made])
        return model, False
