"""Image files and lists of class names, read strictly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .imageset import IMAGE_SIZE, DataError

# Named, so that Pillow tries no other: some of its readers start programs (EPS) or are rarely tested.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def resized(image: Image.Image) -> np.ndarray:
    """Return an RGB image as (32, 32, 3) uint8, bilinearly resized when its size differs."""
    if image.size != (IMAGE_SIZE, IMAGE_SIZE):
        image = image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return np.asarray(image)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return ``image`` upright (EXIF) and in RGB: transparency dropped, 16-bit grey scaled to 8 bits."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # convert() would clip 16-bit grey to white
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def decode(path: Path) -> np.ndarray:
    """Return the image file ``path`` as (32, 32, 3) uint8 RGB; raise DataError if it is none."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return resized(to_rgb(image))
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: not a readable image of {', '.join(FORMATS)} ({reason}); repair or remove it"
        ) from error


def class_list(path: Path, count: int) -> tuple[str, ...]:
    """Return the ``count`` class names in ``path``, one a line, with spaces for underscores."""
    try:
        names = tuple(line.strip().replace("_", " ") for line in path.read_text("utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a list of class names ({error}); unpack the archive again") from error
    if len(names) != count:
        raise DataError(f"{path}: {len(names)} class names, expected {count}; unpack the archive again")
    return names
