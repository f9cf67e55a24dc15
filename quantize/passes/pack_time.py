"""Rebuild the streamlined graph on spike words: time moves from the batch axis into each element.

Before: standard ONNX with time on the batch axis, every constant already an integer.
After:  the operators of golden.py, maps channels-last, spikes as words, currents (..., C*T).
Nodes are visited in order; ``Value`` says what each old tensor has become.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.util.basic import get_by_name, qonnx_make_model

from ..export import SCOPES
from ..ops.integer import DOMAIN
from .errors import LoweringError


@dataclass(frozen=True)
class Value:
    """What an old tensor has become.

    kind: ``pixels``, ``words``, ``currents``, ``static`` (accumulators of a static image), ``heads``
    (words seen per head, ``order`` the permutation), ``kv`` (K^T V), ``counts`` or ``counts_swapped``
    (attention), ``sum``, ``sum_by_step``, ``weighted`` (readout).
    """

    kind: str
    name: str
    shape: tuple[int, ...] = ()
    extra: Any = None


class PackTime(Transformation):
    """Turn Conv, MatMul, MaxPool, LIF, Mul+Add, attention and readout into the integer graph's operators."""

    def __init__(self, timesteps: int) -> None:
        super().__init__()
        self.timesteps = timesteps

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the new graph; raise LoweringError at the first node there is no rule for."""
        return _Packer(model, self.timesteps).run(), False


class _Packer:
    def __init__(self, model: ModelWrapper, timesteps: int) -> None:
        self.old, self.steps = model, timesteps
        self.values: dict[str, Value] = {}
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def run(self) -> ModelWrapper:
        image = self.old.graph.input[0].name
        batch, channels, height, width = self.old.get_tensor_shape(image)
        self.values[image] = Value("pixels", image, (batch, height, width, channels))
        rules: dict[str, Callable[[NodeProto], Value]] = {
            "Conv": self.conv,
            "MatMul": self.matmul,
            "MaxPool": self.pool,
            "LIF": self.lif,
            "Mul": self.mul,
            "Add": self.add,
            "Transpose": self.transpose,
            "Reshape": self.reshape,
            "ReduceSum": self.reduce_sum,
            "Floor": self.floor,
        }
        for node in self.old.graph.node:
            if node.op_type not in rules:
                raise LoweringError(f"{node.name}: no integer form for {node.op_type}")
            self.values[node.output[0]] = rules[node.op_type](node)
        return self._model(image)

    # -- helpers ---------------------------------------------------------------------------------

    def _fail(self, node: NodeProto, expected: str) -> LoweringError:
        kinds = [self.values[i].kind for i in node.input if i in self.values]
        return LoweringError(
            f"{node.name} ({node.op_type}): expected {expected}, got {' and '.join(kinds) or 'constants'}"
        )

    def _constant(self, name: str) -> np.ndarray | None:
        value: np.ndarray | None = self.old.get_initializer(name)
        return value

    def _integers(self, node: NodeProto, value: np.ndarray) -> np.ndarray:
        whole = np.rint(value)
        if not np.array_equal(whole, value):
            raise LoweringError(f"{node.name}: a constant is not made of whole numbers")
        return whole.astype(np.int64)

    def _name(self, node: NodeProto, op: str) -> str:
        """Return a name that says which layer of the network ``node`` is: its module's path, made unique."""
        scopes: list[str] = next((ast.literal_eval(p.value) for p in node.metadata_props if p.key == SCOPES), [])
        scope = (scopes[-2] if len(scopes) > 1 else "").removesuffix(".lif")
        taken = {n.name for n in self.nodes}
        candidates = (scope, f"{scope}.{op}", *(f"{scope}.{op}_{i}" for i in range(len(self.nodes) + 1)))
        return next(c.strip(".") for c in candidates if c.strip(".") and c.strip(".") not in taken)

    def _emit(
        self, node: NodeProto, op: str, inputs: list[str], shape: tuple[int, ...], kind: str, **attributes: Any
    ) -> Value:
        name = self._name(node, op)
        output = self.old.graph.output[0].name if kind == "embedding" else f"{name}.out"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, domain=DOMAIN, **attributes))
        self.shapes[output] = shape
        return Value(kind, output, shape)

    def _parameter(self, node: NodeProto, op: str, what: str, value: np.ndarray) -> str:
        name = f"{self._name(node, op)}.{what}"
        self.constants[name] = value
        return name

    # -- rules -----------------------------------------------------------------------------------

    def conv(self, node: NodeProto) -> Value:
        x, weight = self.values[node.input[0]], self._constant(node.input[1])
        if weight is None or len(node.input) > 2 or x.kind not in ("pixels", "words"):
            raise self._fail(node, "pixels or spikes and constant weights without bias")
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        pads = set(attributes.get("pads", [0]))
        unit = {1}
        if (
            len(pads) != 1
            or set(attributes.get("strides", [1])) != unit
            or set(attributes.get("dilations", [1])) != unit
            or attributes.get("group", 1) != 1
        ):
            raise LoweringError(
                f"{node.name}: expected stride 1, no dilation, no groups and equal pads, got {attributes}"
            )
        pad, kernel = pads.pop(), weight.shape[2]
        op = "Conv" if x.kind == "pixels" else "SpikeConv"
        w = self._parameter(node, op, "weight", self._integers(node, weight).transpose(0, 2, 3, 1))
        batch, height, width, _ = x.shape
        grow = 2 * pad - kernel + 1
        size = (batch, height + grow, width + grow)
        if op == "Conv":
            return self._emit(node, op, [x.name, w], (*size, weight.shape[0]), "static", pad=pad)
        shape = (*size, weight.shape[0] * self.steps)
        return self._emit(node, op, [x.name, w], shape, "currents", pad=pad, timesteps=self.steps)

    def matmul(self, node: NodeProto) -> Value:
        a = self.values.get(node.input[0])
        weight = self._constant(node.input[1])
        if a is not None and weight is not None:
            if a.kind == "words":
                w = self._parameter(node, "SpikeLinear", "weight", self._integers(node, weight).T)
                shape = (*a.shape[:-1], weight.shape[1] * self.steps)
                return self._emit(node, "SpikeLinear", [a.name, w], shape, "currents", timesteps=self.steps)
            if a.kind == "shifted":
                return Value("projected", a.name, a.shape, {**a.extra, "weight": self._integers(node, weight).T})
            raise self._fail(node, "spikes or the readout's sums")
        b = self.values.get(node.input[1])
        if a is not None and b is not None and a.kind == "heads" and b.kind == "heads":
            if a.extra[0] != (0, 2, 3, 1) or b.extra[0] != (0, 2, 1, 3):
                raise self._fail(node, "K transposed times V")
            return Value("kv", "", extra=(a.name, b.name, a.extra[1]))
        if a is not None and b is not None and a.kind == "heads" and b.kind == "kv" and a.extra[0] == (0, 2, 1, 3):
            key, value, heads = b.extra
            dim = a.shape[-1] * self.steps
            shape = (*a.shape[:-1], dim)
            return self._emit(
                node, "SpikeAttention", [a.name, key, value], shape, "counts", heads=heads, timesteps=self.steps
            )
        raise self._fail(node, "a constant, or Q, K and V of attention")

    def pool(self, node: NodeProto) -> Value:
        x = self.values[node.input[0]]
        kernel = set(get_by_name(node.attribute, "kernel_shape").ints)
        strides, pads = (get_by_name(node.attribute, name) for name in ("strides", "pads"))
        stride = set(strides.ints) if strides else {1}
        pad = set(pads.ints) if pads else {0}
        if x.kind not in ("static", "currents", "words") or not len(kernel) == len(stride) == len(pad) == 1:
            raise self._fail(node, "a square pool of currents or spikes")
        k, s, p = kernel.pop(), stride.pop(), pad.pop()
        batch, height, width, channels = x.shape
        shape = (batch, (height + 2 * p - k) // s + 1, (width + 2 * p - k) // s + 1, channels)
        op = "OrPool" if x.kind == "words" else "MaxPool"
        return self._emit(node, op, [x.name], shape, x.kind, kernel=k, stride=s, pad=p)

    def lif(self, node: NodeProto) -> Value:
        x, old = self.values[node.input[0]], getCustomOp(node)
        broadcast = old.get_nodeattr("broadcast")
        if x.kind != ("static" if broadcast else "currents"):
            raise self._fail(node, "accumulators of a static image" if broadcast else "currents")
        names = []
        for what, source in (("threshold", node.input[2]), ("bias", node.input[3])):
            values = self._constant(source)
            if values is None:
                raise LoweringError(f"{node.name}: its {what} is not a constant; export the graph again")
            names.append(self._parameter(node, "LIF", what, self._integers(node, values)))
        shape = x.shape if broadcast else (*x.shape[:-1], x.shape[-1] // self.steps)
        attributes = {
            k: old.get_nodeattr(k) for k in ("timesteps", "broadcast", "frac_bits", "leak_k", "leak_n", "reset")
        }
        return self._emit(node, "LIF", [x.name, *names], shape, "words", **attributes)

    def mul(self, node: NodeProto) -> Value:
        x, factor = self.values[node.input[0]], self._constant(node.input[1])
        if factor is None:
            raise self._fail(node, "a constant factor")
        if x.kind == "currents":  # half of an Align; its Add completes it
            return Value("scaled", x.name, x.shape, self._integers(node, factor).reshape(-1))
        if x.kind == "sum_by_step":
            return Value("weighted", x.name, x.shape, {"time_weight": self._integers(node, factor).reshape(-1)})
        if x.kind == "rounded":
            shift = -np.log2(float(factor))
            if shift % 1 or 2 ** int(shift) >> 1 != x.extra.get("half", 0):
                raise LoweringError(
                    f"{node.name}: expected a power of two that fits the rounding term, got {float(factor)}"
                )
            return Value("fraction", x.name, x.shape, {**x.extra, "shift": int(shift)})
        raise self._fail(node, "currents or the readout's sums")

    def add(self, node: NodeProto) -> Value:
        a, constant = self.values[node.input[0]], self._constant(node.input[1])
        if constant is None:
            b = self.values[node.input[1]]
            if a.kind != "currents" or b.kind != "currents":
                raise self._fail(node, "two residual streams")
            return self._emit(node, "ResidualAdd", [a.name, b.name], a.shape, "currents")
        integers = self._integers(node, constant).reshape(-1)
        if a.kind == "scaled":
            shift = self._parameter(node, "Align", "shift", np.log2(a.extra).astype(np.int64))
            bias = self._parameter(node, "Align", "bias", integers)
            return self._emit(node, "Align", [a.name, shift, bias], a.shape, "currents", timesteps=self.steps)
        if a.kind == "rounded":
            return Value("rounded", a.name, a.shape, {**a.extra, "half": int(integers[0])})
        if a.kind == "projected":
            names = [self._parameter(node, "Readout", k, a.extra[k]) for k in ("time_weight", "weight")]
            names.append(self._parameter(node, "Readout", "bias", integers))
            shape = (a.shape[0], len(integers))
            return self._emit(
                node, "Readout", [a.name, *names], shape, "embedding", timesteps=self.steps, shift=a.extra["shift"]
            )
        raise self._fail(node, "a residual branch or the readout")

    def transpose(self, node: NodeProto) -> Value:
        x, perm = self.values[node.input[0]], tuple(get_by_name(node.attribute, "perm").ints)
        if x.kind == "currents" and perm == (0, 2, 3, 1):  # maps are channels-last already
            return Value("currents", x.name, x.shape, "map")
        if x.kind == "heads" and perm in ((0, 2, 1, 3), (0, 2, 3, 1)):
            return Value("heads", x.name, x.shape, (perm, x.extra[1]))
        if x.kind == "counts" and perm == (0, 2, 1, 3):
            return x
        raise self._fail(node, f"a map, heads or attention counts for permutation {perm}")

    def reshape(self, node: NodeProto) -> Value:
        x, target = self.values[node.input[0]], self.old.get_tensor_shape(node.output[0])
        if x.kind == "currents" and x.extra == "map" and len(target) == 3:
            batch, height, width, channels = x.shape
            return self._emit(node, "Tokens", [x.name], (batch, height * width, channels), "currents")
        if x.kind == "words" and len(target) == 4:
            return Value("heads", x.name, x.shape, ((0, 1, 2, 3), target[2]))
        if x.kind == "counts" and len(target) == 3:
            return Value("currents", x.name, x.shape)
        if x.kind == "sum" and target[0] == self.steps:
            return Value("sum_by_step", x.name, x.shape)
        if x.kind == "embedding":
            return x
        raise self._fail(node, f"tokens, heads or the readout's sums for shape {target}")

    def reduce_sum(self, node: NodeProto) -> Value:
        x, axes = self.values[node.input[0]], self._constant(node.input[1])
        if x.kind == "words" and axes is not None and list(axes) == [1]:
            return Value("sum", x.name, x.shape)
        if x.kind == "weighted" and axes is not None and list(axes) == [0]:
            return Value("rounded", x.name, x.shape, x.extra)
        raise self._fail(node, "the readout's sum over tokens, then over time")

    def floor(self, node: NodeProto) -> Value:
        x = self.values[node.input[0]]
        if x.kind == "rounded":  # nothing to shift away
            return Value("shifted", x.name, x.shape, {**x.extra, "shift": 0})
        if x.kind != "fraction":
            raise self._fail(node, "the readout's scaled sums")
        return Value("shifted", x.name, x.shape, x.extra)

    # -- result ----------------------------------------------------------------------------------

    def _model(self, image: str) -> ModelWrapper:
        output = self.old.graph.output[0].name
        if self.nodes[-1].op_type != "Readout" or self.nodes[-1].output[0] != output:
            raise LoweringError(f"{output}: expected the readout's embedding as the graph's output")

        def info(name: str, shape: tuple[int, ...]) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self.nodes,
            "spikeclip_integer",
            [info(image, self.values[image].shape)],
            [info(output, self.shapes[output])],
            value_info=[info(n, s) for n, s in self.shapes.items() if n != output],
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
        model = ModelWrapper(qonnx_make_model(graph, opset_imports=opsets))
        for name, value in self.constants.items():
            model.set_initializer(name, value.astype(np.float32))
        model.set_tensor_datatype(image, DataType["INT8"])
        for prop in self.old.graph.metadata_props:
            model.set_metadata_prop(prop.key, prop.value)
        return model
