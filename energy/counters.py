"""Synaptic operations, counted: spike by spike, by each position's fan-out, and from the fast runner.

A spike's fan-out is the number of outputs it is added to. At the border of a map a convolution has taps on
the padding, so spikes there reach fewer outputs than k^2 M: that is what the papers' formula leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from spikeclip_fpga.quantize.golden import unpack
from spikeclip_fpga.quantize.network import IntNetwork, Node
from spikeclip_fpga.quantize.runner import FastRunner

from .layers import Layer, Neurons, read_network


class CountError(ValueError):
    """Images and labels that do not fit together; the message says what was given."""


@dataclass(frozen=True)
class Counts:
    """Spikes (LIF and OrPool nodes) and additions (SpikeConv and SpikeLinear nodes) over ``images`` images."""

    images: int
    spikes: dict[str, int]
    additions: dict[str, int]

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both sets of images; raise CountError if they are of different networks."""
        if self.spikes.keys() != other.spikes.keys() or self.additions.keys() != other.additions.keys():
            raise CountError("counts: of two different networks; add counts of one network only")
        return Counts(
            self.images + other.images,
            {name: n + other.spikes[name] for name, n in self.spikes.items()},
            {name: n + other.additions[name] for name, n in self.additions.items()},
        )


@dataclass(frozen=True)
class FormulaError:
    """(F.3) against the events of one layer, summed over images; formula = events + borders + positions.

    formula: T x firing rate x FLOPs.  borders: taps on the padding, for spikes spread evenly over the map.
    positions: what spikes not spread evenly add to that.
    """

    name: str
    formula: Fraction
    events: int
    borders: Fraction
    positions: Fraction

    @property
    def relative(self) -> float:
        """(formula - events) / events; 0 for a silent layer."""
        return float((self.formula - self.events) / self.events) if self.events else 0.0


def fan_out(layer: Layer) -> np.ndarray:
    """Return (H, W) int64: how many outputs a spike at each position of a SpikeConv or SpikeLinear reaches."""

    def taps(size: int, out: int) -> np.ndarray:
        reached = np.arange(size)[:, None] + layer.pad - np.arange(layer.kernel)
        return ((reached >= 0) & (reached < out)).sum(1)

    rows, columns = (taps(layer.in_shape[i], layer.out_shape[i]) for i in (0, 1))
    return np.outer(rows, columns).astype(np.int64) * layer.out_shape[2]


def event_sum(layer: Layer, words: np.ndarray, timesteps: int) -> int:
    """Return the additions that spikes cause in ``layer``, the sum of their fan-outs.

    words: (B, H, W, C) or (B, N, C), spikes of ``timesteps`` bits.
    """
    spikes = unpack(words, timesteps).sum((-1, -2))
    return int((spikes.reshape(len(words), *layer.in_shape[:2]) * fan_out(layer)).sum())


def brute_force(layer: Layer, words: np.ndarray, timesteps: int) -> int:
    """Return the same count without any formula: visit every spike and every output it is added to. Slow."""
    height, width, channels = layer.in_shape
    out_height, out_width, out_channels = layer.out_shape
    count = 0
    for image in words.reshape(len(words), height, width, channels).tolist():
        for y, row in enumerate(image):
            for x, pixel in enumerate(row):
                for word in pixel:
                    for step in range(timesteps):
                        if not word >> step & 1:
                            continue
                        for ky in range(layer.kernel):
                            for kx in range(layer.kernel):
                                out_y, out_x = y + layer.pad - ky, x + layer.pad - kx
                                if 0 <= out_y < out_height and 0 <= out_x < out_width:
                                    count += sum(1 for _ in range(out_channels))
    return count


def count_network(
    network: IntNetwork, images: np.ndarray, count: Callable[[Layer, np.ndarray, int], int] = event_sum
) -> Counts:
    """Run golden.py on (B, H, W, 3) uint8 images and count spikes and, by ``count``, additions."""
    read = read_network(network)
    words: dict[str, np.ndarray] = {}

    def watch(node: Node, value: np.ndarray) -> None:
        if node.op in ("LIF", "OrPool"):
            words[node.name] = value

    network.run(images, watch)
    spikes = {name: int(unpack(value, read.timesteps).sum()) for name, value in words.items()}
    additions = {
        layer.name: count(layer, words[layer.sources[0]], read.timesteps) for layer in read.layers if layer.spiking
    }
    return Counts(len(images), spikes, additions)


def measure(runner: FastRunner, images: np.ndarray, threads: int | None = None) -> Counts:
    """Return the same counts of (N, H, W, 3) uint8 images from the fast runner."""
    _, activity = runner.run_counted(images, threads=threads)
    spikes = {name: int(by_step.sum()) for name, by_step in activity.spikes.items()}
    return Counts(activity.images, spikes, dict(activity.additions))


def measure_classes(
    runner: FastRunner, images: np.ndarray, labels: np.ndarray, names: Sequence[str], threads: int | None = None
) -> dict[str, Counts]:
    """Return the counts of each class that has images. labels: (N,) integers, indices of ``names``.

    Raises CountError if the labels do not fit the images or the names.
    """
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise CountError(
            f"labels: expected integers ({len(images)},), one for each image, got {labels.dtype} {labels.shape}"
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(names):
        raise CountError(f"labels: expected 0 to {len(names) - 1}, got {labels.min()} to {labels.max()}")
    return {name: measure(runner, images[labels == i], threads) for i, name in enumerate(names) if (labels == i).any()}


def total(parts: Sequence[Counts]) -> Counts:
    """Return the sum of counts; raise CountError if there are none."""
    if not parts:
        raise CountError("counts: none to add; give at least one image")
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole


def formula_error(layer: Layer, counts: Counts) -> FormulaError:
    """Return how far (F.3) is from the events of a SpikeConv or SpikeLinear, and why."""
    spikes, events = counts.spikes[layer.sources[0]], counts.additions[layer.name]
    formula = Fraction(spikes * layer.flops, layer.inputs)
    even = Fraction(spikes * int(fan_out(layer).sum()) * layer.in_shape[2], layer.inputs)
    return FormulaError(layer.name, formula, events, formula - even, even - events)


def firing_rate(neurons: Sequence[Neurons], counts: Counts, timesteps: int) -> Fraction:
    """Return spikes per neuron, step and image over ``neurons``; raise CountError without images or neurons."""
    places = sum(n.count for n in neurons) * timesteps * counts.images
    if not places:
        raise CountError("firing rate: no neurons or no images; give at least one of each")
    return Fraction(sum(counts.spikes[n.name] for n in neurons), places)
