"""FINN's choice of RTL for every node, with our names of layers kept."""

from __future__ import annotations

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from .errors import HardwareError
from .graph import layer_of, name_layer


class Specialize(Transformation):
    """Run FINN's SpecializeLayers for ``part``; nodes keep their layer's name and their order.

    Nodes are named anew, by type and place in the graph. Raises HardwareError naming a node that would need
    HLS, or is none of FINN's.
    """

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph of RTL nodes."""
        from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers

        for node in model.graph.node:
            if not node.domain.startswith("finn.custom_op.fpgadataflow"):
                raise HardwareError(
                    f"{node.name}: {node.op_type} of {node.domain or 'ONNX'} is no FINN node; "
                    "expected a graph as passes.to_hardware gives it"
                )
        # SpecializeLayers makes new nodes, without our metadata.
        layers = {node.output[0]: layer_of(node) for node in model.graph.node}
        names = {node.output[0]: node.name for node in model.graph.node}
        model = model.transform(SpecializeLayers(self.part))
        for node in model.graph.node:
            layer = layers[node.output[0]]
            if not node.domain.endswith(".rtl"):
                raise HardwareError(_explained(model, node, layer or names[node.output[0]], self.part))
            if layer:
                name_layer(node, layer)
        return model, False


def _explained(model: ModelWrapper, node: NodeProto, name: str, part: str) -> str:
    """Return why FINN has no RTL for ``node`` on ``part``, and the remedy."""
    operator = node.op_type.removesuffix("_hls")
    if operator != "MVAU":
        return f"{name}: FINN has {operator} in HLS alone for {part}; replace it by an operator of hw/ops"
    inst = getCustomOp(node)
    weights, types = model.get_initializer(node.input[1]), [inst.get_input_datatype(i) for i in (0, 1)]
    weight, result = types[1], inst.get_output_datatype(0)
    least = "" if weights is None else f" down to {int(weights.min())}"
    return (
        f"{name}: FINN's RTL for MVAU on {part} does not take {types[0].name} times {weight.name} weights{least} "
        f"with {result.name} sums; quantise to 2 to 8 bits, weights to {weight.min() + 1} at least"
    )
