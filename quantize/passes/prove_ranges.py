"""Prove the range of every value from the weights, and write it down as the narrowest integer type.

Interval arithmetic, per channel: an accumulator lies between the sums of its negative and positive
weights (times the input's range); a membrane is bounded by unrolling eq. 2 over the T steps. No input
can leave these ranges, so hardware of these widths never saturates.
"""

from __future__ import annotations

import numpy as np
from onnx import NodeProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from ..ranges import Interval, membrane, signed_bits, weighted
from .errors import LoweringError


def integer_type(low: int, high: int) -> DataType:
    """Return the narrowest QONNX type that holds low to high."""
    if low >= 0:
        return DataType[f"UINT{max(1, int(high).bit_length())}"]
    return DataType[f"INT{signed_bits(low, high)}"]


class ProveRanges(Transformation):
    """Annotate every tensor with its proven type and every LIF with its membrane's width."""

    def __init__(self, timesteps: int) -> None:
        super().__init__()
        self.timesteps = timesteps

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Walk from the image to the embedding."""
        image = model.graph.input[0].name
        channels = model.get_tensor_shape(image)[-1]
        intervals = {image: Interval(np.full(channels, -128), np.full(channels, 127))}
        for node in model.graph.node:
            inputs = [intervals.get(i) for i in node.input]
            constants = [_integers(model, i) for i in node.input if i not in intervals]
            out = _bounds(model, node, [i for i in inputs if i is not None], constants, self.timesteps)
            for name in node.input:
                if name not in intervals:
                    value = _integers(model, name)
                    model.set_tensor_datatype(name, integer_type(int(value.min()), int(value.max())))
            intervals[node.output[0]] = out
            word = DataType[f"UINT{self.timesteps}"]
            datatype = word if out.words else integer_type(int(out.low.min()), int(out.high.max()))
            model.set_tensor_datatype(node.output[0], datatype)
        return model, False


def _integers(model: ModelWrapper, name: str) -> np.ndarray:
    value: np.ndarray = model.get_initializer(name)
    return value.astype(np.int64)


def _bounds(
    model: ModelWrapper, node: NodeProto, inputs: list[Interval], constants: list[np.ndarray], timesteps: int
) -> Interval:
    x, op = inputs[0], node.op_type
    if op in ("Conv", "SpikeConv", "SpikeLinear"):
        return weighted(x, constants[0])
    if op in ("MaxPool", "OrPool", "Tokens"):
        return x
    if op == "Align":
        shift, bias = constants
        return Interval((x.low << shift) + bias, (x.high << shift) + bias)
    if op == "ResidualAdd":
        return Interval(x.low + inputs[1].low, x.high + inputs[1].high)
    if op == "SpikeAttention":
        _, tokens, dim = model.get_tensor_shape(node.input[0])
        zero = np.zeros(x.low.size, np.int64)
        return Interval(zero, zero + tokens * (dim // getCustomOp(node).get_nodeattr("heads")))
    if op == "LIF":
        lif, (threshold, bias) = getCustomOp(node), constants
        frac_bits = lif.get_nodeattr("frac_bits")
        lowest, highest = membrane(
            (x.low << frac_bits) + bias,
            (x.high << frac_bits) + bias,
            threshold,
            timesteps=timesteps,
            leak_k=lif.get_nodeattr("leak_k"),
            leak_n=lif.get_nodeattr("leak_n"),
            subtract=lif.get_nodeattr("reset") == "subtract",
        )
        lif.set_nodeattr("membrane_bits", signed_bits(lowest, highest))
        return Interval(x.low, x.high, words=True)
    if op == "Readout":
        _, tokens, _ = model.get_tensor_shape(node.input[0])
        time_weight, weight, bias = constants
        shift = getCustomOp(node).get_nodeattr("shift")
        half = (1 << shift) >> 1
        low = (tokens * np.minimum(time_weight, 0).sum() + half) >> shift
        high = (tokens * np.maximum(time_weight, 0).sum() + half) >> shift
        channels = weight.shape[1]
        y = weighted(Interval(np.full(channels, low), np.full(channels, high)), weight)
        return Interval(y.low + bias, y.high + bias)
    raise LoweringError(f"{node.name}: no bounds for {op}")
