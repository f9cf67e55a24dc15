"""The readout: token sum and time weights, then the projection on FINN's MVAU, then its bias."""

from __future__ import annotations

import numpy as np
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from spikeclip_fpga.quantize.ranges import signed_bits

from ..ops.readout.op import Readout
from .graph import integer, is_integer, make, replace, tensor, type_of
from .signed_constants import signed_type
from .stock_mvau import stock_mvau


class ConvertReadout(Transformation):
    """Readout -> Readout (z), MVAU (the projection), Align with one step (its bias)."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph without the integer graph's Readout; its embedding becomes (1, 1, 1, E)."""
        for node in [n for n in model.graph.node if is_integer(n, "Readout")]:
            words, time_weight, weight, bias = node.input
            shape, out = model.get_tensor_shape(words), node.output[0]
            tokens, matrix = int(np.prod(shape[:-1])), model.get_initializer(weight)
            shift, weights = integer(node, "shift"), model.get_initializer(time_weight)
            fit = Readout.fitted(weights, channels=shape[-1], pe=1, tokens=tokens, shift=shift)
            z = tensor(model, f"{node.name}.z", (1, 1, 1, shape[-1]), f"INT{fit.out_width}")
            summed = make(
                "Readout",
                [words, time_weight],
                [z],
                f"{node.name}.z",
                NumChannels=shape[-1],
                PE=1,
                timesteps=integer(node, "timesteps"),
                shift=fit.shift,
                accumulatorBits=fit.acc_width,
                weightDataType=signed_type(model, time_weight),
                inputDataType=type_of(model, words),
                outputDataType=f"INT{fit.out_width}",
                numInputVectors=shape[:-1],
            )
            limit = DataType[f"INT{fit.out_width}"]
            largest = int(np.abs(matrix).sum(1).max()) * -int(limit.min())
            product = tensor(
                model, f"{node.name}.product", (1, 1, 1, len(matrix)), f"INT{signed_bits(-largest, largest)}"
            )
            projection = stock_mvau(
                model, z, matrix, product, type_of(model, product), f"{node.name}.projection", (1, 1, 1)
            )
            zero = f"{node.name}.no_shift"
            model.set_initializer(zero, np.zeros(len(matrix), np.float32))
            embedding = type_of(model, out)
            tensor(model, out, (1, 1, 1, len(matrix)), embedding)
            added = make(
                "Align",
                [product, zero, bias],
                [out],
                f"{node.name}.bias",
                NumChannels=len(matrix),
                PE=1,
                timesteps=1,
                shift=0,
                extra_width=0,
                shiftDataType=signed_type(model, zero),
                biasDataType=signed_type(model, bias),
                inputDataType=type_of(model, product),
                outputDataType=embedding,
                numInputVectors=[1, 1, 1],
            )
            replace(model, node, [summed, projection, added])
        return model, False
