"""Run the levels of the ladder and count the embedding elements in which neighbours differ."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn
from tqdm import tqdm

from spikeclip_fpga.model.data import ImageSet
from spikeclip_fpga.model.train import accuracy, embed_images, load_student
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.export import to_qonnx, write
from spikeclip_fpga.quantize.labelset import LabelSet
from spikeclip_fpga.quantize.lower import execute, lower_file, read_qonnx
from spikeclip_fpga.quantize.network import IntNetwork, Node
from spikeclip_fpga.quantize.qat import load_qat
from spikeclip_fpga.quantize.runner import FastRunner

from .hardware import prove

Say = Callable[[str], None]


@dataclass(frozen=True)
class Sizes:
    """How many of the test images each level sees (the rest of the ladder is too slow for all of them)."""

    all_images: int = 10_000
    qonnx: int = 200
    golden: int = 1_000
    rtl: int = 4


@dataclass
class Findings:
    """What the run found; becomes report.json."""

    accuracy: dict[str, float] = field(default_factory=dict)
    n_images_by_level: dict[str, int] = field(default_factory=dict)
    mismatches: dict[str, int] = field(default_factory=dict)
    images_per_second_by_level: dict[str, float] = field(default_factory=dict)
    firing_rate: float = 0.0
    synaptic_operations: int = 0
    firing_rate_by_layer: dict[str, list[float]] = field(default_factory=dict)
    rtl: dict[str, Any] = field(default_factory=dict)
    predictions: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def to_json(self) -> dict[str, Any]:
        """Return everything but the predictions; ``n_images`` and ``images_per_second`` are the integer level's."""
        return {
            "n_images": self.n_images_by_level["integer"],
            "images_per_second": self.images_per_second_by_level["integer"],
            **{k: v for k, v in vars(self).items() if k != "predictions"},
        }


def differing(a: np.ndarray, b: np.ndarray) -> int:
    """Return in how many elements two arrays differ; all of one when their shapes do."""
    return int((a != b).sum()) if a.shape == b.shape else max(a.size, b.size)


def timed(
    findings: Findings, level: str, images: np.ndarray, embed: Callable[[np.ndarray], np.ndarray], chunk: int
) -> np.ndarray:
    """Return ``embed`` of all images, ``chunk`` at a time behind a progress bar; note the level's size and speed."""
    begin = time.perf_counter()
    parts = []
    with tqdm(total=len(images), desc=f"  {level}", unit="image", dynamic_ncols=True, leave=False) as bar:
        for start in range(0, len(images), chunk):
            parts.append(embed(images[start : start + chunk]))
            bar.update(len(parts[-1]))
    out = np.concatenate(parts)
    findings.images_per_second_by_level[level] = round(len(images) / (time.perf_counter() - begin), 1)
    findings.n_images_by_level[level] = len(images)
    return out


def integer_embeddings(net: nn.Module, images: np.ndarray) -> np.ndarray:
    """Return the QAT network's (N, E) embeddings as int64; raise ArithmeticError if they are no integers."""
    values = embed_images(net, images)
    whole = np.rint(values).astype(np.int64)
    if not np.array_equal(whole, values):
        raise ArithmeticError("the QAT network's embedding is not made of whole numbers")
    return whole


def climb(
    artifacts: Path, preset: str, work: Path, data: ImageSet, labels: LabelSet, sizes: Sizes, say: Say
) -> Findings:
    """Run float, QAT, QONNX and integer levels of the shipped ``preset`` and compare them."""
    found = Findings()
    images, targets = data.images[: sizes.all_images], data.labels[: sizes.all_images]
    vectors = labels.embeddings

    say(f"float: torch, {len(images)} images")
    net, _ = load_student(artifacts / f"{preset}.float.safetensors")
    floats = timed(found, "float", images, lambda x: embed_images(net, x), 250)
    found.accuracy["float"] = accuracy(floats, vectors, targets)

    say(f"QAT: torch with integer arithmetic, {len(images)} images")
    qat, meta = load_qat(artifacts / f"{preset}.qat.safetensors")
    qat_integers = timed(found, "qat", images, lambda x: integer_embeddings(qat, x), 250)
    found.accuracy["qat"] = accuracy(qat_integers, vectors, targets)

    say("export to QONNX, lower to integers")
    qonnx_file, int_file = work / f"{preset}.qonnx.onnx", work / f"{preset}.int.onnx"
    write(to_qonnx(qat, {k: str(meta[k]) for k in ("dataset", "text_tower") if k in meta}), qonnx_file)
    for name in lower_file(qonnx_file, int_file, images[:4]):
        say(f"  pass {name}: 4 images, 0 mismatches")
    net_int = network.load(int_file.with_suffix(".safetensors"))
    shipped = network.load(artifacts / f"{preset}.int.safetensors")
    found.mismatches["shipped_vs_lowered"] = _different_constants(shipped, net_int)

    few = images[: sizes.qonnx]
    say(f"QONNX: executed by qonnx, {len(few)} images")
    graph = read_qonnx(qonnx_file)
    qonnx = timed(found, "qonnx", few, lambda x: execute(graph, x), 4)

    say(f"integer: fast runner, {len(images)} images")
    runner = FastRunner(net_int)
    fast = timed(found, "integer", images, runner.run, 1000)
    found.accuracy["integer"] = accuracy(fast, vectors, targets)
    found.predictions = (fast @ vectors.T).argmax(1)

    some = images[: sizes.golden]
    say(f"golden: numpy, {len(some)} images")
    golden = timed(found, "golden", some, net_int.run, 16)

    found.mismatches["qat_vs_qonnx"] = differing(qat_integers[: len(few)], qonnx)
    found.mismatches["qonnx_vs_integer"] = differing(qonnx, fast[: len(few)])
    found.mismatches["qat_vs_integer"] = differing(qat_integers, fast)
    found.mismatches["golden_vs_fast"] = differing(golden, fast[: len(some)])
    _firing(found, net_int, runner, images)

    fewest = images[: sizes.rtl]
    say(f"hardware: FINN's graph in Python, then RTL in Verilator, {len(fewest)} images")
    hardware = prove(int_file, fewest, work / "accelerator", lambda line: say(f"  {line}"))
    found.mismatches |= hardware.mismatches
    found.n_images_by_level |= hardware.images
    found.images_per_second_by_level |= hardware.images_per_second
    found.rtl = hardware.rtl
    return found


def _different_constants(a: IntNetwork, b: IntNetwork) -> int:
    if a.nodes != b.nodes or a.constants.keys() != b.constants.keys():
        return max(len(a.nodes), len(b.nodes))
    return sum(differing(a.constants[k], b.constants[k]) for k in a.constants)


def _firing(found: Findings, net: IntNetwork, runner: FastRunner, images: np.ndarray) -> None:
    """Note the share of neurons that spike, by layer and step, and over the whole network."""
    neurons: dict[str, int] = {}

    def watch(node: Node, value: np.ndarray) -> None:
        if node.op == "LIF":
            neurons[node.name] = value.size

    net.run(images[:1], watch)
    _, activity = runner.run_counted(images)
    counts = {name: activity.spikes[name] for name in neurons}
    found.synaptic_operations = round(sum(activity.additions.values()) / len(images))
    found.firing_rate_by_layer = {
        name: [round(float(c) / (neurons[name] * len(images)), 6) for c in counts[name]] for name in neurons
    }
    spikes = sum(int(c.sum()) for c in counts.values())
    steps = len(next(iter(counts.values())))
    found.firing_rate = round(spikes / (sum(neurons.values()) * steps * len(images)), 6)
