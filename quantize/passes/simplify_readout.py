"""Drop the readout's detour through real numbers: W z * scale / scale, rounded, is W z."""

from __future__ import annotations

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .absorb_scale import UNIT_TOLERANCE


class RemoveUnitScaleBeforeRound(Transformation):
    """MatMul -> Mul(1) -> Round   becomes   MatMul, whose inputs are integers.

    The factor is a weight scale times its inverse: 1 up to the rounding of float32.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Remove every such pair."""
        for node in list(model.graph.node):
            if node.op_type != "Round":
                continue
            mul = model.find_producer(node.input[0])
            if mul is None or mul.op_type != "Mul":
                continue
            factor = model.get_initializer(mul.input[1])
            if factor is None or np.abs(factor - 1).max() > UNIT_TOLERANCE:
                continue
            for consumer in model.find_consumers(node.output[0]):
                for i, name in enumerate(consumer.input):
                    if name == node.output[0]:
                        consumer.input[i] = mul.input[0]
            model.graph.node.remove(mul)
            model.graph.node.remove(node)
        return model, False
