"""What every data set becomes: 32x32 RGB images, labels and class names, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

IMAGE_SIZE = 32


class DataError(RuntimeError):
    """Images that cannot be had or read; the message names the file and the remedy."""


@dataclass(frozen=True)
class ImageSet:
    """One split of a data set.

    images: (N, 32, 32, 3) uint8, RGB.  labels: (N,) int64 in 0..len(class_names)-1.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE, 3):
            raise DataError(
                f"{self.name}/{self.split}: expected uint8 images (N, {IMAGE_SIZE}, {IMAGE_SIZE}, 3), "
                f"got {self.images.dtype} {self.images.shape}"
            )
        if self.labels.shape != (len(self.images),):
            raise DataError(f"{self.name}/{self.split}: {len(self.images)} images but {self.labels.shape} labels")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.class_names):
            raise DataError(
                f"{self.name}/{self.split}: labels {self.labels.min()} to {self.labels.max()}, "
                f"but {len(self.class_names)} class names"
            )

    def __len__(self) -> int:
        return len(self.images)

    def take(self, count: int) -> ImageSet:
        """Return the first ``count`` images, in order."""
        return ImageSet(self.name, self.split, self.images[:count], self.labels[:count], self.class_names)
