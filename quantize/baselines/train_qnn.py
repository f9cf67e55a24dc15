"""Quantisation-aware fine-tuning of the ANN baseline: train_qat.py's losses and settings on the QNN."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from spikeclip_fpga.model.baselines.ann import AnnCLIP
from spikeclip_fpga.model.data import ImageSet
from spikeclip_fpga.model.data.input import to_input
from spikeclip_fpga.model.memory import channels_last
from spikeclip_fpga.model.teacher import Teacher
from spikeclip_fpga.model.trainer import TrainConfig, distributed

from ..quantizers import BitWidths
from ..train_qat import fine_tune
from .levels import calibrate
from .qnn import ACTIVATION_BITS, QnnCLIP, save_qnn

CALIBRATION_IMAGES = 512


def train_qnn(
    net: AnnCLIP,
    data: ImageSet,
    teacher: Teacher,
    captions: torch.Tensor,
    bits: BitWidths,
    config: TrainConfig,
    out: Path,
    meta: dict[str, Any] | None = None,
    activation_bits: int = ACTIVATION_BITS,
) -> QnnCLIP:
    """Calibrate on the first training images, quantise the float ANN, fine-tune it, write the checkpoint to ``out``.

    ``config.epochs`` of 0 only calibrates and quantises.
    """
    config = dataclasses.replace(config, bf16=False)
    torch.manual_seed(config.seed)
    steps = calibrate(net, to_input(data.images[:CALIBRATION_IMAGES]), 2**activation_bits - 1)
    qat = channels_last(QnnCLIP(net, bits, activation_bits, steps))
    identity = f"qnn{activation_bits} {data.name} {net.config} {bits} {meta} {tuple(captions.shape)}"
    fine_tune(qat, data, teacher, captions, config, out, identity, f"{net.config.preset} qnn{activation_bits}")
    if distributed()[0] == 0:
        save_qnn(qat, out, {**(meta or {}), "qat_epochs": config.epochs, "qat_seed": config.seed})
    return qat.eval()
