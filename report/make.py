"""Make what a report lacks: the build and its activity, unless told to do without."""

from __future__ import annotations

import json
from pathlib import Path

from spikeclip_fpga.hw import boards, build
from spikeclip_fpga.hw.activity.measure import Stimulus, key, measure_activity, write
from spikeclip_fpga.hw.job import Job
from spikeclip_fpga.ladder.hardware import BOARD, FPS

from .schema import ReportError
from .subject import Say, Subject

# Test images a build is proven with and activity is counted on.
IMAGES = 4
SHIPPED = Path("bitstreams")


def build_json(subject: Subject, folder: Path) -> Path:
    """Return build.json of the build in ``folder``; build there if there is none, or one of another network."""
    path = folder / "report" / "build.json"
    if _network_of(path) == subject.digest:
        subject.say(f"build: {path}")
        return path
    graph = subject.file("int.onnx", "spikeclip lower")
    subject.say(f"build: {folder}, a minute")
    board = boards.find(BOARD)
    job = Job(graph, board, folder, board.clk_mhz, FPS, 0.75, subject.data.images[:IMAGES], _indented(subject))
    build.run(job)
    return path


def shipped_build(subject: Subject) -> Path:
    """Return build.json of the bundle that is shipped; raise ReportError if there is none of this network."""
    folder = SHIPPED / f"{subject.preset}-w{subject.bits['hidden']}-{BOARD}"
    path = folder / "build.json"
    if _network_of(path) != subject.digest:
        raise ReportError(f"{path}: expected a build of this network; leave --no-build out, or give --build FOLDER")
    return path


def activity_json(subject: Subject, folder: Path) -> Path:
    """Return activity.json of the build in ``folder``; count it if there is none of these inputs."""
    path, images = folder / "report" / "activity.json", subject.data.images[:IMAGES]
    if _key_of(path) == key(folder, images, None):
        subject.say(f"activity: {path}")
        return path
    subject.say("activity: counted in simulation, two minutes")
    stimulus = Stimulus(subject.data.name, subject.data.split, tuple(range(len(images))))
    content = measure_activity(folder, images, stimulus, say=_indented(subject))
    return write({**content, "key": key(folder, images, None)}, path)


def _indented(subject: Subject) -> Say:
    return lambda line: subject.say(f"  {line}")


def _network_of(path: Path) -> str | None:
    return _text(path, "network_sha256")


def _key_of(path: Path) -> str | None:
    return _text(path, "key")


def _text(path: Path, name: str) -> str | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content[name])
    except (OSError, ValueError, KeyError, TypeError):
        return None
