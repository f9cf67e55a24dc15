"""All data sets by name, behind one function."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from . import cifar, fashion_mnist, image_folder, stl10
from .imageset import DataError, ImageSet

Loader = Callable[[str, Path | None, Path], ImageSet]

DATASETS: dict[str, Loader] = {
    fashion_mnist.NAME: fashion_mnist.load,
    cifar.CIFAR10.name: cifar.load_cifar10,
    cifar.CIFAR100.name: cifar.load_cifar100,
    stl10.NAME: stl10.load,
    image_folder.NAME: image_folder.load,
}


def cache_folder() -> Path:
    """Folder for what is fetched: $SPIKECLIP_DATA, else the user's cache folder."""
    chosen = os.environ.get("SPIKECLIP_DATA")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "spikeclip-fpga"


def load(name: str, split: str, root: Path | None = None) -> ImageSet:
    """Return split ``train`` or ``test`` of the data set ``name``; fetch it where that is possible.

    ``root`` is the folder that holds it, and needed for ``folder``; with it, nothing is fetched.
    Raises DataError naming what is missing and where to put it.
    """
    if name not in DATASETS:
        raise DataError(f"data set: expected one of {', '.join(DATASETS)}, got {name!r}")
    return DATASETS[name](split, root, cache_folder())
