"""Accuracy, latency and throughput: figures known beforehand, on a clock that only the accelerator moves."""

from __future__ import annotations

import numpy as np
import pytest

from spikeclip_fpga.host.performance import (
    Accuracy,
    Latency,
    PerformanceError,
    Throughput,
    label_rows,
    measure_performance,
)
from spikeclip_fpga.quantize.labelset import LabelError, LabelSet

LABELS = LabelSet(np.eye(4, dtype=np.float32), ("coat", "bag", "shirt", "dress"), ("a {}",), "test", "unit")


class Timed:
    """Embeds an image as the unit vector that its first pixel numbers; takes 10 ms and 1 ms an image."""

    name, embed_dim = "timed", 4

    def __init__(self) -> None:
        self.seconds, self.batches = 0.0, list[int]()

    def embed(self, images: np.ndarray) -> np.ndarray:
        self.seconds += 0.01 + 0.001 * len(images)
        self.batches.append(len(images))
        return np.eye(4, dtype=np.int64)[images[:, 0, 0, 0]]

    def now(self) -> float:
        return self.seconds


def draw(count: int) -> np.ndarray:
    images = np.zeros((count, 32, 32, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(count) % 4
    return images


def test_figures_of_a_known_accelerator() -> None:
    timed, images = Timed(), draw(22)
    truth = images[:, 0, 0, 0].astype(np.int64)
    truth[:3] = (truth[:3] + 1) % 4
    found = measure_performance(timed, images, truth, LABELS, batch=5, latency_runs=100, now=timed.now)
    assert (found.accuracy.correct, found.accuracy.images, found.accuracy.labels) == (19, 22, 4)
    assert timed.batches == [1, 5, *[5] * 4, 2, *[1] * 100]  # warm-up, whole batches, the rest, single images
    assert (found.throughput.batch, found.throughput.batches) == (5, 4)
    assert found.throughput.images_per_second == pytest.approx(5 / 0.015)
    assert found.latency.runs == 100 and found.latency.p50_ms == pytest.approx(11)


def test_percentiles_are_runs_that_happened_and_only_with_enough_of_them() -> None:
    latency = Latency.of([k / 1e3 for k in range(100, 0, -1)])
    assert (latency.min_ms, latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms) == (1, 50, 90, 99, 100)
    few = Latency.of([k / 1e3 for k in range(1, 11)])
    assert (few.p50_ms, few.p90_ms, few.p99_ms) == (5, 9, None)
    assert Latency.of([0.004]) == Latency(1, 1, 4, None, None, None, 4)


def test_throughput_counts_all_the_time() -> None:
    assert Throughput.of(10, [0.1, 0.3]) == Throughput(10, 2, 50, 100, 200, 300)


def test_wilsons_interval() -> None:
    """Against the score test it inverts: |p - bound| = z sqrt(bound (1 - bound) / n)."""
    for correct, images in ((0, 10), (1, 2), (912, 1000), (10, 10)):
        found = Accuracy.of(correct, images, 10)
        assert 0 <= found.low95 <= found.top1 <= found.high95 <= 1
        for bound in (found.low95, found.high95):
            if 0 < bound < 1:
                distance = 1.959964 * np.sqrt(bound * (1 - bound) / images)
                assert abs(found.top1 - bound) == pytest.approx(distance)


def test_classes_find_their_labels_by_name() -> None:
    assert label_rows(("shirt", "coat"), LABELS).tolist() == [2, 0]
    with pytest.raises(PerformanceError, match=r"no label 'shoe'.*coat, bag, shirt, dress.*--data"):
        label_rows(("coat", "shoe"), LABELS)


@pytest.mark.parametrize(
    ("count", "batch", "runs", "message"),
    [(0, 1, 1, "expected 1 or more, got 0"), (3, 4, 1, "1 to the 3 images"), (3, 0, 1, "got 0"), (3, 1, 0, "latency")],
)
def test_what_cannot_be_measured_is_refused(count: int, batch: int, runs: int, message: str) -> None:
    images = draw(count)
    with pytest.raises(PerformanceError, match=message):
        measure_performance(Timed(), images, images[:, 0, 0, 0], LABELS, batch=batch, latency_runs=runs)


def test_labels_of_another_tower_are_refused() -> None:
    other = LabelSet(np.eye(5, dtype=np.float32), tuple("abcde"), ("a {}",), "test", "unit")
    with pytest.raises(LabelError, match="5 dimensions"):
        measure_performance(Timed(), draw(2), np.zeros(2, np.int64), other, batch=1, latency_runs=1)
