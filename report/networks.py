"""The networks side by side: SpikeCLIP, its ANN twin ScratchCLIP, and a quantised ANN of the same topology."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from spikeclip_fpga.energy import comparison
from spikeclip_fpga.energy.comparison import Row
from spikeclip_fpga.energy.counters import total
from spikeclip_fpga.energy.fabric.coefficients import FabricCoefficients
from spikeclip_fpga.energy.layers import ATTENTION, read_network
from spikeclip_fpga.energy.measured import Measured, NotMeasured
from spikeclip_fpga.energy.theory import estimate
from spikeclip_fpga.energy.twins import twin_of
from spikeclip_fpga.energy.work import Model
from spikeclip_fpga.model.baselines.registry import kind_of
from spikeclip_fpga.model.baselines.scratchclip import ScratchCLIP
from spikeclip_fpga.model.train import embed_images
from spikeclip_fpga.quantize.baselines.load import load_any
from spikeclip_fpga.quantize.baselines.scratchclip_rounded import rounded
from spikeclip_fpga.quantize.baselines.scratchclip_rounding import Rounding, calibrate

from . import baseline_hardware
from .accuracy import score
from .baseline_hardware import BASELINES, Baseline
from .schema import ReportError
from .spikes import Counted
from .subject import Subject

COLUMNS = ("theory", "theory_width", "memory_aware", "fabric", "measured")


def spikeclip(
    subject: Subject,
    counted: Counted,
    hardware: Mapping[str, Any],
    fabric: Mapping[str, Any] | None,
    measured: Measured | NotMeasured,
) -> dict[str, Any]:
    """Return SpikeCLIP's entry; accuracy is the integer network's."""
    counts, read = total(list(counted.classes.values())), read_network(subject.network)
    found = estimate(read, counts)
    row = comparison.four(comparison.spikeclip(subject.network, counts), fabric, measured)
    model = Model(subject.network, read, counts, 1)
    weights = [(layer.weights, model.weight_bits(layer)) for layer in read.layers if layer.weights]
    return {
        "kind": "spikeclip",
        "name": "SpikeCLIP",
        "what": f"{subject.bits['hidden']}-bit weights, T = {subject.timesteps}, integer arithmetic",
        "accuracy": score(counted.embeddings, subject.labels, subject.data),
        "hardware_accuracy": None,
        "training": _training(load_any(subject.file("qat.safetensors", "spikeclip quantize"))[1]),
        **_sizes(weights),
        "macs": float(found.macs),
        "sops": float(found.sops),
        "sops_counted": sum(counts.additions.values()) / counts.images,
        "energies": _energies(row),
        "fabric_of": None,
        "hardware": {
            "missing": None,
            "what": "this build",
            "timing_kind": hardware["timing_kind"],
            "board": hardware["board"],
            "clk_mhz": hardware["clk_mhz"],
            "frames_per_second": hardware["frames_per_second"],
            "total": hardware["resources"]["total"],
            "percent": hardware["resources"]["percent"],
            "notes": [],
        },
    }


def baselines(
    subject: Subject,
    hardware: Mapping[str, Any],
    activity: Mapping[str, Any] | None,
    work: Path,
    prices: FabricCoefficients | None = None,
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the entries of all baselines, on the same images and at the same frame rate, and their fabric estimates.

    activity: SpikeCLIP's activity.json; without it no baseline's is simulated. work: folder that keeps theirs.
    prices: of switching, None for the part's own.
    Raises ReportError naming the command for a checkpoint that is not there.
    """
    found: list[dict[str, Any]] = []
    fabrics: dict[str, dict[str, Any]] = {}
    for one in BASELINES:
        entry, fabric = _baseline(subject, one, hardware, activity, work, prices)
        found.append(entry)
        if fabric is not None:
            fabrics[one.kind] = fabric
    return found, fabrics


def checkpoint(subject: Subject, one: Baseline) -> Path:
    """Return a baseline's file; raise ReportError naming the command that makes it."""
    path = subject.artifacts / f"{subject.preset}{one.suffix}"
    if not path.is_file():
        command = one.command.replace("<preset>", subject.preset)
        raise ReportError(f"{path}: no such file; make it with `{command}`, or leave baselines out: --skip-baselines")
    return path


def _baseline(
    subject: Subject,
    one: Baseline,
    hardware: Mapping[str, Any],
    activity: Mapping[str, Any] | None,
    work: Path,
    prices: FabricCoefficients | None,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    path = checkpoint(subject, one)
    subject.say(f"{one.name}: {path}, {len(subject.data)} images")
    net, meta = load_any(path)
    if kind_of(meta) != one.kind:
        raise ReportError(f"{path}: expected a {one.kind} network, got {kind_of(meta)}; make it with `{one.command}`")
    embeddings = embed_images(net, subject.data.images)
    twin = twin_of(one.kind, subject.config, subject.bits)
    hardware_accuracy, rounding = _hardware_accuracy(subject, one, net)
    used, fabric = baseline_hardware.price(subject, one, net, path, hardware, activity, work, prices, rounding)
    row = comparison.four(comparison.ann(one.kind, subject.config, subject.bits), fabric)
    entry = {
        "kind": one.kind,
        "name": one.name,
        "what": one.arithmetic,
        "accuracy": score(embeddings, subject.labels, subject.data),
        "hardware_accuracy": hardware_accuracy,
        "training": _training(meta),
        **_sizes([(layer.weights, twin.weight_bits[layer.name]) for layer in twin.layers if layer.weights]),
        "macs": float(sum(layer.flops for layer in twin.layers if layer.op not in ATTENTION)),
        "sops": None,
        "sops_counted": None,
        "energies": _energies(row),
        "fabric_of": one.fabric_of,
        "hardware": used,
    }
    return entry, fabric


def _hardware_accuracy(
    subject: Subject, one: Baseline, net: nn.Module
) -> tuple[dict[str, Any] | None, Rounding | None]:
    """Return the accuracy of what the hardware computes, and the rounding that makes it; None if ``net`` is that."""
    if one.rounding is None:
        return None, None
    assert isinstance(net, ScratchCLIP)
    images = baseline_hardware.calibration(subject)
    rounding = calibrate(net, images.images)
    subject.say(f"{one.name}: {one.rounding}, {len(subject.data)} images")
    embeddings = embed_images(rounded(net, rounding), subject.data.images)
    return {
        "what": one.rounding,
        **score(embeddings, subject.labels, subject.data),
        "ranges": {"data": images.name, "split": images.split, "images": len(images)},
    }, rounding


def _training(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return epochs in float and of quantisation-aware training (None if there was none), and the seed."""
    return {"epochs": meta.get("epochs"), "qat_epochs": meta.get("qat_epochs"), "seed": meta.get("seed")}


def _sizes(weights: list[tuple[int, int]]) -> dict[str, int]:
    return {"weights": sum(n for n, _ in weights), "weight_bits": sum(n * bits for n, bits in weights)}


def _energies(row: Row) -> dict[str, Any]:
    found = row.to_json()
    return {name: found[name] for name in (*COLUMNS, "variants", "theories")}
