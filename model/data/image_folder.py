"""Any folder of images, in the layout of torchvision's ImageFolder: one folder a class, named after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikeclip_fpga.host.images import SUFFIXES

from .decode import decode
from .imageset import IMAGE_SIZE, DataError, ImageSet

NAME = "folder"
SPLITS = ("train", "test", "val")
LAYOUT = "root/<split>/<class>/*.png or root/<class>/*.png"


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _split_folder(root: Path, split: str) -> tuple[Path, str]:
    """Return the folder of the classes and the split's name.

    A folder named like a split is one only if it holds folders: ``train`` may well be a class.
    """
    splits = [path.name for path in _folders(root) if path.name in SPLITS and _folders(path)]
    if not splits:
        return root, "all"
    if split not in splits:
        raise DataError(f"{root}: expected a folder {split}, got {', '.join(splits)}; rename the one that is meant")
    return root / split, split


def load(split: str, root: Path | None, cache: Path) -> ImageSet:
    """Return the images of ``root`` as RGB of 32x32; classes in the order of their folders' names.

    Without split folders every image belongs to every split, and the set's own ``split`` is ``all``.
    Underscores in class names become spaces. Raises DataError naming the first folder or file that
    does not fit. ``cache`` is not used.
    """
    if split not in SPLITS:
        raise DataError(f"{NAME}: expected split {', '.join(SPLITS)}, got {split!r}")
    if root is None:
        raise DataError(f"{NAME}: no folder given; give one laid out as {LAYOUT}")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give one laid out as {LAYOUT}")
    top, found_split = _split_folder(root, split)
    classes = _folders(top)
    if not classes:
        raise DataError(f"{top}: no folders in it, expected one for each class; lay it out as {LAYOUT}")
    names = tuple(folder.name.replace("_", " ") for folder in classes)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{top}: two class folders are both named {twice!r}; merge or rename one")
    files = [_images(folder) for folder in classes]
    for folder, found in zip(classes, files, strict=True):
        if not found:
            raise DataError(f"{folder}: no images in it ({', '.join(SUFFIXES)}); add some or remove the folder")
    images = np.empty((sum(map(len, files)), IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    for i, path in enumerate(path for found in files for path in found):
        images[i] = decode(path)
    labels = np.repeat(np.arange(len(files), dtype=np.int64), [len(found) for found in files])
    return ImageSet(NAME, found_split, images, labels, names)
