"""A part of a hardware graph as a network of its own: one block of a large network is simulated, not all of it."""

from __future__ import annotations

from typing import Any

from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model

from .passes import HardwareError


def excerpt(model: Any, source: str, target: str) -> ModelWrapper:
    """Return the nodes between tensors ``source`` and ``target`` of a hardware graph as a graph of its own.

    Every path to ``target`` must come from ``source`` or constants. Raises HardwareError naming what does not.
    """
    producers = {name: node for node in model.graph.node for name in node.output}
    if target not in producers:
        raise HardwareError(f"{target}: no node gives this tensor; expected an output of one of the graph's nodes")
    wanted, todo = set(), [target]
    while todo:
        name = todo.pop()
        if name == source or model.get_initializer(name) is not None:
            continue
        if name not in producers:
            raise HardwareError(f"{target} depends on {name}, which does not come from {source}")
        node = producers[name]
        if node.output[0] not in wanted:
            wanted.add(node.output[0])
            todo += node.input
    nodes = [node for node in model.graph.node if node.output[0] in wanted]
    names = {name for node in nodes for name in (*node.input, *node.output)}

    def info(name: str) -> Any:
        return helper.make_tensor_value_info(name, 1, model.get_tensor_shape(name))

    inside = [info(name) for name in sorted(names - {source, target}) if model.get_initializer(name) is None]
    graph = helper.make_graph(nodes, "excerpt", [info(source)], [info(target)], value_info=inside)
    part = ModelWrapper(qonnx_make_model(graph))
    for name in sorted(names):
        value = model.get_initializer(name)
        if value is not None:
            part.set_initializer(name, value)
        part.set_tensor_datatype(name, model.get_tensor_datatype(name))
    return part
