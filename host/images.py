"""Image files, read strictly as 32x32 RGB, alike for training and on the board. Needs numpy and Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

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


def sized(image: Image.Image, name: str, strict_size: bool = False) -> np.ndarray:
    """Return an RGB image as (32, 32, 3) uint8, resized or, with ``strict_size``, refused if its size differs.

    name: what messages call it. Raises ImageError.
    """
    if strict_size and image.size != (IMAGE_SIZE, IMAGE_SIZE):
        width, height = image.size
        raise ImageError(
            f"{name}: expected {IMAGE_SIZE}x{IMAGE_SIZE} pixels, got {width}x{height}; "
            "resize it, or allow it to be resized"
        )
    return resized(image)


def read_rgb(source: Path | BinaryIO, name: str, max_pixels: int | None = None) -> tuple[Image.Image, str]:
    """Return an image file as an RGB picture of its own size, and its format, one of FORMATS.

    name: what messages call it. max_pixels: refuse larger ones before they are decoded. Raises ImageError.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(source, formats=FORMATS) as opened:
            width, height = opened.size
            if max_pixels is not None and width * height > max_pixels:
                raise ImageError(
                    f"{name}: {width}x{height} pixels, expected at most {max_pixels:,} in all; scale it down"
                )
            return to_rgb(opened), str(opened.format)
    except ImageError:
        raise
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, UnidentifiedImageError) and not isinstance(source, Path):
            reason = "unknown kind"  # Pillow's text would name an object in memory
        raise ImageError(
            f"{name}: not a readable image of {', '.join(FORMATS)} ({reason}); repair or remove it"
        ) from error


def decode(path: Path, strict_size: bool = False) -> np.ndarray:
    """Return the image file ``path`` as (32, 32, 3) uint8 RGB, bilinearly resized when its size differs.

    Raises ImageError for a file that is missing or no image and, with ``strict_size``, for one of another size.
    """
    if not path.is_file():
        raise ImageError(f"{path}: no such file; give image files or folders of them")
    image, _ = read_rgb(path, str(path))
    return sized(image, str(path), strict_size)


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
