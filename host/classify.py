"""Images in, labels out: cosine similarity of integer embeddings with label embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeclip_fpga.quantize.labelset import LabelSet

from .accelerator import Accelerator


@dataclass(frozen=True)
class Match:
    """A label and its cosine similarity, -1 to 1."""

    label: str
    score: float


def cosine_scores(embeddings: np.ndarray, labels: LabelSet) -> np.ndarray:
    """Return (N, K) float64 cosine similarities of (N, E) embeddings of any positive scale with K labels.

    An embedding of zero has similarity 0 with everything.
    """
    vectors = embeddings.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scores: np.ndarray = (vectors / np.where(lengths == 0, 1, lengths)) @ labels.embeddings.T.astype(np.float64)
    return scores


def classify(accelerator: Accelerator, images: np.ndarray, labels: LabelSet, top: int = 5) -> list[list[Match]]:
    """Return for each of (N, 32, 32, 3) uint8 images its ``top`` best labels, best first; ties in label order.

    Raises LabelError when the labels' dimensions are not the network's.
    """
    labels.require_dim(accelerator.embed_dim)
    scores = cosine_scores(accelerator.embed(images), labels)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [[Match(labels.names[k], float(row[k])) for k in best] for row, best in zip(scores, order, strict=True)]
