"""Labels as vectors: prompt templates filled with class names, embedded, averaged, normalised."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..quantize.labelset import LabelSet
from .text_tower import TextTower, TowerError

NORMALISATION = "unit sentence vectors, mean over templates, unit length"


@cache
def _table(file: str) -> dict[str, Any]:
    from importlib.resources import files

    # Only the top package is imported: clip_benchmark.datasets would bring torch and take seconds.
    try:
        table: dict[str, Any] = json.loads((files("clip_benchmark") / "datasets" / file).read_text("utf-8"))
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise TowerError(f"prompt templates: {error}; run `make setup` in the checkout (extra: train)") from error
    return table


@cache
def templates(dataset: str) -> tuple[str, ...]:
    """Return CLIP's prompt templates for ``dataset`` (from clip-benchmark; CIFAR-10's where it has none)."""
    table = _table("en_zeroshot_classification_templates.json")
    return tuple(t.replace("{c}", "{}") for t in table.get(dataset, table["cifar10"]))


def class_names(dataset: str, own: Sequence[str]) -> tuple[str, ...]:
    """Return the names CLIP's prompts use for the classes of ``dataset``, in the order of its labels.

    They are clip-benchmark's where it lists as many as the data set has, else ``own``, the data set's.
    """
    listed = _table("en_classnames.json").get(dataset, ())
    return tuple(listed) if len(listed) == len(own) else tuple(own)


def embed_labels(tower: TextTower, names: Sequence[str], prompts: Sequence[str]) -> np.ndarray:
    """Return (len(names), E) float32 unit vectors: the mean over ``prompts`` of each name's sentences."""
    sentences = [prompt.format(name) for name in names for prompt in prompts]
    vectors = tower.embed(sentences).reshape(len(names), len(prompts), -1).mean(1)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)


def label_set(tower: TextTower, names: Sequence[str], prompts: Sequence[str]) -> LabelSet:
    """Return the embedded labels with what they were made from; raise LabelError for blank or no names."""
    vectors = embed_labels(tower, names, prompts)
    return LabelSet(vectors, tuple(names), tuple(prompts), tower.name, NORMALISATION)
