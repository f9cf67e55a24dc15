"""Pictures of a run: spike raster of an image, confusion matrix, firing rate by layer and step."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.network import IntNetwork, Node

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def _save(figure: plt.Figure, path: Path) -> None:
    partial = path.with_name(f"{path.stem}.part{path.suffix}")
    figure.savefig(partial, dpi=120, bbox_inches="tight")
    plt.close(figure)
    partial.replace(path)


def spike_raster(net: IntNetwork, image: np.ndarray, title: str, path: Path, neurons: int = 96) -> None:
    """Draw the image and, for each layer, which of its first neurons fire at each step."""
    layers: list[tuple[str, np.ndarray]] = []

    def watch(node: Node, value: np.ndarray) -> None:
        if node.op == "LIF":
            layers.append((node.name, golden.unpack(value.reshape(-1), node.attributes["timesteps"])[:neurons]))

    net.run(image[None], watch)
    figure, axes = plt.subplots(
        1, len(layers) + 1, figsize=(2.2 + 0.55 * len(layers), 4.2), width_ratios=[4] + [1] * len(layers)
    )
    axes[0].imshow(image)
    axes[0].set_title(title, fontsize=9)
    axes[0].axis("off")
    for axis, (name, spikes) in zip(axes[1:], layers, strict=True):
        axis.imshow(spikes, aspect="auto", cmap="Greys", interpolation="nearest", vmin=0, vmax=1)
        axis.set_title(name, fontsize=6, rotation=90)
        axis.set_xticks(range(spikes.shape[1]), [str(t) for t in range(spikes.shape[1])], fontsize=5)
        axis.set_yticks([])
    figure.supxlabel(f"time step, for each layer of neurons; first {neurons} neurons of each", fontsize=8)
    _save(figure, path)


def confusion(truth: np.ndarray, predicted: np.ndarray, names: tuple[str, ...], path: Path) -> None:
    """Draw how often each class was taken for each other, in percent of the class."""
    matrix = np.zeros((len(names), len(names)))
    np.add.at(matrix, (truth, predicted), 1)
    share = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure, axis = plt.subplots(figsize=(6.5, 6))
    axis.imshow(share, cmap="Blues", vmin=0, vmax=100)
    for i, j in np.ndindex(*share.shape):
        if share[i, j] >= 0.5:
            axis.text(
                j,
                i,
                f"{share[i, j]:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if share[i, j] > 50 else "black",
            )
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_xlabel("nearest label")
    axis.set_ylabel("true class")
    axis.set_title("integer network, % of each class")
    _save(figure, path)


def firing_rates(by_layer: dict[str, list[float]], path: Path) -> None:
    """Draw the share of neurons that fire, by layer and step."""
    table = np.array(list(by_layer.values())) * 100
    figure, axis = plt.subplots(figsize=(4.2, 0.28 * len(table) + 1.4))
    picture = axis.imshow(table, aspect="auto", cmap="viridis", vmin=0)
    for i, j in np.ndindex(*table.shape):
        axis.text(
            j,
            i,
            f"{table[i, j]:.0f}",
            ha="center",
            va="center",
            fontsize=6,
            color="white" if table[i, j] < table.max() * 0.6 else "black",
        )
    axis.set_yticks(range(len(table)), list(by_layer), fontsize=7)
    axis.set_xticks(range(table.shape[1]), [str(t) for t in range(table.shape[1])])
    axis.set_xlabel("time step")
    axis.set_title("firing rate, %")
    figure.colorbar(picture)
    _save(figure, path)
