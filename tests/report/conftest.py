"""A report of the shipped network on pictures made up here, and an activity written by hand."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.model.data import ImageSet
from spikeclip_fpga.quantize.labelset import read_labels
from spikeclip_fpga.report.collect import Inputs, collect, dump
from spikeclip_fpga.report.subject import Subject

from ..energy.fabric_cases import activity, node
from ..runner.networks import pictures

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts"
SHIPPED = ROOT / "bitstreams" / "tiny-w4-pynq-z2" / "build.json"
IMAGES = 12


def make_subject(artifacts: Path = ARTIFACTS, **changed: Any) -> Subject:
    """Return the shipped network on IMAGES pictures of its ten classes."""
    options = {"few": 3, "fewest": 1, "raster": (0, 5), **changed}
    subject = Subject(artifacts, "tiny", IMAGES, None, lambda line: None, **options)
    names = read_labels(ARTIFACTS / "labels.npz").names
    drawn = pictures(np.random.default_rng(0), IMAGES, 32)
    labels = np.arange(IMAGES, dtype=np.int64) % len(names)
    # Where the loader would put Fashion-MNIST.
    subject.__dict__["data"] = ImageSet("fashion-mnist", "test", drawn, labels, names)
    return subject


@pytest.fixture(scope="session")
def subject() -> Subject:
    return make_subject()


@pytest.fixture(scope="session")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sweep.json written by hand."""
    points = [
        {
            **{"timesteps": t, "bits": bits, "accuracy": 80.0 + t + bits / 8, "images": 10_000, "firing_rate": 0.2},
            **{"sops": 1_700_000 * t, "additions": 1_600_000 * t, "theory_nj": 3000.0 + 1600 * t},
            "memory_aware_nj": {
                packing: {"time_serial": 30_000.0 * t / share, "time_parallel": 90_000.0 / share + 100 * t}
                for packing, share in (("datum", 1), ("packed", 9))
            },
            **{"epochs": {"float": 3, "qat": 1}, "checkpoint_sha256": "0" * 64},
        }
        for t in (1, 2, 4)
        for bits in (2, 4)
    ]
    content = {
        **{"format": "spikeclip-fpga/sweep", "schema": 2, "note": "short trainings, by hand", "settings": {}},
        **{"data": {"name": "fashion-mnist", "split": "test", "images": 10_000}, "seconds": 1.0, "points": points},
    }
    path = tmp_path_factory.mktemp("sweep") / "sweep.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="session")
def activity_file(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an activity.json of the shipped network, its counts made up."""
    counted = activity(
        node("one"),
        node("two", layer=None, toggles_per_frame=90_000.0, register_toggles_per_frame=10_000.0),
        subject={"network_sha256": subject.digest},
    )
    path = tmp_path_factory.mktemp("activity") / "activity.json"
    path.write_text(json.dumps(counted))
    return path


@pytest.fixture(scope="session")
def collected(
    subject: Subject, activity_file: Path, sweep_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Return a report without baselines, as report.json gives it back; not to be changed."""
    inputs = Inputs(SHIPPED, tmp_path_factory.mktemp("work"), activity=activity_file, sweep=sweep_file)
    content: dict[str, Any] = json.loads(dump(collect(subject, lambda: inputs, ["spikeclip", "report"], False)))
    return content


@pytest.fixture
def content(collected: dict[str, Any]) -> dict[str, Any]:
    """Return a copy to change, with a second network that is the first with other numbers."""
    mine = copy.deepcopy(collected)
    other = copy.deepcopy(mine["networks"][0])
    other |= {"kind": "qnn3", "name": "another network", "what": "by hand", "sops": None, "sops_counted": None}
    for energy in ("theory", "theory_width", "memory_aware"):
        other["energies"][energy]["value_nj"] *= 3
    mine["networks"].append(other)
    return mine
