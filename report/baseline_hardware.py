"""What an ANN baseline takes of the board at SpikeCLIP's frame rate, and what switches in it: FINN's own operators."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from spikeclip_fpga.energy.fabric.coefficients import FabricCoefficients
from spikeclip_fpga.energy.fabric.estimate import estimate
from spikeclip_fpga.energy.twins import TwinKind
from spikeclip_fpga.hw.baseline import BaselineError, Layer, activity, cost
from spikeclip_fpga.quantize.baselines.integer_layers import integer_layers

from .schema import write
from .subject import Subject

# Images that fix the ranges of a network that is rounded after training; the first of them are simulated.
_RANGES, _FRAMES = 64, 2


@dataclass(frozen=True)
class Baseline:
    """A network to compare with. suffix: of its checkpoint behind the preset. command: makes it.

    arithmetic: what its accuracy is computed in. hardware: what its resources are of.
    fabric_of: what its activity-based estimate is of, None for the network itself.
    """

    kind: TwinKind
    name: str
    suffix: str
    command: str
    arithmetic: str
    hardware: str
    fabric_of: str | None = None


BASELINES = (
    Baseline(
        "scratchclip",
        "ScratchCLIP",
        "-scratchclip.float.safetensors",
        "spikeclip train --network scratchclip",
        "float32 ANN, softmax attention",
        "rounded to 8 bits after training, for this cost alone; the accuracy above is float32's",
        "the network rounded to 8 bits",
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


def price(
    subject: Subject,
    one: Baseline,
    net: nn.Module,
    path: Path,
    hardware: Mapping[str, Any],
    reference: Mapping[str, Any] | None,
    work: Path,
    prices: FabricCoefficients | None = None,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the hardware entry of a baseline, and its fabric estimate if SpikeCLIP's activity is the ``reference``.

    hardware: SpikeCLIP's section, whose board and rate are asked for. work: folder that keeps <kind>.activity.json.
    prices: of switching, None for the part's own.
    A network that no folding brings to that rate on that board has an entry that says so.
    """
    board, fps = str(hardware["board"]), float(hardware["frames_per_second"])
    subject.say(f"{one.name}: folded for {fps:,.0f} frames/s on {board}")
    layers = [Layer.of(layer) for layer in integer_layers(net, subject.data.images[:_RANGES])]
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
    key = hashlib.sha256(json.dumps([content, digest, stimulus, reference], sort_keys=True).encode()).hexdigest()
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


def _kept(path: Path, key: str) -> dict[str, Any] | None:
    """Return an earlier result of the same inputs, or nothing."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if content.get("key") == key else None
