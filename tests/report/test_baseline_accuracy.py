"""The accuracy of the network whose hardware is priced, where that is not the network that was trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")

from spikeclip_fpga.hw.baseline import BaselineError
from spikeclip_fpga.model.data import ImageSet
from spikeclip_fpga.model.train import embed_images
from spikeclip_fpga.quantize.baselines.load import load_any
from spikeclip_fpga.quantize.baselines.scratchclip_rounded import rounded
from spikeclip_fpga.quantize.baselines.scratchclip_rounding import calibrate
from spikeclip_fpga.report import baseline_hardware, hardware, networks
from spikeclip_fpga.report.accuracy import score
from spikeclip_fpga.report.baseline_hardware import BASELINES
from spikeclip_fpga.report.page import render
from spikeclip_fpga.report.schema import ReportError, check
from spikeclip_fpga.report.subject import Subject

from ..runner.networks import pictures
from .conftest import ARTIFACTS, IMAGES, SHIPPED
from .test_render import Reader

SCRATCHCLIP = BASELINES[0]


@pytest.fixture
def train(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> ImageSet:
    """Let the data set have a training split of 640 made up images, those of a class together."""
    drawn = pictures(np.random.default_rng(7), 640, 32)
    labels = np.arange(640, dtype=np.int64) // 64
    made = ImageSet("fashion-mnist", "train", drawn, labels, subject.data.class_names)

    def load(name: str, split: str, root: Path | None) -> ImageSet:
        assert (name, split, root) == ("fashion-mnist", "train", None)
        return made

    monkeypatch.setattr(baseline_hardware, "load", load)
    return made


def test_the_rounded_network_has_an_accuracy_of_its_own(
    subject: Subject, train: ImageSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the same images by the same function; and its rounding is the one that is priced."""
    priced: dict[str, Any] = {}
    scored: list[np.ndarray] = []

    def price(*given: Any) -> tuple[dict[str, Any], None]:
        priced[given[1].kind] = given[-1]
        return {"missing": "not priced here", "notes": []}, None

    def remembered(embeddings: np.ndarray, *others: Any) -> dict[str, Any]:
        scored.append(embeddings)
        return score(embeddings, *others)

    monkeypatch.setattr(baseline_hardware, "price", price)
    monkeypatch.setattr(networks, "score", remembered)
    found, _ = networks.baselines(subject, hardware.read_build(SHIPPED, subject), None, tmp_path)
    entries = {entry["kind"]: entry for entry in found}
    assert entries["qnn3"]["hardware_accuracy"] is None and priced["qnn3"] is None

    net: Any = load_any(ARTIFACTS / "tiny-scratchclip.float.safetensors")[0]
    ranges = baseline_hardware.calibration(subject)
    assert sorted(set(ranges.labels.tolist())) == list(range(10))
    rounding = calibrate(net, ranges.images)
    assert priced["scratchclip"] == rounding
    expected = embed_images(rounded(net, rounding), subject.data.images)
    entry = entries["scratchclip"]["hardware_accuracy"]
    assert entry["ranges"] == {"data": "fashion-mnist", "split": "train", "images": 64}
    of_rounded = score(expected, subject.labels, subject.data)
    assert of_rounded.items() <= entry.items() and entry["images"] == IMAGES
    # Nor is it the float network's, whatever the two accuracies are.
    matches = [np.array_equal(embeddings, expected) for embeddings in scored]
    assert matches.count(True) == 1
    assert any(np.array_equal(embeddings, embed_images(net, subject.data.images)) for embeddings in scored)


def test_what_is_simulated_is_the_first_test_images_so_rounded(
    subject: Subject, train: ImageSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    net: Any = load_any(ARTIFACTS / "tiny-scratchclip.float.safetensors")[0]
    rounding = calibrate(net, train.images[:8])
    caught: list[Any] = []

    def cost(layers: Any, *_: Any) -> None:
        caught.append({layer.name: layer for layer in layers})
        raise BaselineError("no folding here")

    monkeypatch.setattr(baseline_hardware, "cost", cost)
    built = hardware.read_build(SHIPPED, subject)
    path = ARTIFACTS / "tiny-scratchclip.float.safetensors"
    for ranges in (rounding, calibrate(net, train.images[8:16])):
        entry, _ = baseline_hardware.price(subject, SCRATCHCLIP, net, path, built, None, tmp_path, None, ranges)
        assert entry["missing"] == "no folding here"
    layers, other = caught
    np.testing.assert_array_equal(layers["tokenizer.0"].inputs, subject.data.images[:2].astype(int) - 128)
    assert not np.array_equal(layers["tokenizer.1"].inputs, other["tokenizer.1"].inputs)
    # An activity that was kept is of one rounding.
    digests = [baseline_hardware._digest(list(one.values())) for one in (layers, layers, other)]
    assert digests[0] == digests[1] != digests[2]


def test_without_a_training_split_it_says_so(subject: Subject, tmp_path: Path) -> None:
    said: list[str] = []
    alone = Subject(ARTIFACTS, "tiny", IMAGES, tmp_path, said.append)
    alone.__dict__["data"] = subject.data
    found = baseline_hardware.calibration(alone)
    assert (found.split, len(found)) == ("test", IMAGES)
    assert len(said) == 1 and "for want of a training split" in said[0] and str(tmp_path) in said[0]


def test_the_page_tells_the_accuracy_of_what_is_priced(content: dict[str, Any]) -> None:
    assert "rounded to 8 bits: " not in Reader(render(content)).text
    given = {"what": "rounded to 8 bits", **content["networks"][0]["accuracy"], "percent": 43.21}
    given["ranges"] = {"data": "fashion-mnist", "split": "train", "images": 64}
    content["networks"][1]["hardware_accuracy"] = given
    content["networks"][1]["hardware"]["what"] = SCRATCHCLIP.hardware
    text = Reader(render(content)).text
    assert "rounded to 8 bits: 43.21 %" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "ranges from 64 images of fashion-mnist, split train" in text
    assert SCRATCHCLIP.hardware in text


def test_a_report_from_before_is_refused(content: dict[str, Any]) -> None:
    check(content, "given")
    content["networks"][1]["hardware_accuracy"] = 91.9
    with pytest.raises(ReportError, match=r"networks\[1\]\.hardware_accuracy: expected dict or null, got float"):
        check(content, "given")
    del content["networks"][1]["hardware_accuracy"]
    with pytest.raises(ReportError, match=r"networks\[1\]\.hardware_accuracy: .*got nothing; make the report again"):
        check(content, "given")
