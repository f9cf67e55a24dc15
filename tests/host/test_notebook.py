"""The notebook runs from top to bottom, and reaches a board the way PYNQ's own notebooks do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.host.accelerator import GoldenAccelerator
from spikeclip_fpga.host.bundle import Bundle, Overlay
from spikeclip_fpga.host.classify import classify
from spikeclip_fpga.host.images import load_images
from spikeclip_fpga.host.power import read_report
from spikeclip_fpga.hw.shell import hwh

from .bundles import ROOT, make_build, pack

NOTEBOOKS = ROOT / "notebooks"
NOTEBOOK = NOTEBOOKS / "spikeclip.ipynb"
PYNQ = find_spec("pynq") is not None


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    handoff = folder / "accelerator.hwh"
    handoff.write_text(hwh.write(hwh.Design("pynq-z2", "xc7z020clg400-1", 100.0)))
    return pack(make_build(folder / "build"), folder / "tiny-w4-pynq-z2", overlay=Overlay(hwh=handoff))


@pytest.fixture
def delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Bundle) -> Path:
    """An empty folder to work in, with the images beside it as after delivery."""
    (tmp_path / "images").symlink_to(NOTEBOOKS / "images", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPIKECLIP_BUNDLE", str(bundle.folder))
    monkeypatch.delenv("SPIKECLIP_POWER", raising=False)
    return tmp_path


def cells() -> list[dict[str, Any]]:
    return list(json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"])


def run_all(**settings: Any) -> None:
    """Run every code cell in order; ``settings`` replace those of the settings cell."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells():
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
        if cell["id"] == "settings":
            assert set(settings) <= set(names)
            names |= settings


def test_it_is_a_clean_notebook() -> None:
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in content["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize(
    "backend", ["golden", pytest.param("twin", marks=pytest.mark.skipif(not PYNQ, reason="pynq is not installed"))]
)
def test_classify_and_time(
    delivered: Path, bundle: Bundle, backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPIKECLIP_BACKEND", backend)
    run_all(BATCH=12)
    said = capsys.readouterr().out
    images, names = load_images(delivered / "images")
    assert len(images) == 10
    for name, matches in zip(names, classify(GoldenAccelerator(bundle.network), images, bundle.labels, 3), strict=True):
        line = f"{Path(name).stem:<12} " + "  ".join(f"{m.label} {m.score:.3f}" for m in matches)
        assert line in said.splitlines()
    assert bundle.summary() in said
    assert f"{backend}, {'emulation' if backend == 'twin' else 'software'}" in said
    assert "energy: not measured" in said
    assert not (delivered / "energy.json").exists()


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[str]:
    """A hwmon file that something rewrites all the time, as a driver would."""
    chip = tmp_path / "hwmon/hwmon0"
    chip.mkdir(parents=True)
    (chip / "name").write_text("ina226\n")
    stop, noise = threading.Event(), np.random.default_rng(0)

    def write() -> None:
        while not stop.wait(0.002):
            partial = chip / "next"
            partial.write_text(f"{2_000_000 + int(noise.normal(0, 20_000))}\n")
            partial.replace(chip / "power1_input")

    (chip / "power1_input").write_text("2000000\n")
    thread = threading.Thread(target=write)
    thread.start()
    yield f"hwmon:chip=ina226,root={tmp_path / 'hwmon'},rate_hz=100,boundary=5 V input of the board"
    stop.set()
    thread.join()


def test_energy_is_measured_where_there_is_a_sensor(
    delivered: Path, sensor: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPIKECLIP_BACKEND", "golden")
    monkeypatch.setenv("SPIKECLIP_POWER", sensor)
    run_all(BATCH=2, WINDOW_S=0.2)
    report = read_report(delivered / "energy.json")
    assert report.active_w.value == pytest.approx(2.0, rel=0.05)
    assert report.sensor.boundary == "5 V input of the board" and report.images >= 10
    assert report.table() in capsys.readouterr().out


@pytest.mark.skipif(not PYNQ, reason="pynq is not installed here; runs in the board environment")
def test_pynq_delivers_it(tmp_path: Path) -> None:
    """The unmodified client, told of this package by the entry point that installing it writes."""
    pytest.importorskip("pkg_resources", reason="pynq's own client needs setuptools with pkg_resources")
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pynq.notebooks"]
    info = tmp_path / "site/spikeclip_fpga-0.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spikeclip-fpga\nVersion: 0.0.0\n")
    lines = [f"{name} = {module}" for name, module in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pynq.notebooks]", *lines, ""]))
    path = os.pathsep.join([str(info.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-W", "ignore", "-c", "from pynq._cli.get_notebooks import main; main()"]
    done = subprocess.run(
        [*command, "spikeclip", "--ignore-overlays", "--path", str(tmp_path / "jupyter")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    got = tmp_path / "jupyter/spikeclip"
    assert (got / NOTEBOOK.name).read_bytes() == NOTEBOOK.read_bytes()
    assert {p.name for p in (got / "images").iterdir()} == {p.name for p in (NOTEBOOKS / "images").iterdir()}
