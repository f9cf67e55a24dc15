"""The first layer: 8-bit pixels times 8-bit weights on FINN's own MVAU."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .graph import integer, is_integer, replace, type_of
from .stock_mvau import stock_mvau
from .windows import windows


class ConvertImageConv(Transformation):
    """Conv of the static image -> FMPadding, ConvolutionInputGenerator, MVAU."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph without Conv."""
        for node in [n for n in model.graph.node if is_integer(n, "Conv")]:
            weight = model.get_initializer(node.input[1])
            kernel = weight.shape[1]
            source, nodes, out = windows(
                model, node.input[0], node.name, kernel=kernel, stride=1, pad=integer(node, "pad"), depthwise=False
            )
            matrix = weight.reshape(len(weight), -1)
            datatype = type_of(model, node.output[0])
            nodes.append(stock_mvau(model, source, matrix, node.output[0], datatype, node.name, (1, *out)))
            replace(model, node, nodes)
        return model, False
