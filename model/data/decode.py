"""Image files and lists of class names, read strictly."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikeclip_fpga.host import images

from .imageset import DataError


def decode(path: Path) -> np.ndarray:
    """Return the image file ``path`` as (32, 32, 3) uint8 RGB, as the board reads it; raise DataError if it is none."""
    try:
        return images.decode(path)
    except images.ImageError as error:
        raise DataError(str(error)) from error


def class_list(path: Path, count: int) -> tuple[str, ...]:
    """Return the ``count`` class names in ``path``, one a line, with spaces for underscores."""
    try:
        names = tuple(line.strip().replace("_", " ") for line in path.read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a list of class names ({error}); unpack the archive again") from error
    if len(names) != count:
        raise DataError(f"{path}: {len(names)} class names, expected {count}; unpack the archive again")
    return names
