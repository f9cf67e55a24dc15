from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.host.accelerator import BACKENDS, AcceleratorError, GoldenAccelerator, open_accelerator
from spikeclip_fpga.host.classify import classify, cosine_scores
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.labelset import LabelError, LabelSet, read_labels

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
RNG = np.random.default_rng(0)


def labels(k: int, dim: int) -> LabelSet:
    vectors = RNG.normal(size=(k, dim))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return LabelSet(unit, tuple(f"label {i}" for i in range(k)), ("{}",), "test", "unit")


class Fixed:
    """An accelerator whose embeddings the test chooses."""

    name = "fixed"

    def __init__(self, embeddings: np.ndarray) -> None:
        self.embeddings, self.embed_dim = embeddings, embeddings.shape[1]

    def embed(self, images: np.ndarray) -> np.ndarray:
        return self.embeddings[: len(images)]


def test_scores_are_cosines_whatever_the_scale() -> None:
    some = labels(5, 16)
    embeddings = RNG.integers(-(10**6), 10**6, (7, 16))
    expected = [[float(e @ v) / float(np.linalg.norm(e)) for v in some.embeddings.astype(float)] for e in embeddings]
    np.testing.assert_allclose(cosine_scores(embeddings, some), expected, atol=1e-12)
    np.testing.assert_allclose(cosine_scores(embeddings * 3, some), expected, atol=1e-12)


def test_zero_embedding_resembles_nothing() -> None:
    assert not cosine_scores(np.zeros((1, 16), np.int64), labels(5, 16)).any()


def test_best_label_first_and_ties_in_label_order() -> None:
    some = labels(4, 8)
    images = np.zeros((2, 32, 32, 3), np.uint8)
    embeddings = np.stack([np.rint(some.embeddings[2] * 10**6), np.zeros(8)]).astype(np.int64)
    first, tie = classify(Fixed(embeddings), images, some, top=3)
    assert first[0].label == "label 2" and first[0].score == pytest.approx(1, abs=1e-6)
    assert [m.score for m in first] == sorted((m.score for m in first), reverse=True)
    assert [m.label for m in tie] == ["label 0", "label 1", "label 2"]


def test_labels_of_another_dimension_are_refused() -> None:
    with pytest.raises(LabelError, match=r"8 dimensions.*network's 16"):
        classify(Fixed(np.ones((1, 16), np.int64)), np.zeros((1, 32, 32, 3), np.uint8), labels(3, 8))


def test_unknown_backend_is_named(tmp_path: Path) -> None:
    with pytest.raises(AcceleratorError, match="quantum"):
        open_accelerator("quantum", tmp_path / "x")


def test_shipped_network_classifies_a_shipped_label_set() -> None:
    net = network.load(ARTIFACTS / "tiny.int.safetensors")
    some = read_labels(ARTIFACTS / "labels.npz")
    images = RNG.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    accelerator = GoldenAccelerator(net)
    found = classify(accelerator, images, some, top=10)
    assert [len(m) for m in found] == [10] * 3
    alone = accelerator.embed(images[1:2])
    np.testing.assert_array_equal(alone[0], accelerator.embed(images)[1])


def test_backends_give_the_same_integers() -> None:
    images = RNG.integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    found = [open_accelerator(name, ARTIFACTS / "tiny.int.safetensors").embed(images) for name in BACKENDS]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_embedding_dimension_is_read_from_the_network() -> None:
    net = network.load(ARTIFACTS / "tiny.int.safetensors")
    assert GoldenAccelerator(net).embed_dim == json.loads(net.meta["config"])["embed_dim"]
