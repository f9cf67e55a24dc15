"""Image files, read strictly as 32x32 RGB, alike for training and on the board. Needs numpy and Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SIZE = 32
# Named, so that Pillow tries no other: some of its readers start programs (EPS) or are rarely tested.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


class ImageError(RuntimeError):
    """An image that cannot be had or read; the message names the file and the remedy."""


def to_rgb(image: Image.Image) -> Image.Image:
    """Return ``image`` upright (EXIF) and in RGB: transparency dropped, 16-bit grey scaled to 8 bits."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # convert() would clip 16-bit grey to white
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def resized(image: Image.Image) -> np.ndarray:
    """Return an RGB image as (32, 32, 3) uint8, bilinearly resized when its size differs."""
    from PIL import Image

    if image.size != (IMAGE_SIZE, IMAGE_SIZE):
        image = image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return np.asarray(image)


def decode(path: Path, strict_size: bool = False) -> np.ndarray:
    """Return the image file ``path`` as (32, 32, 3) uint8 RGB, bilinearly resized when its size differs.

    Raises ImageError for a file that is missing or no image and, with ``strict_size``, for one of another size.
    """
    from PIL import Image

    if not path.is_file():
        raise ImageError(f"{path}: no such file; give image files or folders of them")
    try:
        with Image.open(path, formats=FORMATS) as opened:
            image = to_rgb(opened)
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(
            f"{path}: not a readable image of {', '.join(FORMATS)} ({reason}); repair or remove it"
        ) from error
    if strict_size and image.size != (IMAGE_SIZE, IMAGE_SIZE):
        width, height = image.size
        raise ImageError(
            f"{path}: expected {IMAGE_SIZE}x{IMAGE_SIZE} pixels, got {width}x{height}; "
            "resize it, or allow it to be resized"
        )
    return resized(image)


def image_files(folder: Path) -> list[Path]:
    """Return the image files directly in ``folder`` by their suffix, sorted by name; raise ImageError if none."""
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise ImageError(f"{folder}: no images in it; expected files ending in {', '.join(SUFFIXES)}")
    return found


def load_images(paths: Path | Sequence[Path], strict_size: bool = False) -> tuple[np.ndarray, list[str]]:
    """Return (N, 32, 32, 3) uint8 images and their N paths as text, in the order given.

    ``paths``: a folder, a file, or a list of both. Raises ImageError naming the first that cannot be read.
    """
    given = [paths] if isinstance(paths, Path) else list(paths)
    if not given:
        raise ImageError("images: none given; give a folder or image files")
    files = [file for path in given for file in (image_files(path) if path.is_dir() else [path])]
    return np.stack([decode(file, strict_size) for file in files]), [str(file) for file in files]
