"""The unmodified pynq client in one process, the twin in another, nothing shared but PYNQ_REMOTE_DEVICES."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.host.accelerator import FastAccelerator, GoldenAccelerator
from spikeclip_fpga.host.bundle import Bundle

from .conftest import make_bundle

SCRIPT = Path(__file__).with_name("classify_script.py")

pytest.importorskip("pynq", reason="pynq is not installed here; this runs in the board environment")


@contextmanager
def twin_process(bundle: Bundle) -> Iterator[tuple[str, dict[str, str]]]:
    """Run the twin's own command; give the overlay's path and the client's environment."""
    command = [sys.executable, "-m", "spikeclip_fpga.host.twin", "--bundle", str(bundle.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first, overlay, export = (process.stdout.readline().strip() for _ in range(3))
            assert "emulated" in first
            variable, _, address = export.removeprefix("export ").partition("=")
            yield overlay.removeprefix("overlay "), {**os.environ, variable: address}
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


@pytest.mark.parametrize(("board", "part"), [("pynq-z2", "xc7z020clg400-1"), ("aup-zu3", "xczu3eg-sfvc784-2-e")])
def test_a_script_with_pynq_alone_gets_goldens_embeddings(
    board: str, part: str, tmp_path: Path, images: np.ndarray, fast: FastAccelerator
) -> None:
    bundle = make_bundle(tmp_path, board, part)
    np.save(tmp_path / "images.npy", images)
    with twin_process(bundle) as (overlay, environment):
        done = subprocess.run(
            [sys.executable, SCRIPT, overlay, tmp_path / "images.npy", tmp_path / "embeddings.npy", "100"],
            env=environment,
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "256 frames"
    embeddings = np.load(tmp_path / "embeddings.npy")
    np.testing.assert_array_equal(embeddings, fast.embed(images))
    np.testing.assert_array_equal(embeddings[:8], GoldenAccelerator(bundle.network).embed(images[:8]))


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spikeclip_fpga.host.twin", "--bundle", tmp_path / "none"],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
