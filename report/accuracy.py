"""Accuracy of every level of the ladder, and in how many elements neighbours differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spikeclip_fpga.host.performance import Accuracy
from spikeclip_fpga.ladder.levels import differing, integer_embeddings
from spikeclip_fpga.model.data import ImageSet
from spikeclip_fpga.model.train import accuracy, embed_images, load_student
from spikeclip_fpga.quantize.labelset import LabelSet
from spikeclip_fpga.quantize.lower import execute, read_qonnx
from spikeclip_fpga.quantize.qat import load_qat

from .schema import ReportError
from .subject import Subject


def score(embeddings: np.ndarray, labels: LabelSet, data: ImageSet) -> dict[str, Any]:
    """Return accuracy in percent, by model.train's function, with Wilson's 95 % interval and the images it is of."""
    if data.class_names != labels.names:
        raise ReportError(f"{labels.source}: labels {labels.names}, expected {data.class_names} of {data.name}")
    percent = accuracy(embeddings, labels.embeddings, data.labels[: len(embeddings)])
    images = len(embeddings)
    found = Accuracy.of(round(percent * images / 100), images, len(labels.names))
    return {
        "percent": 100 * found.correct / images,
        "low95": 100 * found.low95,
        "high95": 100 * found.high95,
        "correct": found.correct,
        "images": images,
    }


def ladder(subject: Subject, integers: np.ndarray, build: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one entry per level, float to RTL; ``integers``: (N, E) embeddings of the integer level.

    build: the hardware section, whose mismatches and images are those of the two hardware levels.
    """
    data, say = subject.data, subject.say
    say(f"float: torch, {len(data)} images")
    net, _ = load_student(subject.file("float.safetensors", "spikeclip train"))
    floats = embed_images(net, data.images)
    say(f"QAT: torch with integer arithmetic, {len(data)} images")
    qat_net, _ = load_qat(subject.file("qat.safetensors", "spikeclip quantize"))
    qat = integer_embeddings(qat_net, data.images)
    few, fewest = data.images[: subject.few], data.images[: subject.fewest]
    say(f"QONNX: executed by qonnx, {len(fewest)} images")
    qonnx = execute(read_qonnx(subject.file("qonnx.onnx", "spikeclip quantize")), fewest)
    say(f"golden: numpy, {len(few)} images")
    golden = subject.network.run(few)

    def level(
        name: str, what: str, found: np.ndarray, source: Path | None, against: str, other: np.ndarray | None, kind: str
    ) -> dict[str, Any]:
        return {
            **{"level": name, "what": what, "images": len(found), "kind": kind},
            "accuracy": score(found, subject.labels, data),
            "compared_with": against or None,
            "mismatches": None if other is None else differing(found, other[: len(found)]),
            "elements": None if other is None else int(found.size),
            "source": "this run" if source is None else source.as_posix(),
        }

    return [
        level("float", "PyTorch, float32, as trained", floats, None, "", None, "computed"),
        level("QAT", "PyTorch, integer weights and arithmetic", qat, None, "", None, "computed"),
        level("QONNX", "exported graph, executed by qonnx", qonnx, None, "QAT", qat, "computed"),
        level("integer", "compiled integer network", integers, None, "QAT", qat, "computed"),
        level("golden", "numpy reference that defines right", golden, None, "integer", integers, "computed"),
        *_hardware(subject, build, integers),
    ]


def _hardware(subject: Subject, build: dict[str, Any], integers: np.ndarray) -> Sequence[dict[str, Any]]:
    """Return the build's two levels; where they are known to equal the integers, so is their accuracy."""

    def agreed(images: int | None, *keys: str) -> dict[str, Any] | None:
        if images is None or any(build["mismatches"].get(key) != 0 for key in keys):
            return None
        return score(integers[:images], subject.labels, subject.data)

    rows = (
        ("hardware graph", "FINN's graph, executed in Python", "integer", "integer_vs_hw", "hw_images", "computed"),
        ("RTL", "SystemVerilog, simulated in Verilator", "hardware graph", "hw_vs_rtl", "rtl_images", "simulated"),
    )
    return [
        {
            **{"level": name, "what": what, "images": build[images], "kind": kind},
            "accuracy": agreed(build[images], "integer_vs_hw", key),
            **{"compared_with": against, "mismatches": build["mismatches"].get(key)},
            "elements": None if build[images] is None else integers.shape[1] * build[images],
            "source": build["source"],
        }
        for name, what, against, key, images, kind in rows
        if build[images] is not None
    ]
