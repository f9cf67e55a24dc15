"""Quantisation-aware fine-tuning: the dual loss of the papers on the network with integer arithmetic."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spikeclip_fpga.model.data import ImageSet
from spikeclip_fpga.model.memory import channels_last
from spikeclip_fpga.model.spikeclip import SpikeCLIP
from spikeclip_fpga.model.teacher import Teacher
from spikeclip_fpga.model.train import distillation_loss
from spikeclip_fpga.model.trainer import TrainConfig, distributed, fit

from .qat import QatSpikeCLIP, save_qat
from .quantizers import BitWidths


def fine_tune(
    qat: nn.Module,
    data: ImageSet,
    teacher: Teacher,
    captions: torch.Tensor,
    config: TrainConfig,
    out: Path,
    identity: str,
    title: str,
) -> None:
    """Train the quantised network ``qat`` in place with the dual loss; ``config.epochs`` of 0 leaves it as it is."""
    if config.epochs > 0:
        images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
        loss = distillation_loss(teacher, captions, align_steps=0)
        fit(qat, loss, images, labels, config, out, identity, title)


def train_qat(
    net: SpikeCLIP,
    data: ImageSet,
    teacher: Teacher,
    captions: torch.Tensor,
    bits: BitWidths,
    config: TrainConfig,
    out: Path,
    meta: dict[str, Any] | None = None,
) -> QatSpikeCLIP:
    """Quantise the float network ``net``, fine-tune it and write the checkpoint to ``out``.

    Always in float32: bfloat16 cannot hold the accumulators exactly. ``config.epochs`` of 0 only quantises.
    """
    config = dataclasses.replace(config, bf16=False)
    torch.manual_seed(config.seed)
    qat = channels_last(QatSpikeCLIP(net, bits))
    identity = f"qat {data.name} {net.config} {bits} {meta} {tuple(captions.shape)}"
    fine_tune(qat, data, teacher, captions, config, out, identity, f"{net.config.preset} qat")
    if distributed()[0] == 0:
        save_qat(qat, out, {**(meta or {}), "qat_epochs": config.epochs, "qat_seed": config.seed})
    return qat.eval()
