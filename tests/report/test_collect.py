from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spikeclip_fpga.energy.comparison import ann, four
from spikeclip_fpga.energy.counters import count_network
from spikeclip_fpga.energy.fabric.errors import FabricError
from spikeclip_fpga.energy.twins import KINDS
from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.network import Node
from spikeclip_fpga.report import hardware, spikes
from spikeclip_fpga.report.collect import OWN_FILES, Inputs, collect
from spikeclip_fpga.report.page.charts import PARTS
from spikeclip_fpga.report.provenance import describe
from spikeclip_fpga.report.schema import FORMAT, SECTIONS, ReportError, check, read
from spikeclip_fpga.report.subject import Subject

from .conftest import ARTIFACTS, IMAGES, SHIPPED, make_subject


def test_the_report_has_its_format_and_all_sections(collected: dict[str, Any]) -> None:
    assert (collected["format"], collected["schema"]) == (FORMAT, 1)
    assert set(SECTIONS) <= set(collected)
    assert collected["head"]["images"] == IMAGES
    assert collected["head"]["timesteps"] == 4
    assert collected["provenance"]["on_board"] is False
    assert collected["energy"]["measured"]["state"] == "not measured"


def test_every_level_of_the_ladder_is_there_and_agrees(subject: Subject, collected: dict[str, Any]) -> None:
    rows = {row["level"]: row for row in collected["ladder"]}
    assert list(rows) == ["float", "QAT", "QONNX", "integer", "golden", "hardware graph", "RTL"]
    assert [row["mismatches"] for row in rows.values()] == [None, None, 0, 0, 0, 0, 0]
    assert [rows[name]["images"] for name in ("integer", "golden", "QONNX")] == [IMAGES, 3, 1]
    assert rows["integer"]["elements"] == IMAGES * 384
    assert rows["integer"]["accuracy"] == rows["QAT"]["accuracy"] == collected["networks"][0]["accuracy"]
    right = subject.network.run(subject.data.images[:4]) @ subject.labels.embeddings.T
    correct = right.argmax(1) == subject.data.labels[:4]
    # Of its own images; the build's four are the first ones, and equal to the integers.
    assert rows["golden"]["accuracy"]["percent"] == pytest.approx(100 * correct[:3].mean())
    assert rows["RTL"]["accuracy"]["percent"] == pytest.approx(100 * correct.mean())
    assert rows["RTL"]["source"] == SHIPPED.as_posix()
    assert rows["RTL"]["kind"] == "simulated"


def test_a_build_that_differs_has_no_accuracy(subject: Subject) -> None:
    from spikeclip_fpga.report.accuracy import ladder

    built = hardware.read_build(SHIPPED, subject)
    built["mismatches"]["integer_vs_hw"] = 1
    rows = {row["level"]: row for row in ladder(subject, spikes.count(subject).embeddings, built)}
    assert rows["hardware graph"]["accuracy"] is None and rows["RTL"]["accuracy"] is None


def test_a_level_that_differs_is_counted(subject: Subject) -> None:
    from spikeclip_fpga.report.accuracy import ladder

    counted = spikes.count(subject)
    counted.embeddings[0, :5] += 1
    rows = {row["level"]: row for row in ladder(subject, counted.embeddings, hardware.read_build(SHIPPED, subject))}
    assert rows["integer"]["mismatches"] == 5
    assert rows["golden"]["mismatches"] == 5
    assert rows["QONNX"]["mismatches"] == 0


def test_spikes_are_goldens(subject: Subject, collected: dict[str, Any]) -> None:
    """Rates by layer and step, by class, and operations, against golden.py and a count event by event."""
    net, images = subject.network, subject.data.images
    found: dict[str, np.ndarray] = {}

    def watch(node: Node, value: np.ndarray) -> None:
        if node.op == "LIF":
            found[node.name] = golden.unpack(value, 4)

    net.run(images, watch)
    section = collected["spikes"]
    assert [layer["name"] for layer in section["layers"]] == list(found)
    for layer in section["layers"]:
        fired = found[layer["name"]]
        assert layer["neurons"] == fired[0, ..., 0].size
        by_step = fired.reshape(-1, 4).mean(0)
        assert layer["rate_by_step"] == pytest.approx(by_step.tolist(), abs=0, rel=1e-12)
        for one in section["classes"]:
            of_class = fired[subject.data.labels == subject.data.class_names.index(one["name"])]
            assert one["rate_by_layer"][layer["name"]] == pytest.approx(of_class.mean(), rel=1e-12)
    counted = count_network(net, images)
    for row in section["operations"]:
        if row["sops"] is not None:
            assert row["sops"] == counted.additions[row["name"]] / IMAGES
        assert (row["sops"] is None) != (row["macs"] is None)
        assert (row["sops"] or row["macs"]) <= row["dense"]
    assert sum(one["images"] for one in section["classes"]) == IMAGES


