"""What an ANN baseline takes of the board at SpikeCLIP's frame rate, and what switches in it: FINN's own operators."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from spikeclip_fpga.energy.fabric.coefficients import FabricCoefficients
from spikeclip_fpga.energy.fabric.estimate import estimate
from spikeclip_fpga.energy.twins import TwinKind
from spikeclip_fpga.hw.baseline import BaselineError, Layer, activity, cost
from spikeclip_fpga.model.data import DataError, ImageSet, load
from spikeclip_fpga.quantize.baselines.integer_layers import integer_layers
from spikeclip_fpga.quantize.baselines.scratchclip_rounding import Rounding

from .schema import write
from .subject import Subject

# Images that fix the ranges of a network that is rounded after training; test images that are simulated.
_RANGES, _FRAMES = 64, 2


@dataclass(frozen=True)
class Baseline:
    """A network to compare with. suffix: of its checkpoint behind the preset. command: makes it.

    arithmetic: what its accuracy is computed in. hardware: what its resources are of.
    fabric_of: what its activity-based estimate is of, None for the network itself. rounding: what hardware makes of a
    float network, whose accuracy then stands beside the float one; None if its accuracy is that of its hardware.
    """

    kind: TwinKind
    name: str
    suffix: str
    command: str
    arithmetic: str
    hardware: str
    fabric_of: str | None = None
    rounding: str | None = None


BASELINES = (
    Baseline(
        "scratchclip",
        "ScratchCLIP",
        "-scratchclip.float.safetensors",
        "spikeclip train --network scratchclip",
        "float32 ANN, softmax attention",
        "the network rounded to 8 bits after training, whose accuracy is the second one above",
        "the network rounded to 8 bits",
        "rounded to 8 bits",
    ),
    Baseline(
        "qnn3",
        "3-bit ANN",
        "-qnn3.qat.safetensors",
        "spikeclip quantize artifacts/<preset>-ann.float.safetensors",
        "ANN of 3-bit activations, weights as SpikeCLIP's",
        "FINN's MVAU on the trained integers",
    ),
)


def calibration(subject: Subject) -> ImageSet:
    """Return the images that fix the ranges of a rounded network, evenly spaced over the training split.

    Without a training split the first images of those evaluated, and a line that says so; the set's name and split
    are of the images returned.
    """
    try:
        found = load(subject.data_name, "train", subject.data_root)
    except DataError as error:
        subject.say(f"ranges of rounding: from the images evaluated, for want of a training split ({error})")
        return subject.data.take(_RANGES)
    # Some sets are in the order of their classes. The copy lets go of the others.
    chosen = np.linspace(0, len(found) - 1, min(_RANGES, len(found))).astype(int)
    return ImageSet(found.name, found.split, found.images[chosen].copy(), found.labels[chosen], found.class_names)


def price(
    subject: Subject,
    one: Baseline,
    net: nn.Module,
    path: Path,
    hardware: Mapping[str, Any],
    reference: Mapping[str, Any] | None,
    work: Path,
    prices: FabricCoefficients | None = None,
    rounding: Rounding | None = None,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the hardware entry of a baseline, and its fabric estimate if SpikeCLIP's activity is the ``reference``.

    hardware: SpikeCLIP's section, whose board and rate are asked for. work: folder that keeps <kind>.activity.json.
    prices: of switching, None for the part's own. rounding: of a network that is rounded after training.
    A network that no folding brings to that rate on that board has an entry that says so.
    """
    board, fps = str(hardware["board"]), float(hardware["frames_per_second"])
    subject.say(f"{one.name}: folded for {fps:,.0f} frames/s on {board}")
    layers = [Layer.of(layer) for layer in integer_layers(net, subject.data.images[:_FRAMES], rounding)]
    try:
        # A hair below the rate, which is clk / cycles rounded to a float.
        found = cost(layers, board, fps * (1 - 1e-9), hardware["clk_mhz"])
    except BaselineError as error:
        return {"missing": str(error), "notes": []}, None
    content = found.to_json()
    entry = {
        **{"missing": None, "what": one.hardware, "timing_kind": "estimate", "board": content["board"]},
        **{name: content[name] for name in ("clk_mhz", "frames_per_second", "notes")},
        **{name: content["resources"][name] for name in ("total", "percent")},
    }
    if reference is None:
        return entry, None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    stimulus = {"data": subject.data.name, "split": subject.data.split, "images": list(range(_FRAMES))}
    about = [content, digest, stimulus, reference, _digest(layers)]
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    kept = work / f"{one.kind}.activity.json"
    counted = _kept(kept, key)
    if counted is None:
        subject.say(f"{one.name}: activity, node by node in Verilator")
        counted = activity(
            *(layers, found),
            network=path.name,
            network_sha256=digest,
            stimulus=stimulus,
            frames=_FRAMES,
            reference=reference,
        )
        write(kept, json.dumps({**counted, "key": key}, indent=1) + "\n")
    return entry, estimate(counted, prices).to_json()


def _digest(layers: Sequence[Layer]) -> str:
    """Return a digest of the integers that are simulated; the checkpoint's does not tell how it was rounded."""
    found = hashlib.sha256()
    for layer in layers:
        for values in (layer.inputs, layer.weight, layer.operand, layer.thresholds):
            if values is not None:
                found.update(f"{layer.name} {values.dtype} {values.shape}".encode() + values.tobytes())
    return found.hexdigest()


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    """Return an earlier result of the same inputs, or nothing."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if content.get("key") == key else None
