"""The QNN's layers as the integers it was trained with.

A layer's inputs, weights and thresholds give the next layer's inputs exactly, so a hardware model can be
driven with them and checked against them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from spikeclip_fpga.model.data.input import PIXEL_SCALE

from ..layers import weight_scale
from .integer_layer import IntegerLayer, as_map, kernel, watch, whole
from .levels import LevelReLU
from .qnn import QnnCLIP


class _Reader:
    """Reads the layers of one network off one run."""

    def __init__(self, net: QnnCLIP, images: np.ndarray) -> None:
        self.net, self.config, self.layers = net, net.config, list[IntegerLayer]()
        self.bits, self.levels = net.activation_bits, 2**net.activation_bits - 1
        self.grid = 2.0**-net.bits.residual_frac
        self.entered, self.left = watch(net, images)
        self.bound = np.zeros(self.config.dim)  # of the residual stream's magnitude, in grid steps

    def weighted(self, name: str, path: str, relu: Any = None, input_scale: float = 1.0, **how: Any) -> None:
        """Add the layer ``name``, whose Brevitas module is ``path`` and which ``relu`` follows, if any does."""
        module: Any = self.net.get_submodule(path)
        about: dict[str, Any] = {"op": "linear", "input_bits": self.bits, "input_signed": False, **how}
        if isinstance(relu, LevelReLU):
            thresholds = relu.thresholds(weight_scale(module) * input_scale)
            about.update(out_levels=self.levels, thresholds=thresholds)
        self.layers.append(
            IntegerLayer(
                name=name,
                weight=kernel(module.quant_weight().int()),
                weight_bits=self.net.bits.weight(name),
                inputs=whole(as_map(self.entered[path] / input_scale, self.config)),
                **about,
            )
        )

    def residual(self, name: str, path: str, to_grid: Any, **how: Any) -> None:
        """Add a layer that feeds the residual stream, and widen the stream's bound by what it can add."""
        self.weighted(name, path, **how)
        weight = self.layers[-1].weight
        assert weight is not None
        step = (weight_scale(self.net.get_submodule(path)) / self.grid).numpy()
        reach = np.abs(weight.reshape(len(weight), -1).astype(np.int64)).sum(1) * self.levels * step
        self.bound += reach + np.abs(to_grid.bias.detach().numpy() / self.grid).round()

    def stream(self, name: str) -> None:
        """Add the thresholds that read the residual stream."""
        relu: Any = self.net.get_submodule(f"{name}.lif")
        self.layers.append(
            IntegerLayer(
                name=name,
                op="threshold",
                weight=None,
                weight_bits=0,
                inputs=whole(as_map(self.entered[name] / self.grid, self.config)),
                input_bits=int(self.bound.max()).bit_length() + 1,
                input_signed=True,
                out_levels=self.levels,
                thresholds=relu.thresholds(torch.tensor([self.grid])),
            )
        )

    def product(self, name: str, op: str, inputs: torch.Tensor, operand: np.ndarray, bits: int, **how: Any) -> None:
        """Add a product of two activations."""
        self.layers.append(
            IntegerLayer(
                name=name,
                op=op,
                weight=None,
                weight_bits=0,
                inputs=whole(as_map(inputs, self.config)),
                input_bits=self.bits,
                input_signed=False,
                operand=operand,
                operand_bits=bits,
                heads=self.config.heads,
                **how,
            )
        )

    def tokenizer(self) -> None:
        """Add the convolutions."""
        stages: list[Any] = list(self.net.tokenizer)
        for i, stage in enumerate(stages):
            name, pool = f"tokenizer.{i}", None if stage.pool is None else self.config.pool_kernel
            how: dict[str, Any] = {"op": "conv", "pad": 1, "pool": pool}
            if i == 0:  # signed bytes
                how.update(input_bits=8, input_signed=True, input_scale=PIXEL_SCALE)
            if stage.lif is None:
                self.residual(name, f"{name}.conv", stage.to_grid, **how)
            else:
                self.weighted(name, f"{name}.conv", stage.lif, **how)

    def block(self, name: str, block: Any) -> None:
        """Add a block's attention and MLP."""
        attention, mlp, config = f"{name}.attention", f"{name}.mlp", self.config
        self.stream(f"{attention}.lif_in")
        for part in "qkv":
            self.weighted(f"{attention}.{part}", f"{attention}.{part}.linear", getattr(block.attention, part).lif)
        q, k, v = (self.left[f"{attention}.{part}"] for part in "qkv")
        self.product(f"{attention}.kv", "attention_kv", k, whole(as_map(v, config)), self.bits)
        heads = [x.unflatten(2, (config.heads, -1)).transpose(1, 2) for x in (k, v)]
        sums = whole(heads[0].transpose(-1, -2) @ heads[1])  # (B, heads, d, d)
        bits = (config.tokens * self.levels**2).bit_length()
        thresholds = block.attention.lif_attention.thresholds(block.attention.scale)
        after = {"out_levels": self.levels, "thresholds": thresholds}
        self.product(f"{attention}.qkv", "attention_qkv", q, sums, bits, **after)
        self.residual(f"{attention}.proj", f"{attention}.proj.linear", block.attention.proj.to_grid)
        self.stream(f"{mlp}.lif_in")
        self.weighted(f"{mlp}.fc1", f"{mlp}.fc1.linear", block.mlp.fc1.lif)
        self.residual(f"{mlp}.fc2", f"{mlp}.fc2.linear", block.mlp.fc2.to_grid)

    def readout(self) -> None:
        """Add the last thresholds and the projection of the token sums."""
        self.stream("readout.lif_in")
        self.weighted("readout.project", "readout.project", input_bits=self.net.readout.highest.bit_length())


def qnn_layers(net: QnnCLIP, images: np.ndarray) -> list[IntegerLayer]:
    """Return the layers of ``net`` in the order data takes, run on (N, 32, 32, 3) uint8 ``images``."""
    reader = _Reader(net, images)
    reader.tokenizer()
    for i, block in enumerate(net.blocks):
        reader.block(f"blocks.{i}", block)
    reader.readout()
    return reader.layers
