"""What an accelerator does with labelled images: how often it is right, how long one takes, how many a second."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from spikeclip_fpga.quantize.labelset import LabelSet

from .accelerator import Accelerator
from .classify import cosine_scores

Now = Callable[[], float]
# A percentile is given only if so many runs lie beyond it on the average.
_BEYOND = 1
_Z95 = 1.959964


class PerformanceError(RuntimeError):
    """A measurement asked for that cannot be made; one line with the remedy."""


@dataclass(frozen=True)
class Accuracy:
    """Images whose best label is their class. low95, high95: Wilson's interval of top1, a share from 0 to 1."""

    top1: float
    low95: float
    high95: float
    correct: int
    images: int
    labels: int

    @classmethod
    def of(cls, correct: int, images: int, labels: int) -> Accuracy:
        """Return the share with its interval."""
        p, n, z = correct / images, images, _Z95
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
        return cls(p, min(p, max(0.0, low)), max(p, min(1.0, high)), correct, images, labels)  # rounding


@dataclass(frozen=True)
class Latency:
    """Milliseconds of single images, from array to embedding; a percentile too few runs support is None."""

    batch: int
    runs: int
    min_ms: float
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """Return the distribution of the runs' seconds, >= 1 of them; percentiles by nearest rank."""
        ms = sorted(1e3 * each for each in seconds)

        def percentile(share: float) -> float | None:
            enough = round(len(ms) * (1 - share), 9) >= _BEYOND
            return ms[math.ceil(round(share * len(ms), 9)) - 1] if enough else None

        return cls(1, len(ms), ms[0], percentile(0.5), percentile(0.9), percentile(0.99), ms[-1])


@dataclass(frozen=True)
class Throughput:
    """Images a second over all whole batches, and the milliseconds of one."""

    batch: int
    batches: int
    images_per_second: float
    batch_min_ms: float
    batch_median_ms: float
    batch_max_ms: float

    @classmethod
    def of(cls, batch: int, seconds: Sequence[float]) -> Throughput:
        """Return the rate of batches that took so many seconds, >= 1 of them."""
        ms = 1e3 * np.asarray(seconds)
        rate = batch * len(ms) / float(np.sum(seconds))
        return cls(batch, len(ms), rate, float(ms.min()), float(np.median(ms)), float(ms.max()))


@dataclass(frozen=True)
class Performance:
    """All of it, of one backend on one set of images."""

    accuracy: Accuracy
    latency: Latency
    throughput: Throughput


def label_rows(class_names: Sequence[str], labels: LabelSet) -> np.ndarray:
    """Return for each class its row in ``labels``. Raises PerformanceError for a class that has none."""
    rows = {name: row for row, name in enumerate(labels.names)}
    missing = [name for name in class_names if name not in rows]
    if missing:
        raise PerformanceError(
            f"{labels.source}: no label {missing[0]!r}, which is a class of the images; its labels are "
            f"{', '.join(labels.names[:6])}...; give the data set these labels are of (--data)"
        )
    return np.array([rows[name] for name in class_names])


def measure_performance(
    accelerator: Accelerator,
    images: np.ndarray,
    truth: np.ndarray,
    labels: LabelSet,
    *,
    batch: int,
    latency_runs: int,
    now: Now = time.perf_counter,
) -> Performance:
    """Return accuracy on (N, H, W, C) uint8 ``images``, N >= 1, whose right rows of ``labels`` are ``truth`` (N,).

    Batches of ``batch``, 1 to N, a remainder counting for accuracy alone; then ``latency_runs`` single images in
    turn. One image and one batch go first, unmeasured. Raises PerformanceError.
    """
    count = len(images)
    if count < 1:
        raise PerformanceError(f"images: expected 1 or more, got {count}")
    if not 1 <= batch <= count:
        raise PerformanceError(f"batch: expected 1 to the {count} images there are, got {batch}; give --batch")
    if latency_runs < 1:
        raise PerformanceError(f"latency runs: expected 1 or more, got {latency_runs}")
    labels.require_dim(accelerator.embed_dim)
    accelerator.embed(images[:1])
    accelerator.embed(images[:batch])
    correct, batches, singles = 0, [], []
    for start in range(0, count, batch):
        part = images[start : start + batch]
        begin = now()
        embeddings = accelerator.embed(part)
        if len(part) == batch:
            batches.append(now() - begin)
        best = np.argmax(cosine_scores(embeddings, labels), axis=1)
        correct += int((best == truth[start : start + batch]).sum())
    for run in range(latency_runs):
        image = images[run % count][None]
        begin = now()
        accelerator.embed(image)
        singles.append(now() - begin)
    return Performance(Accuracy.of(correct, count, len(labels)), Latency.of(singles), Throughput.of(batch, batches))
