"""Count the residual stream in its grid's steps instead of in fractions."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .errors import LoweringError


class IntegerResidual(Transformation):
    """Multiply the whole stream by 2^residual_frac: where it is fed, Mul(2^-e) and Add(bias) become integers;
    where neurons read it, their inverse_scale shrinks by the same factor.

    Exact: all values are multiples of the grid's step, and both factors are powers of two.
    """

    def __init__(self, residual_frac: int) -> None:
        super().__init__()
        self.factor = float(2**residual_frac)

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rewrite all feeders and readers at once."""
        stream: set[str] = set()
        for node in model.graph.node:
            if node.op_type == "Add" and _feeds_stream(model, node):
                mul = model.find_producer(node.input[0])
                for constant, what in ((mul.input[1], "scale"), (node.input[1], "bias")):
                    scaled = model.get_initializer(constant).astype(np.float64) * self.factor
                    if not np.array_equal(scaled, np.rint(scaled)) or (what == "scale" and np.any(np.log2(scaled) % 1)):
                        raise LoweringError(
                            f"{node.name}: its {what} does not lie on the residual grid 1/{self.factor:g}"
                        )
                    model.set_initializer(constant, scaled.astype(np.float32))
                stream.add(node.output[0])
            elif node.op_type in ("Add", "Transpose", "Reshape") and node.input[0] in stream:
                stream.add(node.output[0])
            elif node.op_type == "LIF" and node.input[0] in stream:
                inverse = model.get_initializer(node.input[1])
                model.set_initializer(node.input[1], (inverse / self.factor).astype(np.float32))
        if not stream:
            raise LoweringError("no residual stream found: no Mul -> Add of constants behind a layer")
        return model, False


def _feeds_stream(model: ModelWrapper, node: NodeProto) -> bool:
    producer = model.find_producer(node.input[0])
    return (
        model.get_initializer(node.input[1]) is not None
        and producer is not None
        and producer.op_type == "Mul"
        and model.get_initializer(producer.input[1]) is not None
        and model.get_initializer(producer.input[1]).size > 1
    )
