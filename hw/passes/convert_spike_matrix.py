"""Convolutions and linear maps of spikes on SpikeMVAU."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .graph import integer, is_integer, make, replace, type_of
from .windows import windows


class ConvertSpikeMatrix(Transformation):
    """SpikeConv -> FMPadding, ConvolutionInputGenerator, SpikeMVAU; SpikeLinear -> SpikeMVAU."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph without SpikeConv and SpikeLinear."""
        for node in [n for n in model.graph.node if is_integer(n, "SpikeConv", "SpikeLinear")]:
            source = node.input[0]
            nodes: list[NodeProto] = []
            weight = model.get_initializer(node.input[1])
            if node.op_type == "SpikeConv":
                source, nodes, _ = windows(
                    model,
                    source,
                    node.name,
                    kernel=weight.shape[1],
                    stride=1,
                    pad=integer(node, "pad"),
                    depthwise=False,
                )
            nodes.append(_mvau(model, node, source, weight.reshape(len(weight), -1)))
            replace(model, node, nodes)
        return model, False


def _mvau(model: ModelWrapper, node: NodeProto, source: str, weight: np.ndarray) -> NodeProto:
    name = f"{node.name}.matrix"
    datatype = model.get_tensor_datatype(node.input[1])
    model.set_initializer(name, np.ascontiguousarray(weight, dtype=np.float32))
    # The operator's weights have two bits at least.
    model.set_tensor_datatype(name, DataType[f"INT{max(2, datatype.bitwidth() + (not datatype.signed()))}"])
    return make(
        "SpikeMVAU",
        [source, name],
        [node.output[0]],
        node.name,
        MW=weight.shape[1],
        MH=weight.shape[0],
        SIMD=1,
        PE=1,
        timesteps=integer(node, "timesteps"),
        weightDataType=type_of(model, name),
        inputDataType=type_of(model, source),
        outputDataType=type_of(model, node.output[0]),
        numInputVectors=model.get_tensor_shape(source)[:-1],
    )
