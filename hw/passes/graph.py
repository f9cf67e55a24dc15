"""Nodes and tensors of a hardware graph, as all passes make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import NodeProto, TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import get_by_name

DOMAIN = "finn.custom_op.fpgadataflow"
INTEGER = "spikeclip_fpga.quantize.ops.integer"
_LAYER = "layer"


def make(op: str, inputs: Sequence[str], outputs: Sequence[str], layer: str, **attributes: Any) -> NodeProto:
    """Return a node of FINN's domain for RTL; ``layer`` is the integer graph's name for what it does."""
    made = helper.make_node(
        op, list(inputs), list(outputs), domain=DOMAIN, backend="fpgadataflow", preferred_impl_style="rtl", **attributes
    )
    name_layer(made, layer)
    return made


def name_layer(node: NodeProto, layer: str) -> None:
    """Write a layer's name into the node: its own name is FINN's to change."""
    del node.metadata_props[:]
    node.metadata_props.add(key=_LAYER, value=layer)


def layer_of(node: NodeProto) -> str:
    """Return the layer's name, empty for a node FINN inserted."""
    return next((p.value for p in node.metadata_props if p.key == _LAYER), "")


def is_integer(node: NodeProto, *ops: str) -> bool:
    """Return whether ``node`` is one of the integer graph's operators ``ops``."""
    return bool(node.domain == INTEGER and node.op_type in ops)


def integer(node: NodeProto, name: str) -> int:
    """Return an integer attribute of a node of the integer graph."""
    return int(get_by_name(node.attribute, name).i)


def text(node: NodeProto, name: str) -> str:
    """Return a text attribute of a node of the integer graph."""
    return str(get_by_name(node.attribute, name).s.decode())


def tensor(model: ModelWrapper, name: str, shape: Sequence[int], datatype: str) -> str:
    """Give tensor ``name`` its shape and type; return the name."""
    model.set_tensor_shape(name, [int(n) for n in shape], TensorProto.FLOAT)
    model.set_tensor_datatype(name, DataType[datatype])
    return name


def type_of(model: ModelWrapper, name: str) -> str:
    """Return the name of a tensor's type."""
    return str(model.get_tensor_datatype(name).name)


def signed(model: ModelWrapper, name: str) -> str:
    """Return the tensor's type for a stream of signed currents: a bit more if it is unsigned."""
    datatype = model.get_tensor_datatype(name)
    return str(datatype.name) if datatype.signed() else f"INT{datatype.bitwidth() + 1}"


def replace(model: ModelWrapper, old: NodeProto, new: Sequence[NodeProto]) -> None:
    """Put ``new`` where ``old`` stands."""
    at = list(model.graph.node).index(old)
    for offset, node in enumerate(new):
        model.graph.node.insert(at + offset, node)
    model.graph.node.remove(old)
