"""Pools of spikes and of currents on SpikePool."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .errors import HardwareError
from .graph import integer, is_integer, make, replace, type_of
from .windows import windows


class ConvertPool(Transformation):
    """MaxPool, OrPool -> FMPadding, depthwise ConvolutionInputGenerator, SpikePool."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph without MaxPool and OrPool; raises HardwareError for a pad that is not below the kernel."""
        for node in [n for n in model.graph.node if is_integer(n, "MaxPool", "OrPool")]:
            kernel, stride, pad = (integer(node, name) for name in ("kernel", "stride", "pad"))
            if pad >= kernel:
                raise HardwareError(
                    f"{node.name}: pad {pad} is not below the kernel {kernel}, some window has no element; pad less"
                )
            _, height, width, elements = model.get_tensor_shape(node.input[0])
            word = model.get_tensor_datatype(node.input[0])
            maximum = node.op_type == "MaxPool"
            source, nodes, out = windows(
                model, node.input[0], node.name, kernel=kernel, stride=stride, pad=pad, depthwise=True
            )
            nodes.append(
                make(
                    "SpikePool",
                    [source],
                    [node.output[0]],
                    node.name,
                    # A current per element, whatever its step: the pool knows no time.
                    NumChannels=elements,
                    IFMDim=[height, width],
                    kernel=kernel,
                    stride=stride,
                    pad=pad,
                    mode="max" if maximum else "or",
                    PE=1,
                    timesteps=1 if maximum else word.bitwidth(),
                    inputDataType=type_of(model, node.input[0]),
                    outputDataType=type_of(model, node.output[0]),
                    numInputVectors=[1, *out],
                )
            )
            replace(model, node, nodes)
        return model, False
