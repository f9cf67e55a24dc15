"""One layer of a baseline as integers, and how values of a network are read as such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from spikeclip_fpga.model.config import ModelConfig
from spikeclip_fpga.model.data.input import to_input

TRAINED = "trained"
ROUNDED = "rounded to 8 bits after training"


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """One layer that multiplies, or (op ``threshold``) only compares the residual stream with thresholds.

    op: ``conv``, ``linear`` (weight (O, kh, kw, I), stride 1), ``threshold`` (no weight), or a product of
    two activations, heads apart: ``attention_kv`` K^T V and ``attention_qkv`` Q (K^T V) of the QNN,
    ``attention_qk`` Q K^T and ``attention_av`` softmax(.) V of ScratchCLIP, whose second factor is ``operand``.
    inputs: (N, H, W, I) integers; for linear layers H = W is the side of the token grid, or 1.
    pool: kernel of the max-pool (stride 2) on the accumulators, or None.  out_levels: thresholds per
    channel after it, 0 if the accumulators go on as they are.  thresholds: (O, out_levels) on the bare
    accumulator (the bias is in them), where they are known; a level counts those that are reached.
    heads: of attention; operand_bits, operand_signed: of ``operand``.  origin: where the integers come from.
    """

    name: str
    op: str
    weight: np.ndarray | None
    weight_bits: int
    inputs: np.ndarray
    input_bits: int
    input_signed: bool
    pad: int = 0
    pool: int | None = None
    out_levels: int = 0
    thresholds: np.ndarray | None = None
    operand: np.ndarray | None = None
    operand_bits: int = 0
    operand_signed: bool = False
    heads: int = 1
    origin: str = TRAINED


def watch(net: nn.Module, images: np.ndarray) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return what enters and what leaves each module of ``net``, by module name."""
    entered: dict[str, torch.Tensor] = {}
    left: dict[str, torch.Tensor] = {}

    def note(name: str) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            if args:  # Brevitas' inner modules may take nothing
                entered[name], left[name] = args[0], out

        return hook

    hooks = [module.register_forward_hook(note(name)) for name, module in net.named_modules() if name]
    with torch.no_grad():
        net.eval()(to_input(images))
    for hook in hooks:
        hook.remove()
    return entered, left


def whole(x: torch.Tensor) -> np.ndarray:
    """Return whole numbers held in float32, as the narrowest integers that hold them."""
    values = x.detach().double().round().long().numpy()
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for kind in (np.uint8, np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.ascontiguousarray(values.astype(kind))
    return values


def as_map(x: torch.Tensor, config: ModelConfig) -> torch.Tensor:
    """Return a map (B, C, H, W), tokens (B, N, C) or vectors (B, C) as (B, H, W, C)."""
    if x.dim() == 4:
        return x.permute(0, 2, 3, 1)
    return x[:, None, None] if x.dim() == 2 else x.unflatten(1, (config.grid, config.grid))


def kernel(weight: torch.Tensor) -> np.ndarray:
    """Return (O, I, kh, kw) or (O, I) whole numbers as (O, kh, kw, I) int8."""
    whole = weight if weight.dim() == 4 else weight[:, :, None, None]
    return np.ascontiguousarray(whole.detach().round().permute(0, 2, 3, 1).numpy().astype(np.int8))