def test_rasters_are_the_spikes_of_the_chosen_images(subject: Subject, collected: dict[str, Any]) -> None:
    assert [entry["index"] for entry in collected["rasters"]] == [0, 5]
    words: dict[str, np.ndarray] = {}

    def watch(node: Node, value: np.ndarray) -> None:
        if node.op == "LIF":
            words[node.name] = value

    entry = collected["rasters"][1]
    embedding = subject.network.run(subject.data.images[5:6], watch)
    best = int((embedding[0] @ subject.labels.embeddings.T).argmax())
    assert entry["predicted"] == subject.labels.names[best]
    for layer in entry["layers"]:
        value = words[layer["name"]]
        channels = value.shape[-1]
        side = round((value.size / channels) ** 0.5)
        middle = value.reshape(side, side, channels)[side // 2, side // 2]
        assert layer["words"] == middle[:96].tolist()
        assert layer["spikes"] == int(golden.unpack(value, 4).sum())
    with Image.open(io.BytesIO(base64.b64decode(entry["png"]))) as picture:
        assert np.array_equal(np.asarray(picture), subject.data.images[5])


def test_chosen_images_are_one_of_every_third_class() -> None:
    subject = make_subject(raster=None)
    assert subject.chosen() == (0, 3, 6, 9)


def test_hardware_adds_up(collected: dict[str, Any]) -> None:
    build, section = json.loads(SHIPPED.read_text()), collected["hardware"]
    for name in ("lut", "bram18", "dsp"):
        assert sum(row[name] for row in section["stages"]) == build["resources"]["total"][name]
    assert sum(row["nodes"] for row in section["stages"]) == len(build["layers"])
    # The slowest of all limits is the rate that was simulated.
    assert section["limits"][0]["frames_per_second"] == pytest.approx(section["frames_per_second"])
    assert max(node["busy"] or 0 for node in section["nodes"]) == 1
    points = section["roofline"]["points"]
    cycles = {row["layer"]: row.get("cycles") for row in build["layers"]}
    assert len(points) == sum(row["op"] in hardware.MATRIX for row in build["layers"])
    for point in points:
        assert point["operations"] == point["operations_per_cycle"] * cycles[point["layer"]]
        assert point["operations_per_second"] <= point["ceiling_per_second"] * (1 + 1e-9)
    by_name = {point["layer"]: point for point in points}
    assert by_name["tokenizer.0.conv"]["weight_bits"] == 8 and by_name["tokenizer.1.conv"]["weight_bits"] == 4
    # 8 x 8 positions of 3 x 3 x 48 spikes, 4 steps each.
    assert by_name["tokenizer.2.conv"]["input_bits_per_frame"] == 8 * 8 * 9 * 48 * 4
    whole = section["roofline"]["whole"]
    assert whole["image_bits"] == 32 * 32 * 3 * 8
    assert whole["operations_per_second"] < whole["ceiling_per_second"]


@pytest.mark.parametrize(
    ("layer", "stage"),
    [
        ("tokenizer.1.conv.windows", "tokenizer.1"),
        ("blocks.0.attention.q.linear", "blocks.0.attention"),
        ("blocks.1.mlp.fc2.to_grid", "blocks.1.mlp"),
        ("blocks.1", "residual stream"),
        ("blocks.1.ResidualAdd.fork", "residual stream"),
        ("Tokens.fork", "residual stream"),
        ("readout.projection", "readout"),
    ],
)
def test_stage_of_a_node(layer: str, stage: str) -> None:
    assert hardware.stage(layer) == stage


def test_the_fabric_estimate_is_in_the_table(collected: dict[str, Any]) -> None:
    found = collected["networks"][0]["energies"]["fabric"]
    fabric = collected["energy"]["fabric"]["spikeclip"]
    assert found["value_nj"] == fabric["dynamic_nj"]["value"] > 0
    assert found["low_nj"] < found["value_nj"] < found["high_nj"]
    assert collected["networks"][0]["energies"]["measured"]["value_nj"] is None


def test_the_parts_drawn_add_up_to_the_table(subject: Subject, collected: dict[str, Any]) -> None:
    """For SpikeCLIP as the table has it, and for the ANNs as their entries are made."""
    rows = {row["network"]: row for row in collected["energy"]["estimates"]["comparison"]["rows"]}
    table = {"spikeclip": collected["networks"][0]["energies"]["memory_aware"]}
    for kind in KINDS:
        table[kind] = four(ann(kind, subject.config, subject.bits)).to_json()["memory_aware"]
    assert set(rows) == set(table)
    for kind, row in rows.items():
        assert row["memory_aware"] == table[kind]
        for variant, parts in row["parts"].items():
            assert set(parts) == set(PARTS)
            assert math.isclose(sum(parts.values()), row["variants"][variant], rel_tol=1e-12)
        assert row["variants"][table[kind]["variant"]] == table[kind]["value_nj"] > 0


def test_files_are_named_with_their_digest(collected: dict[str, Any]) -> None:
    files = {Path(file["path"]).name: file for file in collected["provenance"]["files"]}
    assert files["tiny.int.safetensors"]["sha256"] == collected["head"]["network_sha256"]
    assert files["tiny.float.safetensors"]["seed"] is not None
    assert {"build.json", "activity.json", "sweep.json", "labels.npz"} <= set(files)
    assert describe(SHIPPED)["epochs"] is None


def test_a_build_of_another_network_is_refused(subject: Subject, tmp_path: Path) -> None:
    build = json.loads(SHIPPED.read_text())
    build["network_sha256"] = "0" * 64
    (tmp_path / "build.json").write_text(json.dumps(build))
    with pytest.raises(ReportError, match=r"build\.json: of network 000000000000, but tiny"):
        hardware.read_build(tmp_path / "build.json", subject)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"layers": 3}'])
