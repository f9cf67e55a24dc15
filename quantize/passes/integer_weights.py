"""Make folded weights exactly the integers they stand for."""

from __future__ import annotations

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .errors import LoweringError


class RoundIntegerWeights(Transformation):
    """Round weights of Conv and MatMul: FINN divides a quantised weight by its scale in float32, which can
    leave 6.9999995 for 7."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Raise LoweringError if a weight is further than 10^-3 from an integer."""
        for node in model.graph.node:
            if node.op_type not in ("Conv", "MatMul"):
                continue
            weight = model.get_initializer(node.input[1])
            if weight is None:
                continue
            whole = np.rint(weight)
            if np.abs(whole - weight).max() > 1e-3:
                raise LoweringError(f"{node.name}: weights are not integers after folding their scale")
            model.set_initializer(node.input[1], whole.astype(np.float32))
        return model, False
