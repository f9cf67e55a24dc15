"""Accuracy against energy over time steps and weight bits: one short training for each point of a grid.

    sweep(preset("tiny"), Settings(), train, test, teacher, captions, folder, print) -> sweep.json's content

Every point is trained by the functions of ``spikeclip train`` and ``spikeclip quantize``, lowered to integers,
and run on all test images by the fast runner. Checkpoints stay in ``folder``: a repeated sweep trains only what
is missing there.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeclip_fpga.energy import memory_aware, theory
from spikeclip_fpga.energy.counters import measure
from spikeclip_fpga.energy.layers import read_network
from spikeclip_fpga.model.config import ConfigError, ModelConfig
from spikeclip_fpga.model.train import accuracy, load_student, train_student
from spikeclip_fpga.model.trainer import TrainConfig
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.export import to_qonnx, write
from spikeclip_fpga.quantize.lower import lower_file
from spikeclip_fpga.quantize.qat import load_qat
from spikeclip_fpga.quantize.quantizers import BitWidths
from spikeclip_fpga.quantize.runner import FastRunner
from spikeclip_fpga.quantize.train_qat import train_qat

if TYPE_CHECKING:
    import torch

    from spikeclip_fpga.model.data import ImageSet
    from spikeclip_fpga.model.teacher import Teacher

FORMAT, SCHEMA = "spikeclip-fpga/sweep", 2
Say = Callable[[str], None]
# Images that prove each lowering pass; the integer network itself sees all of them.
_CHECK = 2


class SweepError(RuntimeError):
    """A sweep that cannot be run or read; one line with the remedy."""


@dataclass(frozen=True)
class Settings:
    """The grid and the training of each point: ``float_epochs`` per T, then ``qat_epochs`` per (T, bits).

    timesteps: each 1 to 16.  bits: weight bits of the spiking layers, each 2 to 8.  lr, qat_lr: highest
    learning rates.  align_share: share of the float steps that only align (eq. 3).
    """

    timesteps: tuple[int, ...] = (1, 2, 4, 8)
    bits: tuple[int, ...] = (2, 3, 4, 8)
    float_epochs: float = 3
    qat_epochs: float = 0.5
    lr: float = 3e-3
    qat_lr: float = 5e-4
    align_share: float = 0.4
    seed: int = 0

    def points(self) -> Iterator[tuple[int, int]]:
        """Yield (T, bits) of every point, all widths of one T together."""
        return itertools.product(self.timesteps, self.bits)


def float_path(folder: Path, timesteps: int) -> Path:
    """Return where the float network of a T is kept."""
    return folder / f"T{timesteps}.float.safetensors"


def qat_path(folder: Path, timesteps: int, bits: int) -> Path:
    """Return where the quantised network of a point is kept."""
    return folder / f"T{timesteps}-w{bits}.qat.safetensors"


def sweep(
    model: ModelConfig,
    settings: Settings,
    train: ImageSet,
    test: ImageSet,
    teacher: Teacher,
    captions: torch.Tensor,
    folder: Path,
    say: Say,
    meta: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train what is missing in ``folder``, evaluate every point on all of ``test``, return sweep.json's content.

    model: the network, but for T.  captions: (K, E) unit vectors of the class names.  meta: provenance for the
    checkpoints' headers.  Raises SweepError for a checkpoint in ``folder`` that was trained with other settings.
    """
    begin, points = time.perf_counter(), []
    grid = list(settings.points())
    for number, (timesteps, bits) in enumerate(grid, 1):
        path = _trained(model, settings, timesteps, bits, train, teacher, captions, folder, meta)
        point = evaluate(path, test, captions.numpy(), folder)
        point["epochs"] = {"float": settings.float_epochs, "qat": settings.qat_epochs}
        points.append(point)
        say(
            f"[{number}/{len(grid)}] T {timesteps}, {bits} bits: {point['accuracy']:.2f} %, "
            f"firing rate {100 * point['firing_rate']:.1f} %, theory {point['theory_nj'] / 1000:.2f} uJ"
        )
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "note": f"short trainings: {settings.float_epochs:g} epochs in float, {settings.qat_epochs:g} quantised; "
        "the shipped network was trained longer",
        "settings": {
            "preset": model.preset,
            **asdict(settings),
            "timesteps": list(settings.timesteps),
            "bits": list(settings.bits),
        },
        "data": {"name": test.name, "split": "test", "images": len(test)},
        "seconds": round(time.perf_counter() - begin, 1),
        "points": points,
    }