def test_what_is_no_build_is_refused(subject: Subject, tmp_path: Path, text: str) -> None:
    path = tmp_path / "build.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"build\.json"):
        hardware.read_build(path, subject)


def test_calibrated_prices_are_used(
    subject: Subject, collected: dict[str, Any], activity_file: Path, tmp_path: Path
) -> None:
    own = collected["energy"]["fabric"]["spikeclip"]
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"clock": {"value": 1.0, "low": 1.0, "high": 1.0, "source": "calibrated here"}}))
    inputs = Inputs(SHIPPED, tmp_path, activity=activity_file, prices=path)
    found = collect(subject, lambda: inputs, [], False)["energy"]["fabric"]["spikeclip"]
    ffs = sum(node["ff"] for node in json.loads(activity_file.read_text())["nodes"])
    assert found["parts_nj"]["clock"]["value"] == pytest.approx(ffs * found["cycles_per_frame"] / 1000)
    assert found["parts_nj"]["logic"] == own["parts_nj"]["logic"]
    path.write_text('{"clocks": 1}')
    with pytest.raises(FabricError, match="clocks"):
        collect(subject, lambda: inputs, [], False)


def test_an_activity_of_another_network_is_refused(subject: Subject, activity_file: Path, tmp_path: Path) -> None:
    counted = json.loads(activity_file.read_text())
    counted["subject"]["network_sha256"] = "0" * 64
    path = tmp_path / "activity.json"
    path.write_text(json.dumps(counted))
    with pytest.raises(ReportError, match=r"activity\.json: of network 000000000000, expected"):
        collect(subject, lambda: Inputs(SHIPPED, tmp_path, activity=path), [], False)


def test_a_missing_checkpoint_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """With the command that makes it, and how to go without; the inputs are not even made."""

    def never() -> Inputs:
        raise AssertionError("made the inputs first")

    for name in ("tiny.int.safetensors", "labels.npz"):
        (tmp_path / name).write_bytes((ARTIFACTS / name).read_bytes())
    with pytest.raises(ReportError, match=r"tiny\.float\.safetensors: no such file; make it with `spikeclip train`"):
        collect(make_subject(tmp_path), never, [])
    for name in OWN_FILES:
        (tmp_path / f"tiny.{name}").write_bytes((ARTIFACTS / f"tiny.{name}").read_bytes())
    with pytest.raises(ReportError, match=r"scratchclip.*spikeclip train --network scratchclip.*--skip-baselines"):
        collect(make_subject(tmp_path), never, [])


def test_images_there_are_not_are_refused() -> None:
    with pytest.raises(ReportError, match="--raster 12: expected indices from 0 to 11"):
        make_subject(raster=(0, 12)).chosen()


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({"format": "spikeclip-fpga/sweep"}, "format: expected spikeclip-fpga/report, got 'spikeclip-fpga/sweep'"),
        ({"schema": 2}, "schema: expected 1, got 2"),
        ({"ladder": {}}, "ladder: expected list, got dict"),
        ({"sweep": 3}, "sweep: expected dict or null, got int"),
    ],
)
def test_another_json_is_refused(collected: dict[str, Any], change: dict[str, Any], flaw: str) -> None:
    with pytest.raises(ReportError, match=flaw):
        check(collected | change, "given")


@pytest.mark.parametrize("text", ["", "[]", "3", "{}"])
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"report\.json"):
        read(path)
