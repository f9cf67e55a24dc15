"""Images: every data set as 32x32 RGB in memory."""

from .imageset import IMAGE_SIZE, DataError, ImageSet
from .registry import DATASETS, load

__all__ = ["DATASETS", "IMAGE_SIZE", "DataError", "ImageSet", "load"]
