"""The shapes of a network's layers, from an integer network or from a model's configuration alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spikeclip_fpga.quantize.network import IMAGE, IntNetwork, Node

Shape = tuple[int, int, int]
ATTENTION = ("SpikeAttention", "SoftmaxAttention")
WEIGHTED = ("Conv", "SpikeConv", "SpikeLinear", "Readout")


@dataclass(frozen=True)
class Layer:
    """A layer with weights, or attention. Shapes are (height, width, channels); tokens count as a map.

    op: the operator's name.  sources: the LIF or OrPool nodes whose spikes it reads, none for the image.
    heads: of attention, else 0.  into: the LIF node that takes the sums as they come, "" if a pool or the
    residual stream stands between.
    """

    name: str
    op: str
    in_shape: Shape
    out_shape: Shape
    kernel: int = 1
    pad: int = 0
    heads: int = 0
    sources: tuple[str, ...] = field(default=(), compare=False)
    into: str = field(default="", compare=False)

    @property
    def inputs(self) -> int:
        """Number of input elements."""
        return _size(self.in_shape)

    @property
    def outputs(self) -> int:
        """Number of output elements."""
        return _size(self.out_shape)

    @property
    def out_positions(self) -> int:
        """Number of output positions or tokens."""
        return self.out_shape[0] * self.out_shape[1]

    @property
    def weights(self) -> int:
        """Number of weights; 0 for attention."""
        return 0 if self.op in ATTENTION else self.kernel**2 * self.in_shape[2] * self.out_shape[2]

    @property
    def flops(self) -> int:
        """Multiply-accumulates of one dense step, taps on the padding included (the papers' FLOPs).

        Attention has the two products Q (K^T V), 2 N D d, or with a softmax (Q K^T) V, 2 N D N, though the
        papers' sum leaves it out.
        """
        if self.op == "SoftmaxAttention":
            return 2 * self.inputs * self.out_positions
        if self.op == "SpikeAttention":
            return 2 * self.inputs * (self.in_shape[2] // self.heads)
        return self.weights * (1 if self.op == "Readout" else self.out_positions)

    @property
    def spiking(self) -> bool:
        """Whether (F.3) applies: weights on spikes. The image and the weighted token sums are numbers."""
        return self.op in ("SpikeConv", "SpikeLinear")


@dataclass(frozen=True)
class Neurons:
    """A LIF node: ``count`` neurons of ``membrane_bits``; spikes are counted under ``name``.

    static: its input does not change over the steps.  on_stream: it reads the residual stream.
    leak_bits: width of the leak's factor.
    """

    name: str
    shape: Shape
    membrane_bits: int
    static: bool = False
    on_stream: bool = False
    leak_bits: int = 5

    @property
    def count(self) -> int:
        """Number of neurons."""
        return _size(self.shape)


@dataclass(frozen=True)
class Pool:
    """A MaxPool or OrPool node: shape of its input; ``layer``: whose sums it pools, "" for spikes; static as above."""

    name: str
    op: str
    shape: Shape
    layer: str = ""
    static: bool = False


@dataclass(frozen=True)
class Network:
    """What the estimates need of an integer network. ``streams``: ResidualAdd nodes and their shapes."""

    layers: tuple[Layer, ...]
    neurons: tuple[Neurons, ...]
    pools: tuple[Pool, ...]
    streams: dict[str, Shape]
    timesteps: int


def read_network(network: IntNetwork) -> Network:
    """Return the layers, neurons, pools and streams of ``network`` with their shapes."""
    config = json.loads(network.meta["config"])
    shapes: dict[str, Shape] = {IMAGE: (config["image_size"], config["image_size"], config["in_channels"])}
    spikes: dict[str, tuple[str, ...]] = {}  # of each tensor of spikes, the node that is counted
    writer: dict[str, Node] = {}
    readers = {node.inputs[0]: node.name for node in network.nodes if node.op == "LIF"}
    layers, neurons, pools, streams = [], [], [], {}
    for node in network.nodes:
        x = node.inputs[0]
        shapes[node.output] = out = _out_shape(node, shapes[x], network)
        before = writer.get(x)
        # Tokens only names the elements of a map.
        writer[node.output] = before if node.op == "Tokens" and before is not None else node
        if node.op == "Tokens" and x in spikes:
            spikes[node.output] = spikes[x]
        if node.op in (*WEIGHTED, "SpikeAttention"):
            layers.append(
                Layer(
                    *(node.name, node.op, shapes[x], out),
                    kernel=int(network.constants[node.inputs[1]].shape[1]) if node.op in ("Conv", "SpikeConv") else 1,
                    pad=node.attributes.get("pad", 0),
                    heads=node.attributes.get("heads", 0),
                    sources=tuple(s for name in node.inputs for s in spikes.get(name, ())),
                    into=readers.get(node.output, ""),
                )
            )
        elif node.op == "LIF":
            on_stream = before is not None and before.op in ("Align", "ResidualAdd")
            bits, static = node.attributes["membrane_bits"], bool(node.attributes["broadcast"])
            leak = int(node.attributes["leak_k"]).bit_length()
            neurons.append(Neurons(node.name, out, bits, static, on_stream, leak))
        elif node.op in ("MaxPool", "OrPool"):
            sums = before.name if before is not None and node.op == "MaxPool" else ""
            pools.append(Pool(node.name, node.op, shapes[x], sums, before is not None and before.op == "Conv"))
        elif node.op == "ResidualAdd":
            streams[node.name] = out
        if node.op in ("LIF", "OrPool"):
            spikes[node.output] = (node.name,)
    return Network(tuple(layers), tuple(neurons), tuple(pools), streams, int(config["timesteps"]))


def layers_of_config(config: Mapping[str, Any]) -> tuple[Layer, ...]:
    """Return the layers of a network from its ModelConfig as a JSON object, without weights or training."""
    size, channels = config["image_size"], config["in_channels"]
    kernel = config["pool_kernel"]
    layers = []
    for i, (width, pooled) in enumerate(zip(config["conv_channels"], config["pool_after"], strict=True)):
        op = "SpikeConv" if i else "Conv"
        layers.append(Layer(f"tokenizer.{i}.conv", op, (size, size, channels), (size, size, width), 3, 1))
        channels = width
        if pooled:
            size = _pooled(size, kernel, 2, (kernel - 1) // 2)
    dim, hidden = channels, channels * config["mlp_ratio"]
    token, wide = (size, size, dim), (size, size, hidden)
    for i in range(config["depth"]):
        block = f"blocks.{i}"
        layers += [Layer(f"{block}.attention.{p}.linear", "SpikeLinear", token, token) for p in "qkv"]
        layers.append(Layer(f"{block}.attention", "SpikeAttention", token, token, heads=config["heads"]))
        layers.append(Layer(f"{block}.attention.proj.linear", "SpikeLinear", token, token))
        layers.append(Layer(f"{block}.mlp.fc1.linear", "SpikeLinear", token, wide))
        layers.append(Layer(f"{block}.mlp.fc2.linear", "SpikeLinear", wide, token))
    layers.append(Layer("readout", "Readout", token, (1, 1, config["embed_dim"])))
    return tuple(layers)


def _size(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2]


def _pooled(size: int, kernel: int, stride: int, pad: int) -> int:
    return (size + 2 * pad - kernel) // stride + 1


def _out_shape(node: Node, given: Shape, network: IntNetwork) -> Shape:
    height, width, channels = given
    if node.op in ("Conv", "SpikeConv"):
        weight, grown = network.constants[node.inputs[1]], 2 * node.attributes["pad"] + 1
        return height + grown - weight.shape[1], width + grown - weight.shape[2], int(weight.shape[0])
    if node.op == "SpikeLinear":
        return height, width, int(network.constants[node.inputs[1]].shape[0])
    if node.op in ("MaxPool", "OrPool"):
        how = (node.attributes["kernel"], node.attributes["stride"], node.attributes["pad"])
        return _pooled(height, *how), _pooled(width, *how), channels
    if node.op == "Readout":
        return 1, 1, network.embed_dim
    return given
