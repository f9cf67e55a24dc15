"""STL-10 (Coates et al. 2011): 5,000 + 8,000 labelled colour images of 96x96, ten classes; resized to 32x32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from spikeclip_fpga.host.images import resized

from .archive import Archive, locate
from .decode import class_list
from .imageset import IMAGE_SIZE, DataError, ImageSet

NAME = "stl10"
SIDE = 96
CLASSES = 10
NAMES_FILE = "class_names.txt"
COUNTS = {"train": 5_000, "test": 8_000}
ARCHIVE = Archive(
    "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    "91f7769df0f17e558f3565bffb0c7dfb",
    "stl10_binary",
    {
        **{f"{split}_X.bin": count * 3 * SIDE * SIDE for split, count in COUNTS.items()},
        **{f"{split}_y.bin": count for split, count in COUNTS.items()},
        NAMES_FILE: None,
    },
)


def decode_images(path: Path) -> np.ndarray:
    """Return (N, 96, 96, 3) uint8 from an ``_X.bin`` file: per image three planes, each column by column."""
    size = 3 * SIDE * SIDE
    data = np.fromfile(path, np.uint8)
    if not len(data) or len(data) % size:
        raise DataError(
            f"{path}: {len(data)} bytes, expected a positive multiple of {size}: truncated or not {NAME}; "
            f"unpack {ARCHIVE.file_name} again"
        )
    return data.reshape(-1, 3, SIDE, SIDE).transpose(0, 3, 2, 1)


def decode_labels(path: Path, count: int) -> np.ndarray:
    """Return ``count`` labels in 0..9 as int64 from a ``_y.bin`` file, which counts from 1."""
    labels = np.fromfile(path, np.uint8).astype(np.int64) - 1
    if len(labels) != count:
        raise DataError(f"{path}: {len(labels)} labels for {count} images; unpack {ARCHIVE.file_name} again")
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise DataError(
            f"{path}: labels {labels.min() + 1} to {labels.max() + 1}, expected 1 to {CLASSES}; "
            f"unpack {ARCHIVE.file_name} again"
        )
    return labels


def load(split: str, root: Path | None, cache: Path) -> ImageSet:
    """Return the labelled split ``train`` or ``test``, bilinearly resized from 96x96 to 32x32."""
    if split not in COUNTS:
        raise DataError(f"{NAME}: expected split train or test, got {split!r}")
    files = (f"{split}_X.bin", f"{split}_y.bin", NAMES_FILE)
    folder = locate(NAME, ARCHIVE, files, root, cache)
    names = class_list(folder / NAMES_FILE, CLASSES)
    large = decode_images(folder / files[0])
    labels = decode_labels(folder / files[1], len(large))
    images = np.empty((len(large), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    for i, pixels in enumerate(large):
        images[i] = resized(Image.fromarray(np.ascontiguousarray(pixels)))
    return ImageSet(NAME, split, images, labels, names)
