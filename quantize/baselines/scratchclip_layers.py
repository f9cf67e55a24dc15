"""ScratchCLIP's layers rounded to 8 bits after training: for the hardware cost only.

Weights per channel, activations per tensor, both symmetric, ranges from the given images. Nobody
measured the accuracy of such a network, and it is not claimed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from spikeclip_fpga.model.baselines.scratchclip import ScratchCLIP
from spikeclip_fpga.model.data.input import PIXEL_SCALE

from ..qat import fold
from .integer_layer import ROUNDED, IntegerLayer, as_map, kernel, watch, whole

ROUNDED_BITS = 8


def _round(x: torch.Tensor, signed: bool) -> np.ndarray:
    """Return ``x`` on the 8-bit grid that its largest magnitude spans."""
    top = 2 ** (ROUNDED_BITS - 1) - 1 if signed else 2**ROUNDED_BITS - 1
    return whole((x.detach() * (top / x.detach().abs().max().clamp_min(1e-30))).clamp(-top if signed else 0, top))


def scratchclip_layers(net: ScratchCLIP, images: np.ndarray) -> list[IntegerLayer]:
    """Return the layers of ``net`` in the order data takes, run on (N, 32, 32, 3) uint8 ``images``."""
    entered, left = watch(net, images)
    config, layers = net.config, list[IntegerLayer]()
    requantised = 2**ROUNDED_BITS - 1  # where a ReLU or nothing stands before the next layer

    def linear(name: str, weight: torch.Tensor, inputs: torch.Tensor, signed: bool = True, **how: Any) -> None:
        flat = weight.detach().flatten(1)
        scale = flat.abs().amax(1).clamp_min(1e-30) / (2 ** (ROUNDED_BITS - 1) - 1)
        on_grid = weight.detach() / scale.view(-1, *[1] * (weight.dim() - 1))
        about: dict[str, Any] = {"op": "linear", **how}
        pixels = name == "tokenizer.0"  # bytes already
        values = whole(as_map(inputs / PIXEL_SCALE, config)) if pixels else _round(as_map(inputs, config), signed)
        layers.append(
            IntegerLayer(
                name=name,
                weight=kernel(on_grid),
                weight_bits=ROUNDED_BITS,
                inputs=values,
                input_bits=ROUNDED_BITS,
                input_signed=signed,
                origin=ROUNDED,
                **about,
            )
        )

    def product(name: str, op: str, inputs: torch.Tensor, operand: torch.Tensor, signed: bool, levels: int) -> None:
        layers.append(
            IntegerLayer(
                name,
                op,
                None,
                0,
                _round(as_map(inputs, config), signed),
                ROUNDED_BITS,
                signed,
                out_levels=levels,
                operand=_round(as_map(operand, config), True),
                operand_bits=ROUNDED_BITS,
                operand_signed=True,
                heads=config.heads,
                origin=ROUNDED,
            )
        )

    stages: list[Any] = list(net.tokenizer.stages)
    for i, stage in enumerate(stages):
        weight, _ = fold(stage.conv.weight, stage.bn)
        pool = None if stage.pool is None else config.pool_kernel
        last = i == len(stages) - 1
        how = {"op": "conv", "pad": 1, "pool": pool, "out_levels": 0 if last else requantised}
        linear(f"tokenizer.{i}", weight, entered[f"tokenizer.stages.{i}.conv"], signed=i == 0, **how)
    for i, block in enumerate(net.blocks):
        parts: Any = block
        name = f"blocks.{i}.attention"
        for part in "qkv":
            layer = getattr(parts.attention, part)
            linear(f"{name}.{part}", layer.weight, entered[f"{name}.{part}"], out_levels=requantised)
        q, k, v = (left[f"{name}.{part}"] for part in "qkv")
        product(f"{name}.qk", "attention_qk", q, k, True, 0)
        weights = left[f"{name}.softmax"].transpose(1, 2).flatten(2)  # (B, N, heads * N)
        product(f"{name}.av", "attention_av", weights, v, False, requantised)
        linear(f"{name}.proj", parts.attention.proj.weight, entered[f"{name}.proj"])
        name = f"blocks.{i}.mlp"
        linear(f"{name}.fc1", parts.mlp.fc1.weight, entered[f"{name}.fc1"])
        linear(f"{name}.fc2", parts.mlp.fc2.weight, entered[f"{name}.fc2"])
    linear("readout.project", net.readout.project.weight, entered["readout.project"])
    return layers
