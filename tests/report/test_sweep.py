"""The sweep: it trains each point, evaluates the integers, goes on where it stopped and refuses other settings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from spikeclip_fpga.model.config import ModelConfig
from spikeclip_fpga.quantize import network
from spikeclip_fpga.report.sweep import Settings, SweepError, qat_path, read_sweep, sweep

from ..teaching import CAPTIONS, Sure, halves

MODEL = ModelConfig(preset="test", conv_channels=(4, 8, 8), depth=1, heads=2, embed_dim=6)
SETTINGS = Settings(timesteps=(1, 3), bits=(2, 8), float_epochs=4, qat_epochs=1)


def run(folder: Path, settings: Settings = SETTINGS) -> tuple[dict[str, Any], list[str]]:
    """Sweep and return the content and what was said."""
    said: list[str] = []
    found = sweep(MODEL, settings, halves(256, 0), halves(64, 1), Sure(), CAPTIONS, folder, said.append)  # type: ignore[arg-type]
    return found, said


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    """Return the folder of a finished sweep, its content and what it said."""
    folder = tmp_path_factory.mktemp("sweep")
    return (folder, *run(folder))


def test_every_point_of_the_grid_is_there(swept: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, found, said = swept
    assert [(p["timesteps"], p["bits"]) for p in found["points"]] == [(1, 2), (1, 8), (3, 2), (3, 8)]
    assert len(said) == 4 and found["data"] == {"name": "halves", "split": "test", "images": 64}
    for point in found["points"]:
        assert qat_path(folder, point["timesteps"], point["bits"]).is_file()
        assert 0 <= point["accuracy"] <= 100 and 0 < point["firing_rate"] < 1


def test_the_accuracy_is_the_integer_networks(swept: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, found, _ = swept
    test = halves(64, 1)
    for point in found["points"]:
        net = network.load(folder / f"T{point['timesteps']}-w{point['bits']}.int.safetensors")
        right = (net.run(test.images) @ CAPTIONS.numpy().T).argmax(1) == test.labels
        assert point["accuracy"] == round(100 * right.mean(), 2)


def test_energies_follow_spikes_and_bits(swept: tuple[Path, dict[str, Any], list[str]]) -> None:
    _, found, _ = swept
    for point in found["points"]:
        # (F.1) and (F.2): 0.9 pJ a SOP and 4.6 pJ a MAC; the MACs of first layer and projection are the same for all.
        macs = (point["theory_nj"] * 1000 - 0.9 * point["sops"]) / 4.6
        assert macs == pytest.approx(32 * 32 * 27 * 4 + 8 * 6, rel=1e-3)
    two, eight = (p["memory_aware_nj"] for p in found["points"][:2])
    # Packed, narrow weights share an access; counted by datum, their width is no matter.
    assert two["packed"]["time_parallel"] < eight["packed"]["time_parallel"]


def test_a_repeated_sweep_trains_nothing(swept: tuple[Path, dict[str, Any], list[str]]) -> None:
    folder, found, _ = swept
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.qat.safetensors")}
    again, _ = run(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.qat.safetensors")} == before
    assert again["points"] == found["points"]


@pytest.mark.parametrize("change", [{"float_epochs": 5}, {"qat_epochs": 2}, {"seed": 1}])
def test_checkpoints_of_other_settings_are_refused(
    swept: tuple[Path, dict[str, Any], list[str]], change: dict[str, Any]
) -> None:
    with pytest.raises(SweepError, match="this sweep has"):
        run(swept[0], dataclasses.replace(SETTINGS, **change))


@pytest.mark.parametrize("change", [{"timesteps": (17,)}, {"bits": (1,)}])
def test_an_impossible_grid_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(SweepError, match="expected"):
        run(tmp_path, dataclasses.replace(SETTINGS, **change))
    assert not list(tmp_path.iterdir())


def test_reading_refuses_what_is_no_sweep(tmp_path: Path, swept: tuple[Path, dict[str, Any], list[str]]) -> None:
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(swept[1]))
    assert read_sweep(path) == json.loads(path.read_text())
    path.write_text(json.dumps({**swept[1], "schema": 1}))
    with pytest.raises(SweepError, match="schema 1;"):
        read_sweep(path)
    for text in ("{", "[]", "{}"):
        path.write_text(text)
        with pytest.raises(SweepError, match="spikeclip sweep"):
            read_sweep(path)
