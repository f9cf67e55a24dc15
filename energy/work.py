"""What a node of the network does for an image, in accesses and operations; priced in memory_aware.py."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from spikeclip_fpga.quantize.network import IntNetwork
from spikeclip_fpga.quantize.ranges import Interval, signed_bits, weighted

from .counters import Counts
from .layers import Layer, Network, Neurons

MEMORY = ("inputs", "weights", "state", "params", "outputs")


@dataclass(frozen=True)
class Access:
    """``count`` accesses per image to ``datum_bits`` in a memory of ``memory_bits``; ``part`` is one of MEMORY."""

    part: str
    count: float
    datum_bits: int
    memory_bits: int


@dataclass(frozen=True)
class Work:
    """What one node does per image: accesses, and adds and multiplies to compute and to address.

    add_bits, multiply_bits: widths that "width" arithmetic prices; "int32" prices all alike, unless floating.
    """

    name: str
    op: str
    accesses: tuple[Access, ...]
    adds: float = 0
    multiplies: float = 0
    address_adds: float = 0
    address_multiplies: float = 0
    add_bits: int = 32
    multiply_bits: tuple[int, int] = (32, 32)
    floating: bool = False


@dataclass(frozen=True)
class Model:
    """What both placements read: the network, its shapes and the average image's counts."""

    network: IntNetwork
    read: Network
    counts: Counts
    potential_accesses: float
    bits: dict[str, tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", dict(self._widths()))

    @property
    def timesteps(self) -> int:
        """T."""
        return self.read.timesteps

    def spikes(self, names: Iterable[str]) -> float:
        """Spikes per image of LIF and OrPool nodes."""
        return sum(self.counts.spikes[name] for name in names) / self.counts.images

    def additions(self, layer: Layer) -> float:
        """Additions per image of a spiking layer."""
        return self.counts.additions[layer.name] / self.counts.images

    def weight_bits(self, layer: Layer) -> int:
        """Width of a weight."""
        return self.bits[layer.name][0]

    def sum_bits(self, layer: Layer) -> int:
        """Width of an accumulator that no input overflows."""
        return self.bits[layer.name][1]

    def readout_bits(self, layer: Layer) -> int:
        """Width of the weighted sums of spikes over tokens and steps that enter the projection."""
        node = next(n for n in self.network.nodes if n.name == layer.name)
        steps = self.network.constants[node.inputs[1]].astype(np.int64) * (layer.in_shape[0] * layer.in_shape[1])
        shift = int(node.attributes["shift"])
        low, high = (
            int(part.sum()) + ((1 << shift) >> 1) >> shift for part in (np.minimum(steps, 0), np.maximum(steps, 0))
        )
        return signed_bits(low, high)

    def stream_bits(self) -> int:
        """Width of the residual stream, taken as that of the widest membrane that adds it up unscaled."""
        return max((n.membrane_bits for n in self.read.neurons if n.on_stream), default=0)

    def state_bits(self, layer: Layer) -> int:
        """Width of the state that events add to: the membrane, or an accumulator before a pool or the stream."""
        widths = {n.name: n.membrane_bits for n in self.read.neurons}
        return widths.get(layer.into, self.sum_bits(layer))

    def _widths(self) -> Iterable[tuple[str, tuple[int, int]]]:
        constants = {n.name: [self.network.constants.get(i) for i in n.inputs] for n in self.network.nodes}
        zero = int(self.network.meta["pixel_zero"])
        for layer in self.read.layers:
            if layer.op == "SpikeAttention":
                yield layer.name, (1, (layer.out_positions * (layer.in_shape[2] // layer.heads)).bit_length())
                continue
            weight = next(c for c in constants[layer.name] if c is not None and c.ndim > 1).astype(np.int64)
            pixels = Interval(np.full(layer.in_shape[2], -zero), np.full(layer.in_shape[2], 255 - zero))
            spikes = Interval(np.zeros(layer.in_shape[2]), np.ones(layer.in_shape[2]), words=True)
            bounds = weighted(pixels if layer.op == "Conv" else spikes, weight)
            width = signed_bits(int(weight.min()), int(weight.max()))
            yield layer.name, (width, signed_bits(int(bounds.low.min()), int(bounds.high.max())))


def neuron_parameters(neurons: Neurons) -> tuple[int, int]:
    """Return the width of a threshold or bias and the bits of both for all channels."""
    return neurons.membrane_bits, 2 * neurons.shape[2] * neurons.membrane_bits


def event_bits(elements: int) -> int:
    """Return the width of an event's address among ``elements`` neurons."""
    return max(1, math.ceil(math.log2(elements)))
