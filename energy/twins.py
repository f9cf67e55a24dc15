"""The ANNs that SpikeCLIP is compared with, as shapes and widths: one pass, no steps, the same layers.

  scratchclip  the papers' ANN twin: float32, attention with a softmax, (Q K^T) V
  qnn3         a quantised ANN of 3-bit activations, as many levels as T = 4 steps can count and more;
               weights by the bits table, attention Q (K^T V) on 3-bit operands
LayerNorm, softmax, activation functions and rescaling are counted nowhere, which favours the ANNs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from . import arithmetic
from .counters import CountError
from .layers import Layer, Pool, Shape, layers_of_config

TwinKind = Literal["scratchclip", "qnn3"]
KINDS: tuple[TwinKind, ...] = ("scratchclip", "qnn3")
BITS: dict[str, Any] = {"first": 8, "hidden": 4, "last": 8, "readout": 8}
QNN_BITS, FLOAT_BITS, PIXEL_BITS = 3, 32, 8
# The residual stream keeps more than an activation; SpikeCLIP's of preset tiny has 16 bits.
STREAM_BITS = 16


@dataclass(frozen=True)
class Twin:
    """An ANN's layers, buffers and widths in bits.

    streams: residual additions and their shapes.  pools: max-pools on sums, with the shape of their input.
    activations: where numbers become activations again, as (name, shape).  weight_bits: by layer's name.
    image_bits, readout_bits: operands of the first layer and of the projection.  floating: float32 arithmetic.
    """

    kind: str
    layers: tuple[Layer, ...]
    streams: dict[str, Shape]
    activation_bits: int
    weight_bits: dict[str, int]
    image_bits: int = PIXEL_BITS
    readout_bits: int = PIXEL_BITS
    stream_bits: int = STREAM_BITS
    floating: bool = False
    pools: tuple[Pool, ...] = ()
    activations: tuple[tuple[str, Shape], ...] = field(default=())

    def input_bits(self, layer: Layer) -> int:
        """Width of what enters ``layer``."""
        return {"Conv": self.image_bits, "Readout": self.readout_bits}.get(layer.op, self.activation_bits)

    def output_bits(self, layer: Layer) -> int:
        """Width of what leaves it: an activation, or an element of the embedding."""
        return self.readout_bits if layer.op == "Readout" else self.activation_bits

    def operand_bits(self, layer: Layer) -> int:
        """Width of a weight, or of attention's other operand."""
        return self.weight_bits.get(layer.name, self.activation_bits)

    def sum_bits(self, layer: Layer) -> int:
        """Width of an accumulator that no input overflows; of both products of attention the wider one."""
        if self.floating:
            return FLOAT_BITS
        tokens = layer.in_shape[0] * layer.in_shape[1]
        fan_in = layer.kernel**2 * layer.in_shape[2] if layer.weights else tokens
        return arithmetic.sum_bits(self.operand_bits(layer), self.input_bits(layer), fan_in)


def twin_of(kind: TwinKind, config: Mapping[str, Any], bits: Mapping[str, Any] | None = None) -> Twin:
    """Return an ANN of the topology of a ModelConfig's JSON object.

    bits: the table of weight widths, {"first", "hidden", "last", "readout", "layers": {name: bits}}, as a network's
    file has it; missing entries are 8, 4, 8, 8.  Raises CountError for an unknown kind.
    """
    if kind not in KINDS:
        raise CountError(f"ANN: expected {' or '.join(KINDS)}, got {kind!r}")
    floating = kind == "scratchclip"
    table = BITS | dict(bits or {})
    layers = tuple(_attention(layer, floating) for layer in layers_of_config(config))
    weight_bits = {ly.name: FLOAT_BITS if floating else _weight_bits(ly, table) for ly in layers if ly.weights}
    token = layers[-1].in_shape
    blocks = [f"blocks.{i}" for i in range(config["depth"])]
    return Twin(
        *(kind, layers, {f"{block}.{part}": token for block in blocks for part in ("attention.add", "mlp.add")}),
        activation_bits=FLOAT_BITS if floating else QNN_BITS,
        weight_bits=weight_bits,
        image_bits=FLOAT_BITS if floating else PIXEL_BITS,
        readout_bits=FLOAT_BITS if floating else int(table["readout"]),
        stream_bits=FLOAT_BITS if floating else STREAM_BITS,
        floating=floating,
        pools=tuple(_pools(layers)),
        activations=tuple(_activations(layers, config["depth"])),
    )


def _attention(layer: Layer, softmax: bool) -> Layer:
    if layer.op != "SpikeAttention" or not softmax:
        return layer
    return Layer(layer.name, "SoftmaxAttention", layer.in_shape, layer.out_shape, heads=layer.heads)


def _weight_bits(layer: Layer, table: Mapping[str, Any]) -> int:
    name = layer.name.removesuffix(".conv").removesuffix(".linear")
    name = "readout.project" if layer.op == "Readout" else name
    role = {"Conv": "first", "Readout": "last"}.get(layer.op, "hidden")
    return int(table.get("layers", {}).get(name, table[role]))


def _convolutions(layers: tuple[Layer, ...]) -> list[tuple[Layer, Shape]]:
    """Return each convolution with the shape of what follows it, after a pool if there is one."""
    found = [layer for layer in layers if layer.op in ("Conv", "SpikeConv")]
    following = [layer.in_shape for layer in (*found[1:], layers[len(found)])]
    return list(zip(found, following, strict=True))


def _pools(layers: tuple[Layer, ...]) -> list[Pool]:
    return [
        Pool(f"{layer.name}.pool", "MaxPool", layer.out_shape, layer.name)
        for layer, after in _convolutions(layers)
        if after != layer.out_shape
    ]


def _activations(layers: tuple[Layer, ...], depth: int) -> list[tuple[str, Shape]]:
    """Return where SpikeCLIP has neurons: behind all convolutions but the last, in the blocks, before the readout."""
    found = [(layer.name.removesuffix(".conv"), after) for layer, after in _convolutions(layers)[:-1]]
    by_name = {layer.name: layer for layer in layers}
    for i in range(depth):
        token = by_name[f"blocks.{i}.attention"].in_shape
        found += [(f"blocks.{i}.attention.{part}", token) for part in ("in", "q", "k", "v", "out")]
        found.append((f"blocks.{i}.mlp.in", token))
        found.append((f"blocks.{i}.mlp.fc1", by_name[f"blocks.{i}.mlp.fc1.linear"].out_shape))
    return [*found, ("readout.in", layers[-1].in_shape)]
