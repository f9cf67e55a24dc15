"""From integer layers to FINN's nodes: a graph like the spiking network's, without time, quantisers for neurons."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from spikeclip_fpga.quantize.ranges import signed_bits

from ..ops.readout.op import Readout
from ..passes.graph import make, tensor, type_of
from ..passes.specialize import Specialize
from ..passes.windows import windows
from .attention import AttentionCost
from .errors import BaselineError
from .layers import FIRST, SECOND, WEIGHTED, Array, Layer, by_name

# Up to so many bits an activation is compared with each of its thresholds, beyond it is multiplied and shifted.
THRESHOLD_BITS = 4
# Where its layer is not given, the residual stream is so many bits wider than activations. Type of a bias, and by how
# much shifts differ, as the spiking network has them.
_GRID, _BIAS, _SHIFTS = 10, "INT12", 3
_PARTS = ("q", "k", "v")


def accumulator_bits(layer: Layer) -> int:
    """Return the bits of a layer's accumulators, of both signs; FINN wants room for one full product at least."""
    low = -(1 << (layer.input_bits - 1)) if layer.input_signed else 0
    high = low + (1 << layer.input_bits) - 1
    positive, negative = np.maximum(layer.matrix, 0).sum(1), np.minimum(layer.matrix, 0).sum(1)
    least, most = int((negative * high + positive * low).min()), int((positive * high + negative * low).max())
    return max(signed_bits(least, most), layer.weight_bits + layer.input_bits)


