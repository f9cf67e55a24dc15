"""What fires: rates by layer and step, by class, operations by layer, and the spikes of single images."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from spikeclip_fpga.energy.counters import Counts, firing_rate, total
from spikeclip_fpga.energy.layers import Network, read_network
from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.network import Node
from spikeclip_fpga.quantize.runner import FastRunner

from .subject import Subject

# Neurons drawn of a layer: the channels at the middle of its map, at most so many.
DRAWN = 96


@dataclass(frozen=True)
class Counted:
    """One pass of the fast runner: embeddings (N, E) int64 in the data set's order, and counts by class.

    steps: class -> LIF or OrPool node -> (T,) int64 spikes.
    """

    embeddings: np.ndarray
    classes: dict[str, Counts]
    steps: dict[str, dict[str, np.ndarray]]


def count(subject: Subject) -> Counted:
    """Run all images through the fast runner, class by class."""
    data, runner = subject.data, FastRunner(subject.network)
    embeddings = np.empty((len(data), subject.network.embed_dim), np.int64)
    classes, steps = {}, {}
    for i, name in enumerate(data.class_names):
        chosen = np.flatnonzero(data.labels == i)
        if not len(chosen):
            continue
        embeddings[chosen], activity = runner.run_counted(data.images[chosen])
        spikes = {node: int(by_step.sum()) for node, by_step in activity.spikes.items()}
        classes[name] = Counts(activity.images, spikes, dict(activity.additions))
        steps[name] = activity.spikes
    return Counted(embeddings, classes, steps)


def firing(subject: Subject, counted: Counted) -> dict[str, Any]:
    """Return the section: layers of neurons with rates by step, classes, and operations by layer."""
    read = read_network(subject.network)
    whole = total(list(counted.classes.values()))
    by_step = {n.name: np.sum([steps[n.name] for steps in counted.steps.values()], axis=0) for n in read.neurons}
    return {
        "images": whole.images,
        "timesteps": read.timesteps,
        "firing_rate": float(firing_rate(read.neurons, whole, read.timesteps)),
        "neurons": sum(n.count for n in read.neurons),
        "layers": [
            {
                "name": n.name,
                "neurons": n.count,
                "rate": float(firing_rate([n], whole, read.timesteps)),
                "rate_by_step": [float(c / (n.count * whole.images)) for c in by_step[n.name]],
            }
            for n in read.neurons
        ],
        "classes": [_class(name, counts, read) for name, counts in counted.classes.items()],
        "operations": _operations(read, whole),
    }


def _class(name: str, counts: Counts, read: Network) -> dict[str, Any]:
    return {
        "name": name,
        "images": counts.images,
        "rate": float(firing_rate(read.neurons, counts, read.timesteps)),
        "sops": sum(counts.additions.values()) / counts.images,
        "rate_by_layer": {n.name: float(firing_rate([n], counts, read.timesteps)) for n in read.neurons},
    }


def _operations(read: Network, whole: Counts) -> list[dict[str, Any]]:
    """Return, by layer with weights and per image, what a dense network would do and what the spikes cause."""
    return [
        {
            "name": layer.name,
            "dense": layer.flops * (read.timesteps if layer.spiking else 1),
            "sops": whole.additions[layer.name] / whole.images if layer.spiking else None,
            "macs": None if layer.spiking else layer.flops,
        }
        for layer in read.layers
        if layer.op != "SpikeAttention"
    ]


def rasters(subject: Subject, embeddings: np.ndarray) -> list[dict[str, Any]]:
    """Return, for each chosen image, a thumbnail and the spike words of every layer's middle channels.

    words: one integer a neuron, bit t = step t.
    """
    data, labels = subject.data, subject.labels
    read = read_network(subject.network)
    shapes = {n.name: n.shape for n in read.neurons}
    found = []
    for index in subject.chosen():
        layers: list[dict[str, Any]] = []

        def watch(node: Node, value: np.ndarray, layers: list[dict[str, Any]] = layers) -> None:
            if node.op == "LIF":
                height, width, _ = shapes[node.name]
                middle = value.reshape(shapes[node.name])[height // 2, width // 2, :DRAWN]
                spikes = int(golden.unpack(value, read.timesteps).sum())
                layers.append({"name": node.name, "spikes": spikes, "words": [int(w) for w in middle]})

        subject.network.run(data.images[index : index + 1], watch)
        best = int((embeddings[index] @ labels.embeddings.T).argmax())
        found.append(
            {
                **{"index": index, "label": data.class_names[data.labels[index]], "predicted": labels.names[best]},
                **{"png": thumbnail(data.images[index]), "timesteps": read.timesteps, "layers": layers},
            }
        )
    return found


def thumbnail(image: np.ndarray) -> str:
    """Return an (H, W, 3) uint8 image as PNG in base64."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
