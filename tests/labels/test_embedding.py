from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.model.labels import NORMALISATION, class_names, embed_labels, label_set, templates
from spikeclip_fpga.model.text_tower import TextTower
from spikeclip_fpga.quantize.labelset import LabelError, read_labels, write_labels


class Recorder:
    """A text tower that points each sentence in a direction of its own."""

    name = "recorder"

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def embed(self, sentences: Sequence[str]) -> np.ndarray:
        """Return the next unit vectors of 64 axes and remember the sentences."""
        start = len(self.sentences)
        self.sentences += sentences
        return np.eye(64, dtype=np.float32)[start : start + len(sentences)]


def test_each_label_is_the_mean_of_its_own_sentences() -> None:
    tower = Recorder()
    labels = label_set(tower, ["cat", "dog"], ["a {}.", "the {}."])
    assert tower.sentences == ["a cat.", "the cat.", "a dog.", "the dog."]
    expected = np.zeros((2, 64))
    expected[0, :2] = expected[1, 2:4] = 2**-0.5
    np.testing.assert_allclose(labels.embeddings, expected, atol=1e-6)
    assert (labels.names, labels.tower, labels.normalisation) == (("cat", "dog"), "recorder", NORMALISATION)


def test_a_blank_label_is_refused() -> None:
    with pytest.raises(LabelError, match=r"''"):
        label_set(Recorder(), ["cat", ""], ["a {}."])


def test_templates_and_names_come_from_clip_benchmark() -> None:
    pytest.importorskip("clip_benchmark")
    assert "a blurry photo of a {}." in templates("cifar10")
    assert templates("folder") == templates("cifar10") != templates("stl10")
    assert all(t.count("{}") == 1 for t in templates("cifar100"))
    own = [str(i) for i in range(10)]
    assert class_names("eurosat", own)[0] == "annual crop land"
    assert class_names("cifar10", own) == tuple(own)
    assert class_names("eurosat", own[:3]) == ("0", "1", "2")


def test_clip_benchmark_is_read_without_importing_what_it_needs() -> None:
    pytest.importorskip("clip_benchmark")
    code = (
        "import sys; from spikeclip_fpga.model import labels; labels.templates('cifar10'); "
        "print([m for m in sys.modules if m.startswith('clip_benchmark.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_minilm_labels_round_trip_and_know_a_synonym(tmp_path: Path, minilm: TextTower) -> None:
    labels = label_set(minilm, ["sneaker", "trouser", "coat"], ["a photo of a {}.", "a picture of a {}."])
    write_labels(tmp_path / "labels.npz", labels)
    found = read_labels(tmp_path / "labels.npz")
    found.require_dim(384)
    np.testing.assert_array_equal(found.embeddings, labels.embeddings)
    synonyms = embed_labels(minilm, ["running shoe", "trousers", "jacket"], ["a photo of a {}."])
    assert (synonyms @ found.embeddings.T).argmax(1).tolist() == [0, 1, 2]
