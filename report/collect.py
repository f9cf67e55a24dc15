"""Gather all there is to report on one network into one JSON object."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeclip_fpga.energy import report as energy_report
from spikeclip_fpga.energy.fabric.activity import load, read
from spikeclip_fpga.energy.fabric.coefficients import FabricCoefficients
from spikeclip_fpga.energy.fabric.estimate import estimate
from spikeclip_fpga.energy.fabric.parts import prices
from spikeclip_fpga.energy.measured import NotMeasured, read_measurement
from spikeclip_fpga.energy.subject import subject_of

from . import accuracy, hardware, networks, provenance, spikes
from .baseline_hardware import BASELINES
from .schema import FORMAT, KINDS, SCHEMA, ReportError, check
from .subject import Subject
from .sweep import read_sweep

# SpikeCLIP's files behind the preset's name -> the command that makes each.
OWN_FILES = {
    "int.safetensors": "spikeclip lower",
    "float.safetensors": "spikeclip train",
    "qat.safetensors": "spikeclip quantize",
    "qonnx.onnx": "spikeclip quantize",
}


@dataclass(frozen=True)
class Inputs:
    """Files that other verbs wrote. build: a build.json. activity: None, or an activity.json of that build.

    measurement, sweep, prices: None, or a file; prices of switching are as energy.fabric saves them. work: folder that
    keeps what is slow to make again. notes: for the page.
    """

    build: Path
    work: Path
    activity: Path | None = None
    measurement: Path | None = None
    sweep: Path | None = None
    prices: Path | None = None
    notes: tuple[str, ...] = ()


def collect(subject: Subject, make: Callable[[], Inputs], command: list[str], baselines: bool = True) -> dict[str, Any]:
    """Return the report; raises the errors of what it reads, in one line each.

    make: returns the files to read, after making those that are missing. baselines: whether to compare with the ANNs.
    """
    begin, say = time.perf_counter(), subject.say
    # Refused now, not after minutes.
    for name, made_by in OWN_FILES.items():
        subject.file(name, made_by)
    for one in BASELINES if baselines else ():
        networks.checkpoint(subject, one)
    inputs = make()
    built = hardware.read_build(inputs.build, subject)
    say(f"integer: fast runner, {len(subject.data)} images, counted")
    counted = spikes.count(subject)
    measured = _measured(subject, inputs, built)
    activity = _activity(subject, inputs.activity)
    priced = _prices(inputs.prices, activity)
    fabric = {} if activity is None else {"spikeclip": estimate(activity, priced).to_json()}
    rows = [networks.spikeclip(subject, counted, built, fabric.get("spikeclip"), measured)]
    if baselines:
        others, fabrics = networks.baselines(subject, built, activity, inputs.work, priced)
        rows, fabric = rows + others, fabric | fabrics
    levels = accuracy.ladder(subject, counted.embeddings, built)
    say("energy: theory and estimates")
    estimates = energy_report.report(subject.network, counted.classes, subject.data.name)
    firing = spikes.firing(subject, counted)
    return check(
        {
            "format": FORMAT,
            "schema": SCHEMA,
            "kinds": KINDS,
            "head": _head(subject),
            "networks": rows,
            "ladder": levels,
            "spikes": firing,
            "rasters": spikes.rasters(subject, counted.embeddings),
            "energy": {"estimates": estimates, "fabric": fabric, "measured": measured.to_json()},
            "hardware": built,
            "sweep": read_sweep(inputs.sweep) if inputs.sweep is not None else None,
            "provenance": {
                **provenance.provenance(_files(subject, inputs, baselines), command, begin),
                "notes": list(inputs.notes),
                "on_board": not isinstance(measured, NotMeasured),
            },
        },
        "report",
    )


def dump(content: dict[str, Any]) -> str:
    """Return the text of report.json; a NaN is an error."""
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _head(subject: Subject) -> dict[str, Any]:
    data = subject.data
    return {
        **{"preset": subject.preset, "data_set": data.name, "split": data.split, "images": len(data)},
        **{"classes": list(data.class_names), "timesteps": subject.timesteps, "bits": subject.bits},
        **{"config": subject.config, "text_tower": subject.labels.tower, "network_sha256": subject.digest},
    }


def _activity(subject: Subject, path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    content = load(path)
    given = content.get("subject", {}).get("network_sha256") if isinstance(content.get("subject"), dict) else None
    if given != subject.digest:
        raise ReportError(f"{path}: of network {str(given)[:12]}, expected {subject.digest[:12]}; count it again")
    return content


def _prices(path: Path | None, activity: dict[str, Any] | None) -> FabricCoefficients | None:
    """Return the prices in ``path`` for the activity's part; None for this project's own."""
    if path is None or activity is None:
        return None
    return prices(read(activity).part).overridden(path.read_text(encoding="utf-8"))


def _measured(subject: Subject, inputs: Inputs, built: dict[str, Any]) -> Any:
    about = subject_of(
        subject.file("int.safetensors", "spikeclip lower"),
        *(subject.network, subject.data.images, subject.data.name, subject.data.split),
        board=built["board"],
        clk_mhz=built["clk_mhz"],
    )
    return read_measurement(inputs.measurement, about)


def _files(subject: Subject, inputs: Inputs, baselines: bool) -> list[Path]:
    given = (inputs.build, inputs.activity, inputs.measurement, inputs.sweep, inputs.prices)
    found = [subject.file(name, made_by) for name, made_by in OWN_FILES.items()] + [subject.artifacts / "labels.npz"]
    found += [networks.checkpoint(subject, one) for one in BASELINES if baselines]
    found += [path for path in given if path is not None and path.is_file()]
    return found