def evaluate(checkpoint: Path, test: ImageSet, captions: np.ndarray, work: Path) -> dict[str, Any]:
    """Lower the quantised ``checkpoint`` in ``work`` and return its point: integer accuracy, spikes, energies.

    Energies are nJ per image: the papers' theory, and the memory-aware model for two placements and two
    packings, arithmetic at its operands' widths as in the report's table.
    """
    net, _ = load_qat(checkpoint)
    stem = checkpoint.name.removesuffix(".qat.safetensors")
    qonnx, integers = work / f"{stem}.qonnx.onnx", work / f"{stem}.int.onnx"
    write(to_qonnx(net, {"dataset": test.name}), qonnx)
    for _ in lower_file(qonnx, integers, test.images[:_CHECK]):
        pass
    lowered = network.load(integers.with_suffix(".safetensors"))
    runner = FastRunner(lowered)
    found = accuracy(runner.run(test.images), captions, test.labels)
    counts, read = measure(runner, test.images), read_network(lowered)
    papers = theory.estimate(read, counts)
    packings: tuple[memory_aware.Packing, ...] = ("datum", "packed")
    placements: tuple[memory_aware.Placement, ...] = ("time_serial", "time_parallel")

    def with_memory(placement: memory_aware.Placement, packing: memory_aware.Packing) -> float:
        return memory_aware.estimate(lowered, counts, placement, packing, arithmetic="width").energy_pj / 1000

    return {
        "timesteps": net.config.timesteps,
        "bits": net.bits.hidden,
        "accuracy": round(found, 2),
        "images": len(test),
        "firing_rate": round(float(papers.mean_rate), 6),
        "sops": round(float(papers.sops)),
        "additions": round(sum(counts.additions.values()) / len(test)),
        "theory_nj": round(float(papers.energy_pj) / 1000, 3),
        "memory_aware_nj": {
            packing: {placement: round(with_memory(placement, packing), 3) for placement in placements}
            for packing in packings
        },
        "checkpoint_sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
    }


def read_sweep(path: Path) -> dict[str, Any]:
    """Return sweep.json's content; raise SweepError if the file is none of this version."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        kind = (content["format"], content["schema"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SweepError(f"{path}: not a sweep ({error}); make it with `spikeclip sweep`") from error
    if kind != (FORMAT, SCHEMA):
        raise SweepError(f"{path}: expected {FORMAT} schema {SCHEMA}, got {kind[0]} schema {kind[1]}; make it again")
    return content


def _trained(
    model: ModelConfig,
    settings: Settings,
    timesteps: int,
    bits: int,
    data: ImageSet,
    teacher: Teacher,
    captions: torch.Tensor,
    folder: Path,
    meta: dict[str, Any] | None,
) -> Path:
    """Return the quantised checkpoint of a point, training it and the float network if they are not there."""
    start, out = float_path(folder, timesteps), qat_path(folder, timesteps, bits)
    try:
        config = replace(model, timesteps=timesteps)
        widths = BitWidths(hidden=bits)
    except ConfigError as error:
        raise SweepError(f"sweep: {error}") from error
    run = {"dataset": data.name, "seed": settings.seed, "epochs": settings.float_epochs}
    if not start.is_file():
        short = TrainConfig(epochs=settings.float_epochs, lr=settings.lr, seed=settings.seed)
        train_student(data, teacher, captions, config, short, start, settings.align_share, meta=meta)
    student, about = load_student(start)
    _require(start, {**run, "config": config.to_json()}, about)
    if not out.is_file():
        short = TrainConfig(epochs=settings.qat_epochs, lr=settings.qat_lr, seed=settings.seed, bf16=False)
        train_qat(student, data, teacher, captions, widths, short, out, about)
    _, about = load_qat(out)
    expected = {**run, "bits": widths.to_json(), "qat_epochs": settings.qat_epochs, "qat_seed": settings.seed}
    _require(out, expected, about)
    return out


def _require(path: Path, expected: dict[str, Any], about: dict[str, Any]) -> None:
    for key, value in expected.items():
        if about.get(key) != value:
            raise SweepError(
                f"{path}: trained with {key} {about.get(key)!r}, this sweep has {value!r}; "
                "give another folder, or delete the file"
            )
