from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.energy import memory_aware
from spikeclip_fpga.energy.__main__ import main
from spikeclip_fpga.energy.comparison import ann, four, spikeclip, table
from spikeclip_fpga.energy.counters import CountError, Counts, measure
from spikeclip_fpga.energy.measured import NotMeasured, read_measurement
from spikeclip_fpga.energy.subject import ImageSet, images_sha256, subject_of
from spikeclip_fpga.host.bundle import Bundle
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.network import IntNetwork
from spikeclip_fpga.quantize.runner import FastRunner

from ..runner.networks import pictures
from .measurements import DYNAMIC_NJ, built_bundle, energy_report, save, subject_of_bundle, written

SHIPPED = Path(__file__).parents[2] / "artifacts" / "tiny.int.safetensors"
DIGEST = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
FABRIC: dict[str, Any] = {
    "subject": {"network_sha256": DIGEST, "board": "pynq-z2"},
    "stimulus": {"images": [0, 1, 2]},
    "clk_mhz": 100.0,
    "dynamic_nj": {"value": 2000.0, "low": 1000.0, "high": 4000.0},
    "static_nj": {"value": 60000.0, "low": 40000.0, "high": 80000.0},
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return built_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def net() -> IntNetwork:
    return network.load(SHIPPED)


@pytest.fixture(scope="module")
def counts(net: IntNetwork) -> Counts:
    return measure(FastRunner(net), pictures(np.random.default_rng(5), 4, 32))


def test_a_row_has_four_kinds_and_invents_none(net: IntNetwork, counts: Counts, bundle: Bundle, tmp_path: Path) -> None:
    measured = read_measurement(
        save(tmp_path / "m.json", written(bundle, energy_report()).content()), subject_of_bundle(bundle)
    )
    config = json.loads(net.meta["config"])
    full = four(spikeclip(net, counts), FABRIC, measured, network_sha256=DIGEST)
    rows = [full, four(ann("scratchclip", config)), four(ann("qnn3", config), None, NotMeasured("no board"))]
    assert len({full.theory.kind, full.memory_aware.kind, full.fabric.kind, full.measured.kind}) == 4
    assert (full.fabric.value_nj, full.fabric.low_nj, full.fabric.high_nj) == (2000.0, 1000.0, 4000.0)
    assert "activity of 3 images" in full.fabric.note and "60,000 nJ at 100 MHz" in full.fabric.note
    assert full.measured.value_nj == pytest.approx(DYNAMIC_NJ, rel=0.02)
    assert full.measured.low_nj is not None and full.measured.low_nj < full.measured.value_nj
    assert "5 V input of the board, by bench supply" in full.measured.note and "total 4,19" in full.measured.note
    for row in rows[1:]:
        for energy in (row.fabric, row.measured):
            assert energy.value_nj is energy.low_nj is energy.high_nj is None and energy.note
        assert row.measured.variant == "not measured"
    assert rows[2].measured.note == "no board"
    for row in rows:
        written_row = json.loads(json.dumps(row.to_json(), allow_nan=False))
        assert written_row["variants"][row.memory_aware.variant] == row.memory_aware.value_nj
        assert written_row["theories"]["width"] == row.theory_width.value_nj
    text = table(rows).splitlines()
    assert text[2].split()[-4:] == ["not", "estimated", "not", "measured"]
    assert text[1].startswith("SpikeCLIP") and "2.000 [1, 4]" in text[1]


def test_all_memory_aware_variants_are_those_of_memory_aware(net: IntNetwork, counts: Counts) -> None:
    found = spikeclip(net, counts).memory_aware
    assert len(found) == len(ann("qnn3", json.loads(net.meta["config"])).memory_aware) == 8
    serial = memory_aware.estimate(net, counts, "time_serial", "datum").energy_pj
    assert found["time_serial, datum, int32"] == pytest.approx(serial / 1000)
    chosen = four(spikeclip(net, counts), memory_variant="time_serial, datum, int32").memory_aware
    assert chosen.value_nj == pytest.approx(serial / 1000)


def test_estimates_of_something_else_are_refused(net: IntNetwork, counts: Counts) -> None:
    estimates = spikeclip(net, counts)
    with pytest.raises(CountError, match=r"expected one of time_serial, datum, int32; .* got 'packed'"):
        four(estimates, memory_variant="packed")
    with pytest.raises(CountError, match="network_sha256: expected 00, got"):
        four(estimates, FABRIC, network_sha256="00")
    for odd in ({}, FABRIC | {"dynamic_nj": 3.0}, FABRIC | {"dynamic_nj": {"value": 1, "low": None, "high": 2}}):
        with pytest.raises(CountError, match=r"expected energy.fabric's to_json\(\)"):
            four(estimates, odd)
    for low, value, high in ((3.0, 2.0, 4.0), (1.0, float("nan"), 4.0), (1.0, 2.0, float("inf")), (-1.0, 2.0, 3.0)):
        with pytest.raises(CountError, match="expected 0 <= low <= value <= high nJ"):
            four(estimates, FABRIC | {"dynamic_nj": {"value": value, "low": low, "high": high}})


def test_the_subject_names_network_and_images(net: IntNetwork) -> None:
    images = pictures(np.random.default_rng(5), 4, 32)
    found = subject_of(SHIPPED, net, images, "pictures", "test", board="pynq-z2", clk_mhz=100.0)
    assert (found.network, found.network_sha256, found.board, found.clk_mhz) == ("tiny", DIGEST, "pynq-z2", 100.0)
    assert found.images == ImageSet("pictures", "test", 4, hashlib.sha256(images.tobytes()).hexdigest())
    assert found.config["preset"] == "tiny" and found.bits["hidden"] == 4
    assert images_sha256(images[::-1]) != found.images.sha256
    assert images_sha256(images[:, :, ::-1][:, :, ::-1]) == found.images.sha256
    assert json.loads(json.dumps(found.to_json()))["images"]["count"] == 4


def test_the_command_compares_with_a_measurement(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "pictures.npz"
    drawn = pictures(np.random.default_rng(0), 10, 32)
    np.savez(images, images=drawn, labels=np.zeros(10, int), class_names=np.array(["coat"]))
    content = written(bundle, energy_report(), images_sha256=images_sha256(drawn)).content()
    measured, out = save(tmp_path / "measure.json", content), tmp_path / "energy.json"
    told = ["--data-set", "fashion-mnist", "--split", "test", "--measurement", str(measured), "--board", "pynq-z2"]
    assert main([str(SHIPPED), str(images), "--json", str(out), *told]) == 0
    result, text = json.loads(out.read_text()), capsys.readouterr().out
    assert result["subject"]["images"]["sha256"] == images_sha256(drawn)
    assert result["subject"]["network_sha256"] == DIGEST
    assert result["measured"]["state"] == "measured" and "only what is called measured" in result["kind"]
    assert result["comparison"]["rows"][0]["measured"]["value_nj"] == result["measured"]["dynamic"]["value_nj"]
    assert [row["measured"]["value_nj"] for row in result["comparison"]["rows"][1:]] == [None, None]
    assert "uJ in all, at 5 V input of the board, by bench supply" in text
    assert [found["against"] for found in result["comparison"]["break_even"]] == ["scratchclip", "qnn3"]
    assert main([str(SHIPPED), str(images), "--measurement", str(measured), "--data-set", "cifar10"]) == 1
    assert capsys.readouterr().err.startswith(f"energy: {measured}: data: split: expected the split of 'cifar10'")
