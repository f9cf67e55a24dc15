from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spikeclip_fpga.ladder.demo import run_demo, table
from spikeclip_fpga.ladder.levels import Sizes, differing

ARTIFACTS = Path(__file__).parents[2] / "artifacts"


def test_differing_counts_elements_and_shapes() -> None:
    a = np.arange(6).reshape(2, 3)
    b = a.copy()
    b[1, 2] = 0
    assert differing(a, a) == 0
    assert differing(a, b) == 1
    assert differing(a, a[:1]) == 6


@pytest.mark.slow
def test_shipped_network_agrees_on_every_level_and_is_accurate(tmp_path: Path) -> None:
    """The project's headline figures, on all 10,000 test images."""
    lines: list[str] = []
    report = run_demo(ARTIFACTS, "tiny", tmp_path, Sizes(10_000, 20, 128, 32), None, lines.append)
    assert set(report["mismatches"]) == {
        "qat_vs_qonnx",
        "qonnx_vs_integer",
        "qat_vs_integer",
        "golden_vs_fast",
        "shipped_vs_lowered",
        "integer_vs_hw",
        "hw_vs_rtl",
    }
    assert not any(report["mismatches"].values())
    assert report["accuracy"]["integer"] == report["accuracy"]["qat"]
    assert report["accuracy"]["integer"] >= 92.0
    assert report["accuracy"]["integer"] >= report["accuracy"]["float"] - 0.5
    assert report["n_images"] == 10_000
    assert report["n_images_by_level"]["rtl"] == 32
    assert report["rtl"]["frames_per_second"] >= 2_500
    assert 0.05 < report["firing_rate"] < 0.6
    assert json.loads((tmp_path / "report.json").read_text()) == report
    for name in ("spike_raster", "confusion", "firing_rate"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            picture.load()
            assert min(picture.size) > 200
    assert not list(tmp_path.glob("*.part*"))
    assert "integer" in table(report)
