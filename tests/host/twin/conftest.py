"""A bundle of the shipped network for the twin's tests. Most need pynq, so they run in the board environment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.host.accelerator import FastAccelerator
from spikeclip_fpga.host.bundle import Bundle, Overlay, pack_bundle
from spikeclip_fpga.host.twin import Twin
from spikeclip_fpga.hw.shell import hwh

ROOT = Path(__file__).parents[3]
NETWORK, LABELS = ROOT / "artifacts/tiny.int.safetensors", ROOT / "artifacts/labels.npz"


def make_bundle(folder: Path, board: str = "pynq-z2", part: str = "xc7z020clg400-1", clk_mhz: float = 100.0) -> Bundle:
    """Return a packed bundle of the shipped network, its build report made up (its timing is no measurement)."""
    build = folder / "build"
    (build / "report").mkdir(parents=True)
    report = {
        "network": NETWORK.name,
        "network_sha256": hashlib.sha256(NETWORK.read_bytes()).hexdigest(),
        **{"board": board, "part": part, "clk_mhz": clk_mhz},
        "rtl": {"cycles_per_frame": 31_000, "latency_cycles": 95_000, "images": 2},
        "mismatches": {"golden-rtl": 0},
    }
    (build / "report/build.json").write_text(json.dumps(report))
    (build / "report/build.txt").write_text("made up for a test\n")
    handoff = folder / "accelerator.hwh"
    handoff.write_text(hwh.write(hwh.Design(board, part, clk_mhz)))
    return pack_bundle(
        build,
        folder / f"tiny-{board}",
        network_file=NETWORK,
        labels_file=LABELS,
        git_commit="0" * 40,
        created=date(2025, 1, 1),
        tool_versions={},
        overlay=Overlay(hwh=handoff),
    )


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def fast(bundle: Bundle) -> FastAccelerator:
    return FastAccelerator(bundle.network)


@pytest.fixture
def twin(bundle: Bundle, fast: FastAccelerator) -> Iterator[Twin]:
    with Twin.for_bundle(bundle, fast) as running:
        yield running


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """The first 256 test images of Fashion-MNIST as (256, 32, 32, 3) uint8."""
    from spikeclip_fpga.model.data import fashion_mnist

    cache = Path.home() / ".cache/spikeclip-fpga"
    try:
        return fashion_mnist.load("test", None, cache).images[:256]
    except fashion_mnist.DataError as error:
        pytest.skip(str(error))
