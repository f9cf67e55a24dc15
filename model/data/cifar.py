"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 50,000 + 10,000 colour images of 32x32, 10 or 100 classes.

Read from the official *binary* version. The python version is pickle files, which run code when
they are read, so they are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .archive import Archive, locate
from .decode import class_list
from .imageset import IMAGE_SIZE, DataError, ImageSet

PIXELS = 3 * IMAGE_SIZE * IMAGE_SIZE
ADDRESS = "https://www.cs.toronto.edu/~kriz"


@dataclass(frozen=True)
class Cifar:
    """One of the two: where it comes from and how its records look.

    A record is ``label_bytes`` labels, the last of which counts, then the red, green and blue planes.
    """

    name: str
    archive: Archive
    splits: dict[str, tuple[str, ...]]
    names_file: str
    classes: int
    label_bytes: int


_BATCHES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR10 = Cifar(
    "cifar10",
    Archive(
        f"{ADDRESS}/cifar-10-binary.tar.gz",
        "c32a1d4ab5d03f1284b67883e8d87530",
        "cifar-10-batches-bin",
        dict.fromkeys((*_BATCHES, "test_batch.bin"), 10_000 * (1 + PIXELS)) | {"batches.meta.txt": None},
        ("data_batch_1", "cifar-10-batches-py", "cifar-10-python.tar.gz"),
    ),
    {"train": _BATCHES, "test": ("test_batch.bin",)},
    "batches.meta.txt",
    classes=10,
    label_bytes=1,
)
CIFAR100 = Cifar(
    "cifar100",
    Archive(
        f"{ADDRESS}/cifar-100-binary.tar.gz",
        "03b5dce01913d631647c71ecec9e9cb8",
        "cifar-100-binary",
        {"train.bin": 50_000 * (2 + PIXELS), "test.bin": 10_000 * (2 + PIXELS), "fine_label_names.txt": None},
        ("meta", "cifar-100-python", "cifar-100-python.tar.gz"),
    ),
    {"train": ("train.bin",), "test": ("test.bin",)},
    "fine_label_names.txt",
    classes=100,
    label_bytes=2,  # the superclass, then the class
)


def decode_records(path: Path, kind: Cifar) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 32, 32, 3) uint8 and labels (N,) int64 of one file of records.

    Raises DataError for a file of broken records or with a label out of range.
    """
    size = kind.label_bytes + PIXELS
    data = np.fromfile(path, np.uint8)
    if not len(data) or len(data) % size:
        raise DataError(
            f"{path}: {len(data)} bytes, expected a positive multiple of {size}: truncated or not {kind.name}; "
            f"unpack {kind.archive.file_name} again"
        )
    records = data.reshape(-1, size)
    labels = records[:, kind.label_bytes - 1].astype(np.int64)
    if labels.max() >= kind.classes:
        raise DataError(
            f"{path}: label {labels.max()}, expected 0 to {kind.classes - 1}: not {kind.name}; "
            f"unpack {kind.archive.file_name} again"
        )
    planes = records[:, kind.label_bytes :].reshape(-1, 3, IMAGE_SIZE, IMAGE_SIZE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def load(kind: Cifar, split: str, root: Path | None, cache: Path) -> ImageSet:
    """Return split ``train`` or ``test`` of ``kind``, read from ``root`` or the cache, or fetched."""
    if split not in kind.splits:
        raise DataError(f"{kind.name}: expected split train or test, got {split!r}")
    files = kind.splits[split]
    folder = locate(kind.name, kind.archive, (*files, kind.names_file), root, cache)
    names = class_list(folder / kind.names_file, kind.classes)
    images, labels = zip(*(decode_records(folder / file, kind) for file in files), strict=True)
    return ImageSet(kind.name, split, np.concatenate(images), np.concatenate(labels), names)


def load_cifar10(split: str, root: Path | None, cache: Path) -> ImageSet:
    """Return a split of CIFAR-10."""
    return load(CIFAR10, split, root, cache)


def load_cifar100(split: str, root: Path | None, cache: Path) -> ImageSet:
    """Return a split of CIFAR-100 with its 100 fine classes."""
    return load(CIFAR100, split, root, cache)
