"""Currents are two's complement in hardware, those that never are negative too."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .graph import is_integer, signed, tensor

_WORDS = ("LIF", "OrPool")


class SignCurrents(Transformation):
    """Give every tensor of the integer graph but the image and spike words a signed type."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph without unsigned currents."""
        words = {node.output[0] for node in model.graph.node if is_integer(node, *_WORDS)}
        for node in model.graph.node:
            if is_integer(node, "Tokens") and node.input[0] in words:
                words.add(node.output[0])
            for name in node.output:
                if name not in words:
                    tensor(model, name, model.get_tensor_shape(name), signed(model, name))
        return model, False
