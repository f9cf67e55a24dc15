"""Tokens are a map read row by row: in a stream there is nothing to do."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.util.basic import get_by_name

from .graph import is_integer, tensor, type_of


class DropTokens(Transformation):
    """Remove Tokens; what was (1, N, X) behind it stays a map (1, H, W, X)."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph without Tokens."""
        for node in [n for n in model.graph.node if is_integer(n, "Tokens")]:
            source, target = node.input[0], node.output[0]
            rows = model.get_tensor_shape(source)[:-1]
            tokens = model.get_tensor_shape(target)[:-1]
            model.graph.node.remove(node)
            for other in model.graph.node:
                for i, name in enumerate(other.input):
                    if name == target:
                        other.input[i] = source
                vectors = get_by_name(other.attribute, "numInputVectors")
                if vectors is not None and list(vectors.ints) == list(tokens):
                    vectors.ints[:] = rows
                for name in other.output:
                    shape = model.get_tensor_shape(name)
                    if shape[:-1] == tokens:
                        tensor(model, name, (*rows, shape[-1]), type_of(model, name))
        return model, False
