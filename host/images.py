"""Image files to classify: read strictly, as 32x32 RGB. Needs numpy and Pillow, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

IMAGE_SIZE = 32
# Named, so that Pillow tries no other: some of its readers start programs (EPS) or are rarely tested.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


class ImageError(RuntimeError):
    """An image that cannot be had or read; the message names the file and the remedy."""


def decode(path: Path, strict_size: bool = False) -> np.ndarray:
    """Return the image file ``path`` as (32, 32, 3) uint8 RGB, bilinearly resized when its size differs.

    EXIF turns are applied, transparency is dropped, 16-bit grey is scaled to 8 bits. Raises ImageError
    for a file that is no image and, with ``strict_size``, for one of another size.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=FORMATS) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):  # convert() would clip 16-bit grey to white
                image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
            image = image.convert("RGB")
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(
            f"{path}: not a readable image of {', '.join(FORMATS)} ({reason}); repair or remove it"
        ) from error
    if image.size != (IMAGE_SIZE, IMAGE_SIZE):
        if strict_size:
            width, height = image.size
            raise ImageError(
                f"{path}: expected {IMAGE_SIZE}x{IMAGE_SIZE} pixels, got {width}x{height}; "
                "resize it, or allow it to be resized"
            )
        image = image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return np.asarray(image)


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
