"""``spikeclip measure``: what it writes and prints, with a sensor of known power, without one, and its refusals."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spikeclip_fpga.cli import measure
from spikeclip_fpga.cli.main import main, parser
from spikeclip_fpga.host.accelerator import Accelerator, FastAccelerator
from spikeclip_fpga.host.bundle import Bundle
from spikeclip_fpga.host.classify import cosine_scores
from spikeclip_fpga.host.power import SOURCES, PowerSource, read_report
from spikeclip_fpga.model.data import load

from ..bundles import make_build, pack

Captured = pytest.CaptureFixture[str]
IMAGES = 12
KEYS = ("format", "schema", "created", "backend", "bundle", "data", "accuracy", "latency", "throughput", "simulated")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    return pack(make_build(folder / "build"), folder / "tiny")


@pytest.fixture(scope="module")
def data(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images in two of the bundle's classes."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name in sorted(bundle.labels.names)[:2]:
        (root / name.replace(" ", "_")).mkdir()
        for k in range(IMAGES // 2):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name.replace(" ", "_") / f"{k}.png")
    return root


@pytest.fixture
def command(bundle: Bundle, data: Path) -> list[str]:
    common = ["measure", "--bundle", str(bundle.folder), "--data", "folder", "--data-root", str(data)]
    return [*common, "--images", str(IMAGES), "--latency-runs", "3", "--backend", "fast"]


def correct(bundle: Bundle, data: Path) -> int:
    """Return how many images golden gets right."""
    found = load("folder", "test", data)
    best = cosine_scores(bundle.network.run(found.images), bundle.labels).argmax(axis=1)
    return sum(bundle.labels.names[k] == found.class_names[c] for k, c in zip(best, found.labels, strict=True))


def test_without_a_sensor_energy_is_not_measured(
    command: list[str], bundle: Bundle, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "measure.json"
    assert main([*command, "--batch", "5", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    content = json.loads(out.read_text())
    assert tuple(content) == (*KEYS, "energy", "machine")
    assert content["energy"]["state"] == "not measured" and content["energy"]["report"] is None
    assert "energy per image" in said and "not measured: no source" in said
    assert content["backend"]["emulated"] is True and "NOT HARDWARE" in said and "no accelerator" in said
    assert (content["accuracy"]["correct"], content["accuracy"]["images"]) == (correct(bundle, data), IMAGES)
    assert (content["throughput"]["batch"], content["throughput"]["batches"]) == (5, 2)
    assert content["latency"]["runs"] == 3 and content["latency"]["p99_ms"] is None and "too few runs" in said
    assert content["simulated"] == {"latency_ms": 0.9, "images_per_second": 2500, "source": "Verilator"}
    assert content["bundle"]["network_sha256"] == bundle.network_digest.hex()
    taken = load("folder", "test", data).take(IMAGES)
    assert content["data"]["sha256"] == hashlib.sha256(taken.images.tobytes()).hexdigest()
    assert main([*command, "--json"]) == 0
    assert tuple(json.loads(capsys.readouterr().out)) == (*KEYS, "energy", "machine")


def test_joules_of_a_known_board(
    command: list[str], bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """1.6 W idle, 2.1 W for 2 ms an image: 4.2 mJ in all, 1 mJ of it for the work."""

    def source(*, boundary: str) -> PowerSource:
        found: PowerSource = bench.source(noise_w=0.01)
        found.boundary = boundary
        return found

    class OnTheBench:
        name = "fast"

        def __init__(self, inner: Accelerator) -> None:
            self._inner, self.embed_dim = inner, inner.embed_dim

        def embed(self, images: np.ndarray) -> np.ndarray:
            bench.board.run_batch(len(images))
            if len(images) == IMAGES and bench.clock.now() > 100:
                return np.zeros((IMAGES, self.embed_dim), np.int64)  # the windows' results are not looked at
            return self._inner.embed(images)

    events: list[tuple[str, float]] = []

    @contextlib.contextmanager
    def opened(_: Any, bundle: Bundle) -> Iterator[Accelerator]:
        events.append(("opened", bench.clock.now()))
        yield OnTheBench(FastAccelerator(bundle.network))
        events.append(("released", bench.clock.now()))

    monkeypatch.setitem(SOURCES, "bench", source)
    monkeypatch.setattr(measure, "opened", opened)
    out, energy = tmp_path / "measure.json", tmp_path / "energy.json"
    args = parser().parse_args(
        [*command, "--source", "bench:boundary=5 V input", "--out", str(out), "--energy-out", str(energy)]
    )
    assert measure.run(args, bench.clock) == 0
    assert events[0][0] == "opened" and events[0][1] >= 5 * 10  # the board's idle power came first
    found = json.loads(out.read_text())["energy"]
    report = read_report(energy)
    assert found["state"] == "measured" and found["report"] == json.loads(energy.read_text())
    assert report.energy_total_mj.value == pytest.approx(4.2, rel=0.01)
    assert report.energy_dynamic_mj.value == pytest.approx(1.0, rel=0.02)
    assert report.board_idle_w is not None and report.board_idle_w.value == pytest.approx(1.6, rel=0.01)
    said = capsys.readouterr().out
    assert "5 V input" in said and "of no accelerator" in said and "not measured: no source" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--images", "0"], "--images: expected 1 or more, got 0"),
        (["--images", "1000"], f"has {IMAGES} test images"),
        (["--batch", "13"], "more than --images 12"),
        (["--backend", "rtl"], "--build FOLDER"),
        (["--behind", "rtl"], "only backend twin"),
        (["--build", "somewhere"], "--backend rtl"),
        (["--backend", "rtl", "--build", "somewhere"], "somewhere: no finished build"),
        (["--backend", "pynq"], "no bitstream"),
        (["--backend", "quantum"], "expected one of"),
        (["--board", "kv260"], "kv260"),
        (["--out", "nowhere/measure.json"], "nowhere"),
        (["--energy-out", "energy.json"], "--source"),
        (["--source", "thermometer:boundary=x"], "thermometer"),
        (["--source", "csv:path=none.csv,boundary=x"], "none.csv"),
        (["--source", "ina226:bus=/dev/none,boundary=x,shunt_ohm=0.1,max_current_a=0.8"], "/dev/none"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(
    command: list[str], options: list[str], words: str, tmp_path: Path, monkeypatch: Any, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, *options]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1].startswith("spikeclip: ") and words in said.err and not said.out
    assert "Traceback" not in said.err and not list(tmp_path.iterdir())


def test_the_rtl_of_another_network_is_refused(command: list[str], tmp_path: Path, capsys: Captured) -> None:
    make_build(tmp_path / "build", network_sha256="0" * 64)
    assert main([*command, "--backend", "rtl", "--build", str(tmp_path / "build")]) == 1
    assert "made from network 000000000000" in capsys.readouterr().err


def test_data_of_other_classes_are_refused(command: list[str], tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "zeppelin").mkdir()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "zeppelin/1.png")
    assert main([*command, "--data-root", str(tmp_path), "--images", "1"]) == 1
    assert "no label 'zeppelin'" in capsys.readouterr().err


def test_the_sources_are_listed(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["measure", "--list-sources"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{said}" for name in SOURCES) and "shunt_ohm" in said and "boundary*" in said
