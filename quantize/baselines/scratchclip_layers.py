"""ScratchCLIP's layers as the integers of the network rounded after training: what the hardware cost model prices.

Their values are those that scratchclip_rounded.py computes with, so that the accuracy of that network is theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from spikeclip_fpga.model.baselines.scratchclip import ScratchCLIP
from spikeclip_fpga.model.config import ConfigError

from .integer_layer import ROUNDED, IntegerLayer, as_map, kernel, watch, whole
from .scratchclip_rounded import rounded
from .scratchclip_rounding import ROUNDED_BITS, Grid, Rounding, weight_levels


def scratchclip_layers(net: ScratchCLIP, images: np.ndarray, rounding: Rounding) -> list[IntegerLayer]:
    """Return the layers of the rounded ``net`` in the order data takes, run on (N, 32, 32, 3) uint8 ``images``.

    Raises ConfigError for a rounding to other than ROUNDED_BITS, which no hardware here is made for.
    """
    if rounding.bits != ROUNDED_BITS:
        raise ConfigError(f"ScratchCLIP's layers: expected {ROUNDED_BITS} bits, got {rounding.bits}; calibrate with 8")
    made = rounded(net, rounding)
    entered, left = watch(made, images)
    config, layers = net.config, list[IntegerLayer]()
    requantised = 2**ROUNDED_BITS - 1  # where a ReLU or nothing stands before the next layer

    def whole_map(x: torch.Tensor, grid: Grid) -> np.ndarray:
        return whole(as_map(grid.levels(x), config))

    def weighted(name: str, path: str | None = None, **how: Any) -> None:
        path = path or name
        module, grid = made.get_submodule(path), rounding.entering[path]
        about: dict[str, Any] = {"op": "linear", **how}
        assert isinstance(module.weight, torch.Tensor)
        layers.append(
            IntegerLayer(
                name=name,
                weight=kernel(weight_levels(module.weight, ROUNDED_BITS)[0]),
                weight_bits=ROUNDED_BITS,
                inputs=whole_map(entered[path], grid),
                input_bits=ROUNDED_BITS,
                input_signed=grid.low < 0,
                origin=ROUNDED,
                **about,
            )
        )

    def product(name: str, op: str, inputs: np.ndarray, signed: bool, operand: np.ndarray, levels: int) -> None:
        layers.append(
            IntegerLayer(
                *(name, op, None, 0, inputs, ROUNDED_BITS, signed),
                out_levels=levels,
                operand=operand,
                operand_bits=ROUNDED_BITS,
                operand_signed=True,
                heads=config.heads,
                origin=ROUNDED,
            )
        )

    stages: list[Any] = list(made.tokenizer.stages)
    for i, stage in enumerate(stages):
        pool = None if stage.pool is None else config.pool_kernel
        levels = 0 if i == len(stages) - 1 else requantised
        weighted(f"tokenizer.{i}", f"tokenizer.stages.{i}.conv", op="conv", pad=1, pool=pool, out_levels=levels)
    for i in range(len(made.blocks)):
        name = f"blocks.{i}.attention"
        for part in "qkv":
            weighted(f"{name}.{part}", out_levels=requantised)
        q, k, v = (whole_map(left[path], rounding.leaving[path]) for path in (f"{name}.{part}" for part in "qkv"))
        product(f"{name}.qk", "attention_qk", q, True, k, 0)
        weights = left[f"{name}.softmax"].transpose(1, 2).flatten(2)  # (B, N, heads * N)
        scores = whole_map(weights, rounding.leaving[f"{name}.softmax"])
        product(f"{name}.av", "attention_av", scores, False, v, requantised)
        for path in (f"{name}.proj", f"blocks.{i}.mlp.fc1", f"blocks.{i}.mlp.fc2"):
            weighted(path)
    weighted("readout.project")
    return layers
