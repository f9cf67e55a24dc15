"""Distil an image encoder from a teacher: alignment pre-training, then dual-loss fine-tuning.

The network is a SpikeCLIP, or one of the baselines it is compared with; all are trained and evaluated here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from . import checkpoint
from .baselines.registry import SPIKECLIP, Network, build, load_float
from .config import ConfigError, ModelConfig
from .data import ImageSet
from .data.input import to_input
from .losses import alignment_loss, dual_loss
from .memory import channels_last
from .spikeclip import SpikeCLIP
from .teacher import Teacher
from .trainer import StepLoss, TrainConfig, distributed, fit


def distillation_loss(teacher: Teacher, captions: torch.Tensor, align_steps: int, alpha: float = 1.0) -> StepLoss:
    """Return the loss of one step: eq. 3 for the first ``align_steps`` steps, eq. 6 afterwards.

    captions: (K, E) unit vectors of the class names. The teacher sees the same augmented images.
    """
    scale = teacher.logit_scale

    def step_loss(
        net: nn.Module, images: torch.Tensor, labels: torch.Tensor, step: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        target = teacher.embed(images)
        vectors = net(to_input(images)).float()
        with torch.autocast("cpu", enabled=False):
            logits = scale * F.normalize(vectors, dim=-1) @ captions.T
            if step < align_steps:
                return alignment_loss(vectors, target), logits
            return dual_loss(logits, scale * target @ captions.T, labels, alpha), logits

    return step_loss


def train_student(
    data: ImageSet,
    teacher: Teacher,
    captions: torch.Tensor,
    model: ModelConfig,
    config: TrainConfig,
    out: Path,
    align_share: float = 0.5,
    alpha: float = 1.0,
    meta: dict[str, Any] | None = None,
    network: str = SPIKECLIP,
) -> Network:
    """Train a network of kind ``network`` and configuration ``model``; write the float checkpoint to ``out``.

    The first ``align_share`` of the steps aligns embeddings, the rest fine-tunes with the dual loss.
    """
    if model.embed_dim != teacher.embed_dim or captions.shape[1] != teacher.embed_dim:
        raise ConfigError(
            f"embed_dim: student {model.embed_dim}, teacher {teacher.embed_dim}, labels {captions.shape[1]}; "
            "give the student the teacher's, and labels of the teacher's text tower"
        )
    torch.manual_seed(config.seed)
    net = channels_last(build(network, model))
    steps = max(1, round(config.epochs * (len(data) // config.batch_size)))
    loss = distillation_loss(teacher, captions, round(align_share * steps), alpha)
    student = "student" if network == SPIKECLIP else network
    identity = f"{student} {data.name} {model} {align_share} {alpha} {meta} {tuple(captions.shape)}"
    fit(
        net,
        loss,
        torch.from_numpy(data.images),
        torch.from_numpy(data.labels),
        config,
        out,
        identity,
        f"{model.preset} float" if network == SPIKECLIP else f"{model.preset} {network} float",
    )
    about = {
        "network": network,
        "config": model.to_json(),
        "dataset": data.name,
        "seed": config.seed,
        "epochs": config.epochs,
    }
    if distributed()[0] == 0:
        checkpoint.save(out, "float", net.state_dict(), {**(meta or {}), **about})
    return net


def load_student(path: Path) -> tuple[SpikeCLIP, dict[str, Any]]:
    """Return the SpikeCLIP of a float checkpoint, ready to run, and its meta data."""
    net, meta = load_float(path, SPIKECLIP)
    assert isinstance(net, SpikeCLIP)
    return net, meta


@torch.no_grad()
def embed_images(net: nn.Module, images: np.ndarray, batch: int = 250) -> np.ndarray:
    """Return (N, E) float32 embeddings of (N, 32, 32, 3) uint8 images, not normalised, computed in float32."""
    net.eval()
    parts = [net(to_input(images[i : i + batch])).float().numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts)


def accuracy(embeddings: np.ndarray, captions: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images, in percent, whose nearest caption by cosine similarity is their label's.

    embeddings: (N, E), any positive scale.  captions: (K, E) unit vectors.
    """
    return float(100 * np.mean((embeddings @ captions.T).argmax(1) == labels))
