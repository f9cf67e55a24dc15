from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.energy.__main__ import main
from spikeclip_fpga.energy.counters import Counts, measure_classes
from spikeclip_fpga.energy.report import report
from spikeclip_fpga.energy.table import table
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.runner import FastRunner

from ..runner.networks import pictures

SHIPPED = Path(__file__).parents[2] / "artifacts" / "tiny.int.safetensors"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "pictures.npz"
    drawn = pictures(np.random.default_rng(0), 6, 32)
    np.savez(path, images=drawn, labels=np.array([0, 1, 1, 0, 1, 1]), class_names=np.array(["coat", "bag"]))
    return path


def test_the_command_prints_the_table_and_writes_the_same_as_json(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "energy.json"
    assert main([str(SHIPPED), str(images), "--json", str(written), "--threads", "1"]) == 0
    result = json.loads(written.read_text())
    assert capsys.readouterr().out.rstrip("\n") == table(result)
    assert (result["data_set"], result["images"], result["measured"]) == ("pictures", 6, "not measured")
    assert {name: found["images"] for name, found in result["classes"].items()} == {"coat": 2, "bag": 4}
    weighted = sum(found["images"] * found["sops"] for found in result["classes"].values()) / 6
    assert weighted == pytest.approx(result["theory"]["sops"])
    assert sum(layer["energy_nj"] for layer in result["theory"]["layers"]) == pytest.approx(
        result["theory"]["energy_nj"]
    )
    first = result["theory"]["layers"][0]
    assert first["energy_nj"] == pytest.approx(4.6e-3 * 32 * 32 * 27 * 24)
    for found in result["memory_aware"]:
        assert sum(node["energy_nj"] for node in found["nodes"]) == pytest.approx(found["energy_nj"])


def test_the_table_names_every_layer_class_and_kind(images: Path) -> None:
    net = network.load(SHIPPED)
    with np.load(images) as file:
        counts = measure_classes(FastRunner(net), file["images"], file["labels"], ("coat", "bag"))
    result = report(net, counts, "pictures")
    lines = table(result).splitlines()
    names = [layer["name"] for layer in result["theory"]["layers"]] + ["coat", "bag"]
    names += [node["name"] for found in result["memory_aware"] for node in found["nodes"]]
    for name in names:
        assert any(line.split()[0] == name for line in lines if line.strip()), name
    assert "measured: not measured" in lines
    assert "nothing in this report was measured" in lines[0]
    assert max(map(len, lines)) < 160


def test_coefficients_reach_every_estimate(images: Path, tmp_path: Path) -> None:
    override = tmp_path / "coefficients.json"
    override.write_text('{"e_ac": 1.8, "sram_base": 26.4, "sram_per_bit": 2.18e-5}')
    results = []
    for extra in ([], ["--coefficients", str(override)]):
        path = tmp_path / f"{len(extra)}.json"
        assert main([str(SHIPPED), str(images), "--json", str(path), *extra]) == 0
        results.append(json.loads(path.read_text()))
    plain, doubled = results
    assert doubled["coefficients"]["e_ac"]["source"] == "overridden by the user"
    for before, after in zip(plain["theory"]["layers"], doubled["theory"]["layers"], strict=True):
        factor = 1 if before["input_firing_rate"] is None else 2
        assert after["energy_nj"] == pytest.approx(factor * before["energy_nj"])
    for before, after in zip(plain["memory_aware"], doubled["memory_aware"], strict=True):
        assert after["parts_nj"]["weights"] == pytest.approx(2 * before["parts_nj"]["weights"])
        assert after["parts_nj"]["compute"] == before["parts_nj"]["compute"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no zip", "expected an .npz with images, labels and class_names"),
        (None, "expected an .npz with images, labels and class_names"),
    ],
)
def test_other_images_are_refused_in_one_line(
    content: bytes | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "images.npz"
    if content is not None:
        path.write_bytes(content)
    assert main([str(SHIPPED), str(path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"energy: {path}: {message}")
    assert told.count("\n") == 1


def test_errors_of_coefficients_and_networks_are_one_line(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    override = tmp_path / "coefficients.json"
    override.write_text('{"e_acc": 1}')
    assert main([str(SHIPPED), str(images), "--coefficients", str(override)]) == 1
    assert capsys.readouterr().err.startswith("energy: coefficient e_acc: unknown; expected one of e_ac")
    assert main([str(tmp_path / "none.safetensors"), str(images)]) == 1
    assert "no such file; make it with `spikeclip lower`" in capsys.readouterr().err
    np.savez(images, images=np.zeros((1, 8, 8, 3), np.uint8), labels=np.zeros(1, int), class_names=np.array(["coat"]))
    assert main([str(SHIPPED), str(images)]) == 1
    assert capsys.readouterr().err == "energy: images: expected uint8 (B, 32, 32, 3), got uint8 (1, 8, 8, 3)\n"


def test_a_silent_network_has_no_firing_rate_to_break_even_at(images: Path) -> None:
    net = network.load(SHIPPED)
    with np.load(images) as file:
        counts = measure_classes(FastRunner(net), file["images"], file["labels"], ("coat", "bag"))
    silent = {
        name: Counts(part.images, dict.fromkeys(part.spikes, 0), dict.fromkeys(part.additions, 0))
        for name, part in counts.items()
    }
    result = report(net, silent, "pictures")
    assert result["comparison"]["break_even"] == [] and result["subject"] is None
    assert "no firing rate to break even at" in table(result)
