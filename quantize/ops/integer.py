"""The operators of the integer graph: golden.py's functions as ONNX nodes, one class each.

Attribute names and types are the keyword-only parameters of the golden function, so that there is no
second list to keep in step. The package path of this module is their ONNX domain.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.base import CustomOp

from .. import golden

DOMAIN = __name__


class GoldenOp(CustomOp):
    """A node that runs one function of golden.py on integers held in float32."""

    op = ""

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Return the golden function's keyword-only parameters: name -> (type, required, default)."""
        parameters = inspect.signature(golden.OPS[self.op]).parameters.values()
        types: dict[str, Any] = {}
        for p in parameters:
            if p.kind is p.KEYWORD_ONLY:
                required = p.default is p.empty
                is_text = p.annotation in (str, "str")
                types[p.name] = ("s" if is_text else "i", required, ("" if is_text else 0) if required else p.default)
        return types

    def golden_attributes(self) -> dict[str, Any]:
        """Return the attributes as golden's keyword arguments."""
        return {name: self.get_nodeattr(name) for name in self.get_nodeattr_types()}

    def make_shape_compatible_op(self, model: ModelWrapper) -> NodeProto:
        """Return a node of the output's shape, which whoever builds the graph has recorded."""
        output = self.onnx_node.output[0]
        return helper.make_node("RandomNormal", [], [output], shape=list(model.get_tensor_shape(output)))

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        """Types are set by the pass that proves the ranges."""

    def verify_node(self) -> list[str]:
        """Nothing to add to the attribute checks."""
        return []

    def execute_node(self, context: dict[str, np.ndarray], graph: Any) -> None:
        """Run the golden function."""
        node = self.onnx_node
        inputs = [as_integers(context[name], f"{node.name}: {name}") for name in node.input]
        if self.op in ("SpikeConv", "SpikeLinear", "OrPool", "SpikeAttention", "Readout"):
            inputs = [
                x.astype(np.uint16) if name not in _constants(graph) else x
                for name, x in zip(node.input, inputs, strict=True)
            ]
        context[node.output[0]] = golden.OPS[self.op](*inputs, **self.golden_attributes()).astype(np.float32)


def _constants(graph: Any) -> set[str]:
    return {i.name for i in graph.initializer}


def as_integers(x: np.ndarray, where: str) -> np.ndarray:
    """Return float32 ``x`` as int64; raise ArithmeticError if an element is no whole number float32 holds exactly."""
    out = x.astype(np.int64)
    if x.size and (not np.array_equal(out, x) or int(np.abs(out).max()) >= 1 << 24):
        raise ArithmeticError(f"{where}: not whole numbers below 2^24")
    return out


# QONNX looks up <op>_v<version> in the domain's module.
for _op in golden.OPS:
    globals()[f"{_op}_v1"] = type(_op, (GoldenOp,), {"op": _op, "__doc__": f"golden.OPS[{_op!r}] as a node."})