class Builder:
    """A graph in the making; methods append a node and return its output."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        from onnx import TensorProto, helper
        from qonnx.util.basic import qonnx_make_model

        self.layers = by_name(layers)
        first = self.layer("tokenizer.0")
        shape = (1, *first.inputs.shape[1:])
        given = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
        self.model: Any = ModelWrapper(qonnx_make_model(helper.make_graph([], "baseline", [given], [])))
        tensor(self.model, "image", shape, first.input_type)

    def layer(self, name: str) -> Layer:
        """Return a layer with weights. Raises BaselineError if there is none."""
        if name not in self.layers or self.layers[name].op not in WEIGHTED:
            raise BaselineError(f"{name}: no such layer with weights; expected tokenizer.0 ..., readout.project")
        return self.layers[name]

    def product(self, stem: str, kinds: Sequence[str]) -> Layer | None:
        """Return the product of attention ``stem`` that is one of ``kinds``, None if it is not given."""
        alike = (layer for name, layer in self.layers.items() if name.startswith(f"{stem}.") and layer.op in kinds)
        return next(alike, None)

    def bits(self, source: str) -> int:
        """Return the bits of a tensor's element."""
        return int(self.model.get_tensor_datatype(source).bitwidth())

    def stream_bits(self, quantiser: str, source_bits: int) -> int:
        """Return the bits of the residual stream in front of ``quantiser``, ``source_bits`` if that is not given."""
        found = self.layers.get(quantiser)
        return source_bits if found is None else found.input_bits

    def append(self, op: str, inputs: Sequence[str], shape: Sequence[int], kind: str, layer: str, **values: Any) -> str:
        """Append a node with one output of ``shape`` and ``kind`` and return that."""
        out = tensor(self.model, f"{layer}.out", shape, kind)
        self.model.graph.node.append(make(op, inputs, [out], layer, **values))
        return out

    def constant(self, name: str, value: Array, kind: str) -> str:
        """Add a constant and return its name."""
        from qonnx.core.datatype import DataType

        self.model.set_initializer(name, value.astype(np.float32))
        self.model.set_tensor_datatype(name, DataType[kind])
        return name

    def shape(self, source: str) -> list[int]:
        """Return the shape of a tensor."""
        return [int(n) for n in self.model.get_tensor_shape(source)]

    def matrix(self, source: str, layer: Layer) -> str:
        """Append MVAU."""
        high, wide = layer.matrix.shape
        bits = accumulator_bits(layer)
        kind, vectors = f"INT{layer.weight_bits}", self.shape(source)[:-1]
        weight = self.constant(f"{layer.name}.weight", layer.matrix.T, kind)
        types = {"inputDataType": layer.input_type, "weightDataType": kind, "outputDataType": f"INT{bits}"}
        sizes = {"MW": wide, "MH": high, "SIMD": 1, "PE": 1, "numInputVectors": vectors, "accDataType": f"INT{bits}"}
        how = {"ActVal": 0, "binaryXnorMode": 0, "noActivation": 1, "mem_mode": "internal_decoupled"}
        shape = (*vectors, high)
        return self.append("MVAU", [source, weight], shape, f"INT{bits}", layer.name, **types, **sizes, **how)

    def quantise(self, source: str, into: Layer, layer: str, thresholds: Array | None = None) -> str:
        """Append the quantiser to the inputs of ``into``: Thresholding, or Requant for signed or wide ones.

        thresholds: (C, 2**bits - 1); evenly spaced over half of the range unless given. Those beyond the range of
        ``source`` are brought to its ends.
        """
        shape, kind, bits = self.shape(source), type_of(self.model, source), into.input_bits
        types = {"inputDataType": kind, "outputDataType": into.input_type}
        values = {"NumChannels": shape[-1], "PE": 1, "numInputVectors": shape[:-1], **types}
        if bits > THRESHOLD_BITS or into.input_signed:
            scale = self.constant(f"{layer}.scale", np.full(shape[-1], 2.0**-bits), "FLOAT32")
            bias = self.constant(f"{layer}.bias", np.zeros(shape[-1]), "FLOAT32")
            return self.append("Requant", [source, scale, bias], shape, into.input_type, layer, **values)
        steps, datatype = (1 << bits) - 1, self.model.get_tensor_datatype(source)
        low, high = int(datatype.min()), int(datatype.max())
        if thresholds is None:
            thresholds = np.tile((np.arange(steps) + 1) * (high // 2) // steps, (shape[-1], 1))
        name = self.constant(f"{layer}.thresholds", np.clip(thresholds, low, high), kind)
        values |= {"numSteps": steps, "weightDataType": kind, "ActVal": 0}
        return self.append("Thresholding", [source, name], shape, into.input_type, layer, **values)

    def pool(self, source: str, layer: Layer) -> str:
        """Append the windows and the maximum of a pool without padding."""
        assert layer.pool is not None
        shape, name, kernel = self.shape(source), f"{layer.name}.pool", layer.pool
        kind = type_of(self.model, source)
        into, nodes, out = windows(self.model, source, name, kernel=kernel, stride=kernel, pad=0, depthwise=True)
        self.model.graph.node.extend(nodes)
        values = {"NumChannels": shape[-1], "IFMDim": shape[1:3], "kernel": kernel, "stride": kernel, "pad": 0}
        values |= {"mode": "max", "PE": 1, "timesteps": 1, "numInputVectors": [1, *out]}
        types = {"inputDataType": kind, "outputDataType": kind}
        return self.append("SpikePool", [into], (1, *out, shape[-1]), kind, name, **values, **types)

    def align(self, source: str, bits: int, layer: str, shifts: int = _SHIFTS) -> str:
        """Append shift and bias onto a grid of ``bits`` bits."""
        shape = self.shape(source)
        shift = self.constant(f"{layer}.shift", np.arange(shape[-1]) % (shifts + 1), "INT4")
        bias = self.constant(f"{layer}.bias", np.zeros(shape[-1]), _BIAS)
        types = {"shiftDataType": "INT4", "biasDataType": _BIAS, "inputDataType": type_of(self.model, source)}
        values = {"NumChannels": shape[-1], "PE": 1, "timesteps": 1, "shift": 0, "extra_width": shifts.bit_length()}
        types["outputDataType"] = f"INT{bits}"
        vectors = shape[:-1]
        return self.append(
            "Align", [source, shift, bias], shape, f"INT{bits}", layer, numInputVectors=vectors, **types, **values
        )

    def fork(self, source: str, layer: str, copies: int = 2) -> list[str]:
        """Append copies of a stream."""
        shape, kind = self.shape(source), type_of(self.model, source)
        outs = [tensor(self.model, f"{layer}.copy{i}", shape, kind) for i in range(copies)]
        values = {"NumChannels": shape[-1], "NumOutputs": copies, "PE": 1, "timesteps": 1}
        types = {"inputDataType": kind, "outputDataType": kind}
        node = make("Fork", [source], outs, f"{layer}.fork", numInputVectors=shape[:-1], **values, **types)
        self.model.graph.node.append(node)
        return outs

    def add(self, one: str, other: str, bits: int, layer: str) -> str:
        """Append the sum of two streams, of ``bits`` bits."""
        shape, kinds = self.shape(one), [type_of(self.model, name) for name in (one, other)]
        types = {"inputDataType": kinds[0], "inputDataType1": kinds[1], "outputDataType": f"INT{bits}"}
        values = {"NumChannels": shape[-1], "PE": 1, "timesteps": 1, "numInputVectors": shape[:-1]}
        return self.append("ResidualAdd", [one, other], shape, f"INT{bits}", layer, **values, **types)

    def attention(self, streams: Sequence[str], layer: str) -> str:
        """Append both products of attention."""
        shape, kind, bits = self.shape(streams[0]), type_of(self.model, streams[0]), self.bits(streams[0])
        first = self.product(layer, FIRST)
        scores, heads = first is not None and first.op == "attention_qk", 8 if first is None else first.heads
        out = f"INT{AttentionCost(shape[-1], heads, int(np.prod(shape[:-1])), bits, 1, scores).out_bits}"
        values = {"NumChannels": shape[-1], "heads": heads, "PE": 1, "timesteps": 1, "scores": int(scores)}
        types = {"inputDataType": kind, "outputDataType": out, "numInputVectors": shape[:-1]}
        return self.append("QuantAttention", list(streams), shape, out, layer, **values, **types)

    def tokens(self, source: str, out_bits: int, layer: str) -> str:
        """Append the sum of a stream over tokens: Readout reads an integer as spikes that weigh 2**t.

        out_bits: of the sum, with its sign, shifted down to that if it is wider.
        """
        shape, bits = self.shape(source), int(self.model.get_tensor_datatype(source).bitwidth())
        sizes = {"channels": shape[-1], "pe": 1, "tokens": int(np.prod(shape[:-1]))}
        signed = self.model.get_tensor_datatype(source).signed()
        weight = (1 << np.arange(bits)) * np.where(np.arange(bits) == bits - 1, -1 if signed else 1, 1)
        shift = max(0, Readout.fitted(weight, **sizes, shift=0).out_width - out_bits)
        fit = Readout.fitted(weight, **sizes, shift=shift)
        kind = f"INT{fit.w_width}"
        name = self.constant(f"{layer}.weight", weight, kind)
        values: dict[str, Any] = {"NumChannels": shape[-1], "PE": 1, "timesteps": bits, "shift": shift}
        values |= {"accumulatorBits": max(fit.acc_width, out_bits + shift), "numInputVectors": shape[:-1]}
        types = {
            "weightDataType": kind,
            "inputDataType": type_of(self.model, source),
            "outputDataType": f"INT{out_bits}",
        }
        return self.append(
            "Readout", [source, name], (1, 1, 1, shape[-1]), types["outputDataType"], layer, **values, **types
        )


def build(layers: Sequence[Layer]) -> Any:
    """Return FINN's graph (ModelWrapper) of a network of ``layers`` for every part.

    Layers are found by name: tokenizer.0 and on (windows, MVAU, pool, quantiser; Align onto the residual grid behind
    the last), blocks.*.attention.q, k, v, proj and mlp.fc1, fc2 with a quantiser of its inputs' bits in front of
    each, readout.project on the sum of tokens. What is not given is filled: thresholds, widths of the residual
    stream, shifts and biases. Raises BaselineError for a missing layer.
    """
    builder = Builder(layers)
    source = "image"
    count = sum(name.startswith("tokenizer.") for name in builder.layers)
    blocks = len({name.split(".")[1] for name in builder.layers if name.startswith("blocks.")})
    streams = [*(f"blocks.{i}.{part}.lif_in" for i in range(blocks) for part in ("attention", "mlp")), "readout.lif_in"]
    for i in range(count):
        layer = builder.layer(f"tokenizer.{i}")
        source = _convolution(builder, layer, source)
        if i < count - 1:
            into = builder.layer(f"tokenizer.{i + 1}")
            source = builder.quantise(source, into, f"{layer.name}.quantiser", layer.thresholds)
        else:
            width = builder.stream_bits(streams[0], _GRID + layer.input_bits)
            source = builder.align(source, width, f"{layer.name}.to_grid")
    for i in range(blocks):
        source = _block(builder, f"blocks.{i}", source, streams[2 * i + 2])
    project = builder.layer("readout.project")
    words = dataclasses.replace(builder.layer(f"blocks.{blocks - 1}.mlp.fc1") if blocks else project, name="words")
    source = builder.quantise(source, words, "readout.lif_in", _thresholds(builder, "readout.lif_in"))
    if not project.input_signed:
        # The sum's stream has a sign.
        project = dataclasses.replace(project, input_bits=project.input_bits + 1, input_signed=True)
    source = builder.matrix(builder.tokens(source, project.input_bits, "readout.sum"), project)
    out = builder.align(source, accumulator_bits(project) + 1, "readout.bias", shifts=0)
    return _finished(builder.model, out)


def specialise(model: Any, part: str) -> Any:
    """Return the graph with FINN's choice for ``part``, nodes named by type and place. Raises HardwareError."""
    from qonnx.transformation.general import GiveUniqueNodeNames

    return model.transform(Specialize(part)).transform(GiveUniqueNodeNames())


def _thresholds(builder: Builder, name: str) -> Array | None:
    found = builder.layers.get(name)
    return None if found is None else found.thresholds


def _convolution(builder: Builder, layer: Layer, source: str) -> str:
    into, nodes, _ = windows(
        builder.model, source, layer.name, kernel=layer.kernel, stride=1, pad=layer.pad, depthwise=False
    )
    builder.model.graph.node.extend(nodes)
    out = builder.matrix(into, layer)
    return builder.pool(out, layer) if layer.pool else out


def _block(builder: Builder, name: str, source: str, following: str) -> str:
    """Append a block; following: the quantiser behind it, which may tell how wide the residual stream is there."""
    attention, mlp = f"{name}.attention", f"{name}.mlp"
    main, skip = builder.fork(source, name)
    parts = [builder.layer(f"{attention}.{part}") for part in _PARTS]
    words = builder.quantise(main, parts[0], f"{attention}.lif_in", _thresholds(builder, f"{attention}.lif_in"))
    second, proj = builder.product(attention, SECOND), builder.layer(f"{attention}.proj")
    # Q, K and V are all as wide as what is given of one of them.
    given = builder.product(attention, FIRST)
    operands = dataclasses.replace(parts[0], out_levels=0) if given is None else given
    streams = []
    for copy, layer in zip(builder.fork(words, f"{attention}.lif_in", len(parts)), parts, strict=True):
        out = builder.matrix(copy, layer)
        streams.append(builder.quantise(out, operands, f"{layer.name}.quantiser", layer.thresholds))
    out = builder.attention(streams, attention)
    thresholds = None if second is None else second.thresholds
    out = builder.quantise(out, proj, f"{attention}.qkv.quantiser", thresholds)
    out = _projected(builder, out, proj, builder.bits(skip))
    wide = builder.stream_bits(f"{mlp}.lif_in", builder.bits(skip) + 1)
    main, skip = builder.fork(builder.add(skip, out, wide, f"{name}.attention_add"), f"{name}.attention_add")
    first, last = builder.layer(f"{mlp}.fc1"), builder.layer(f"{mlp}.fc2")
    words = builder.quantise(main, first, f"{mlp}.lif_in", _thresholds(builder, f"{mlp}.lif_in"))
    out = builder.quantise(builder.matrix(words, first), last, f"{first.name}.quantiser", first.thresholds)
    out = _projected(builder, out, last, builder.bits(skip))
    return builder.add(skip, out, builder.stream_bits(following, builder.bits(skip) + 1), f"{name}.mlp_add")


def _projected(builder: Builder, source: str, layer: Layer, wide: int) -> str:
    """Return ``source`` times the weights of ``layer`` on the residual grid, no wider than the stream, ``wide``."""
    out = builder.matrix(source, layer)
    return builder.align(out, min(wide, builder.bits(out) + _SHIFTS), f"{layer.name}.to_grid")


def _finished(model: Any, out: str) -> Any:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info(out, TensorProto.FLOAT, model.get_tensor_shape(out))
    kind = model.get_tensor_datatype(out)
    kept = [info for info in model.graph.value_info if info.name != out]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    model.graph.output.append(value)
    model.set_tensor_datatype(out, kind)
    return model
