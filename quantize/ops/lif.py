"""The LIF operator of QONNX graphs. Its specification is docs/lif-operator.md."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.base import CustomOp

from .. import golden


class LIF(CustomOp):
    """Multi-step LIF with time on the batch axis. Inputs: x, inverse_scale, threshold, bias. Output: spikes 0/1.

    x: (T*B, ...), or (B, ...) with ``broadcast``; the channel is axis ``channel_axis``. The accumulator
    is round(x * inverse_scale); from there on it is golden.lif.
    """

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Return the attributes: name -> (type, required, default)."""
        return {
            "timesteps": ("i", True, 4),
            "broadcast": ("i", False, 0),
            "frac_bits": ("i", True, 0),
            "leak_k": ("i", True, 1),
            "leak_n": ("i", True, 1),
            "reset": ("s", False, "subtract", {"subtract", "zero"}),
            "channel_axis": ("i", False, 1),
        }

    def make_shape_compatible_op(self, model: ModelWrapper) -> NodeProto:
        """Return a node of the same output shape."""
        node = self.onnx_node
        shape = list(model.get_tensor_shape(node.input[0]))
        if self.get_nodeattr("broadcast"):
            shape[0] *= self.get_nodeattr("timesteps")
        return helper.make_node("RandomNormal", [], [node.output[0]], shape=shape)

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        """Spikes are binary."""
        model.set_tensor_datatype(self.onnx_node.output[0], DataType["BINARY"])

    def verify_node(self) -> list[str]:
        """Nothing to add to the attribute checks."""
        return []

    def execute_node(self, context: dict[str, np.ndarray], graph: Any) -> None:
        """Run golden.lif on the node's inputs."""
        node = self.onnx_node
        x, inverse_scale, threshold, bias = (context[name] for name in node.input)
        steps, axis = self.get_nodeattr("timesteps"), self.get_nodeattr("channel_axis")
        broadcast = self.get_nodeattr("broadcast")
        shape = [1] * x.ndim
        shape[axis] = -1
        accumulator = np.rint(x.astype(np.float64) * inverse_scale.astype(np.float64).reshape(shape)).astype(np.int64)
        channels_last = np.moveaxis(accumulator, axis, -1)
        if not broadcast:  # (T*B, ..., C) -> (B, ..., C, T)
            by_step = channels_last.reshape(steps, -1, *channels_last.shape[1:])
            channels_last = np.moveaxis(by_step, 0, -1).reshape(*by_step.shape[1:-1], -1)
        words = golden.lif(
            channels_last,
            threshold.astype(np.int64),
            bias.astype(np.int64),
            **{k: self.get_nodeattr(k) for k in ("timesteps", "broadcast", "frac_bits", "leak_k", "leak_n", "reset")},
        )
        spikes = np.moveaxis(golden.unpack(words, steps), -1, 0)  # (T, B, ..., C)
        spikes = np.moveaxis(spikes.reshape(-1, *spikes.shape[2:]), -1, axis)
        context[node.output[0]] = np.ascontiguousarray(spikes, dtype=np.float32)
