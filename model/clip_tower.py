"""CLIP's image tower as the teacher, through transformers or OpenCLIP, from weights on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from .text_tower import (
    CLIP,
    CLIP_FILES,
    INSTALL_CLIP,
    OPEN_CLIP,
    TowerError,
    load_open_clip,
    load_transformers,
    require_files,
)

# transformers 5 may save the image settings inside the processor's file.
PREPROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")


def to_clip_input(
    images: torch.Tensor, size: tuple[int, int], mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """Return (N, 3, *size) float32, bicubic and normalised as CLIP saw images, from (N, H, W, 3) uint8."""
    pixels = images.permute(0, 3, 1, 2)
    if pixels.shape[2:] != size:
        # On bytes torch rounds and clips between the two passes, as Pillow does, with which CLIP was trained.
        pixels = F.interpolate(pixels, size, mode="bicubic", align_corners=False, antialias=True)
    pixels = pixels.to(torch.float32) / 255
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


class ClipImageTower:
    """CLIP's image tower through transformers, from a local folder of safetensors (a ``Teacher``)."""

    def __init__(self, folder: Path) -> None:
        require_files(folder, (*CLIP_FILES, PREPROCESSOR_FILES))
        self._mean, self._std = _mean_and_std(folder)
        try:
            from transformers import CLIPModel
        except ImportError as error:
            raise TowerError(f"image tower {CLIP}: {error}; {INSTALL_CLIP}") from error
        model = load_transformers(CLIPModel, folder)
        side = int(model.config.vision_config.image_size)
        self._size = (side, side)
        self._vision, self._project = model.vision_model, model.visual_projection
        self.embed_dim = int(model.config.projection_dim)
        self.logit_scale = float(model.logit_scale.exp())

    @torch.no_grad()
    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, E) float32 unit vectors for (N, 32, 32, 3) uint8 images."""
        pixels = to_clip_input(images, self._size, self._mean, self._std)
        return F.normalize(self._project(self._vision(pixel_values=pixels).pooler_output).float(), dim=-1)


class OpenClipImageTower:
    """An OpenCLIP image tower, from a local safetensors checkpoint (a ``Teacher``)."""

    def __init__(self, model: str, weights: Path) -> None:
        loaded = load_open_clip(model, weights)
        settings = loaded.visual.preprocess_cfg
        size = settings["size"]
        self._size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self._mean, self._std = settings["mean"], settings["std"]
        self._visual = loaded.visual
        self.embed_dim = int(loaded.visual.output_dim)
        self.logit_scale = float(loaded.logit_scale.exp())

    @torch.no_grad()
    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, E) float32 unit vectors for (N, 32, 32, 3) uint8 images."""
        return F.normalize(self._visual(to_clip_input(images, self._size, self._mean, self._std)).float(), dim=-1)


def _mean_and_std(folder: Path) -> tuple[list[float], list[float]]:
    path = next(folder / name for name in PREPROCESSOR_FILES if (folder / name).is_file())
    try:
        settings: dict[str, Any] = json.loads(path.read_text("utf-8"))
        settings = settings.get("image_processor", settings)
        mean, std = ([float(value) for value in settings[key]] for key in ("image_mean", "image_std"))
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ValueError(f"image_mean {mean} and image_std {std}, expected three each, std above 0")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TowerError(f"{path}: no usable image_mean and image_std ({error}); fetch it again") from error
    return mean, std


def image_tower(name: str, weights: Path) -> ClipImageTower | OpenClipImageTower:
    """Return the image tower ``clip`` (``weights``: a folder) or ``open_clip:<model>`` (a file or folder).

    Its embeddings live in the space of the text tower of the same name. Raises TowerError naming what
    is missing.
    """
    if name == CLIP:
        return ClipImageTower(weights)
    kind, _, model = name.partition(":")
    if kind == OPEN_CLIP and model:
        return OpenClipImageTower(model, weights)
    raise TowerError(f"image tower: expected {CLIP} or {OPEN_CLIP}:<model>, got {name!r}")
