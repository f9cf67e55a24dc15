"""The teacher: an image tower whose embeddings live in a text tower's space.

``MiniClip`` is this project's stand-in for CLIP, trained from scratch against a frozen MiniLM text
tower on the data at hand. It is small and knows only that data. ``ClipImageTower`` (clip_tower.py)
is the real CLIP behind the same interface, for users who have its weights.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import checkpoint
from .data import ImageSet
from .data.input import to_input
from .labels import embed_labels, templates
from .memory import channels_last
from .text_tower import TextTower
from .trainer import TrainConfig, distributed, fit


class Teacher(Protocol):
    """What distillation needs of a teacher."""

    embed_dim: int

    @property
    def logit_scale(self) -> float:
        """Factor from cosine similarity to logits."""
        ...

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, E) float32 unit vectors for (N, 32, 32, 3) uint8 images."""
        ...


class _Residual(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inner, outer, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outer),
            nn.ReLU(inplace=True),
            nn.Conv2d(outer, outer, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outer),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or inner != outer:
            self.skip = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(x) + self.skip(x))


class MiniClip(nn.Module):
    """A residual image tower (He et al. 2016) with a linear map into the text tower's space."""

    def __init__(self, width: int = 48, embed_dim: int = 384) -> None:
        super().__init__()
        self.width, self.embed_dim = width, embed_dim
        self.text_tower = ""
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            _Residual(width, width, 1),
            _Residual(width, 2 * width, 2),
            _Residual(2 * width, 2 * width, 1),
            _Residual(2 * width, 4 * width, 2),
            _Residual(4 * width, 4 * width, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.project = nn.Linear(4 * width, embed_dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(20.0)))

    @property
    def logit_scale(self) -> float:
        """Factor from cosine similarity to logits (CLIP's temperature, inverted)."""
        return float(self.log_scale.detach().exp())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (N, E) unit vectors for normalised (N, 3, 32, 32) images."""
        return F.normalize(self.project(self.features(x)).float(), dim=-1)

    @torch.no_grad()
    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, E) float32 unit vectors for (N, 32, 32, 3) uint8 images."""
        self.eval()
        return self(to_input(images))


def train_teacher(data: ImageSet, tower: TextTower, config: TrainConfig, out: Path, width: int = 48) -> MiniClip:
    """Train a MiniClip on ``data`` against the frozen text ``tower`` and write it to ``out``.

    Loss: cross-entropy of scaled cosine similarities over the captions of one template a step, plus
    half the cosine distance to the right caption.
    """
    prompts = templates(data.name)
    captions = [torch.from_numpy(embed_labels(tower, data.class_names, [p])) for p in prompts]
    torch.manual_seed(config.seed)
    module = channels_last(MiniClip(width, captions[0].shape[1]))
    module.text_tower = tower.name

    def step_loss(
        net: nn.Module, images: torch.Tensor, labels: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        caption = captions[step % len(captions)]
        vectors = net(to_input(images))
        with torch.autocast("cpu", enabled=False):
            logits = module.log_scale.exp() * vectors @ caption.T
            align = 1 - (vectors * caption[labels]).sum(1).mean()
            return F.cross_entropy(logits, labels, label_smoothing=0.05) + 0.5 * align, logits

    identity = f"teacher {data.name} {tower.name} {width}"
    fit(
        module,
        step_loss,
        torch.from_numpy(data.images),
        torch.from_numpy(data.labels),
        config,
        out,
        identity,
        "teacher",
    )
    meta = {
        "width": width,
        "embed_dim": module.embed_dim,
        "text_tower": tower.name,
        "dataset": data.name,
        "seed": config.seed,
    }
    if distributed()[0] == 0:
        checkpoint.save(out, "teacher", module.state_dict(), meta)
    return module


def load_teacher(path: Path) -> MiniClip:
    """Return the MiniClip written to ``path``; raise CheckpointError if it is not one."""
    tensors, meta = checkpoint.load(path, "teacher")
    try:
        module = MiniClip(int(meta["width"]), int(meta["embed_dim"]))
        module.text_tower = str(meta["text_tower"])
    except KeyError as error:
        raise checkpoint.CheckpointError(
            f"{path}: its header lacks {error}; make it again with `spikeclip teacher`"
        ) from error
    checkpoint.load_into(module, tensors, path)
    return channels_last(module).eval()


@torch.no_grad()
def embed_all(teacher: Teacher, images: np.ndarray, batch: int = 500) -> torch.Tensor:
    """Return (N, E) embeddings of all ``images`` in float32."""
    return torch.cat([teacher.embed(torch.from_numpy(images[i : i + batch])) for i in range(0, len(images), batch)])
