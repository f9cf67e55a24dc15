"""Fold scales into the neurons that read them, until every neuron reads whole accumulator units."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .errors import LoweringError

# A weight scale and its inverse went through float32; their product is 1 to a few parts in 10^7.
UNIT_TOLERANCE = 1e-5


class AbsorbScaleIntoLIF(Transformation):
    """Mul(m) -> LIF(inverse_scale)   becomes   LIF(inverse_scale * m), also through Transpose and Reshape.

    The neuron's accumulator is round(x * inverse_scale), so the product is all that counts.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Absorb one Mul a call."""
        for node in model.graph.node:
            if node.op_type != "LIF":
                continue
            mul, reordered = _scale_above(model, node.input[0])
            if mul is None:
                continue
            factor = model.get_initializer(mul.input[1]).astype(np.float64).reshape(-1)
            inverse = model.get_initializer(node.input[1]).astype(np.float64)
            if factor.size != 1 and (reordered or factor.size != inverse.size):
                raise LoweringError(
                    f"{mul.name}: {factor.size} factors before {node.name} with {inverse.size} channels"
                )
            model.set_initializer(node.input[1], (inverse * factor).astype(np.float32))
            for consumer in model.find_consumers(mul.output[0]):
                for i, name in enumerate(consumer.input):
                    if name == mul.output[0]:
                        consumer.input[i] = mul.input[0]
            model.graph.node.remove(mul)
            return model, True
        return model, False


def _scale_above(model: ModelWrapper, name: str) -> tuple[NodeProto | None, bool]:
    """Return the Mul by a constant above ``name``, and whether axes were reordered on the way."""
    reordered = False
    while True:
        producer = model.find_producer(name)
        if producer is None or len(model.find_consumers(producer.output[0])) != 1:
            return None, reordered
        if producer.op_type == "Mul" and model.get_initializer(producer.input[1]) is not None:
            return producer, reordered
        if producer.op_type not in ("Transpose", "Reshape"):
            return None, reordered
        name, reordered = producer.input[0], True


class RequireUnitScale(Transformation):
    """Check that every LIF reads accumulator units (inverse_scale 1) and write exactly 1."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Raise LoweringError naming the first neuron that still reads scaled values."""
        for node in model.graph.node:
            if node.op_type == "LIF":
                inverse = model.get_initializer(node.input[1])
                if np.abs(inverse - 1).max() > UNIT_TOLERANCE:
                    worst = float(inverse[np.abs(inverse - 1).argmax()])
                    raise LoweringError(
                        f"{node.name}: reads values of scale {1 / worst:g}, expected whole accumulator units"
                    )
                model.set_initializer(node.input[1], np.ones_like(inverse))
        return model, False
