"""Label embeddings and the file that carries them to the board (numpy only, since the board reads it)."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "spikeclip-labels/1"
UNIT_TOLERANCE = 1e-4
REMEDY = "write the labels again"
_TEXTS = ("names", "templates", "tower", "normalisation")


class LabelError(RuntimeError):
    """Labels that cannot be read or do not fit; the message names the file and the remedy."""


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels as unit vectors, with where they come from.

    embeddings: (K, E) float32, rows of length 1.  names: the K labels.  templates: the prompts that
    were averaged.  tower: the text tower.  normalisation: how sentences became a row.  source: the
    file, for messages; not part of the content.
    """

    embeddings: np.ndarray
    names: tuple[str, ...]
    templates: tuple[str, ...]
    tower: str
    normalisation: str
    source: str = field(default="labels")

    def __post_init__(self) -> None:
        vectors = self.embeddings
        if vectors.dtype != np.float32 or vectors.ndim != 2 or 0 in vectors.shape:
            raise LabelError(
                f"{self.source}: expected float32 embeddings (labels, dimensions), "
                f"got {vectors.dtype} {vectors.shape}; {REMEDY}"
            )
        if len(self.names) != len(vectors):
            raise LabelError(f"{self.source}: {len(self.names)} names for {len(vectors)} embeddings; {REMEDY}")
        for text in (*self.names, *self.templates, self.tower, self.normalisation):
            # numpy drops trailing NULs, so a text with one would not come back as it was.
            if not text.strip() or "\0" in text:
                raise LabelError(f"{self.source}: {text!r} where a name, template or tower is needed; {REMEDY}")
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        wrong = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT_TOLERANCE))  # also catches NaN
        if len(wrong):
            i = int(wrong[0])
            raise LabelError(
                f"{self.source}: the embedding of {self.names[i]!r} has length {lengths[i]:.6g}, expected 1; {REMEDY}"
            )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dim(self) -> int:
        """Return E, the dimensions of an embedding."""
        return int(self.embeddings.shape[1])

    @property
    def checksum(self) -> str:
        """Return the SHA-256 of the embeddings' bytes, their shape and all texts, in hexadecimal."""
        texts = {key: getattr(self, key) for key in _TEXTS}
        # JSON delimits every text, so that no two label sets share one byte sequence.
        header = json.dumps({"format": FORMAT, "shape": self.embeddings.shape, **texts}, sort_keys=True)
        digest = hashlib.sha256(header.encode())
        digest.update(np.ascontiguousarray(self.embeddings, "<f4").tobytes())
        return digest.hexdigest()

    def require_dim(self, dim: int) -> None:
        """Raise LabelError unless the embeddings have ``dim`` dimensions, the network's."""
        if self.dim != dim:
            raise LabelError(
                f"{self.source}: label embeddings of {self.dim} dimensions (text tower {self.tower}), expected the "
                f"network's {dim}; write the labels with the text tower the network was trained against"
            )


def write_labels(path: Path, labels: LabelSet) -> None:
    """Write ``labels`` to ``path`` (.npz without pickle): to a temporary name first, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    entries: dict[str, Any] = {key: np.array(getattr(labels, key), dtype=np.str_) for key in _TEXTS}
    entries |= {"format": np.array(FORMAT), "checksum": np.array(labels.checksum)}
    entries["embeddings"] = labels.embeddings.astype("<f4")
    try:
        with partial.open("wb") as file:
            np.savez(file, **entries)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_labels(path: Path) -> LabelSet:
    """Return the labels in ``path``; raise LabelError if it is missing, damaged or not a labels file."""
    if not path.is_file():
        raise LabelError(f"{path}: no such file; {REMEDY}")
    try:
        with np.load(path, allow_pickle=False) as file:
            entries = {key: file[key] for key in ("format", "checksum", "embeddings", *_TEXTS)}
        found = {key: str(entries[key]) for key in ("format", "checksum", "tower", "normalisation")}
        names, templates = (tuple(map(str, entries[key].reshape(-1))) for key in ("names", "templates"))
    except Exception as error:  # numpy and zipfile raise many kinds on damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LabelError(f"{path}: damaged or not a labels file ({reason}); {REMEDY}") from error
    if found["format"] != FORMAT:
        raise LabelError(f"{path}: format {found['format']!r}, expected {FORMAT!r}; {REMEDY}")
    vectors = np.ascontiguousarray(entries["embeddings"])
    labels = LabelSet(vectors, names, templates, found["tower"], found["normalisation"], source=str(path))
    if labels.checksum != found["checksum"]:
        raise LabelError(
            f"{path}: SHA-256 {labels.checksum[:12]}…, expected {found['checksum'][:12]}…: changed or damaged; {REMEDY}"
        )
    return labels
