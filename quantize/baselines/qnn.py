"""The quantised ANN of SpikeCLIP's topology: the fair baseline of a spiking network (Yan et al. 2024).

An SNN of T steps carries ceil(log2(T+1)) bits per activation, 3 for T = 4. This is SpikeCLIP's own
quantisation-aware network (qat.py: the same layers, names, bit widths, folded BatchNorm and fixed-point
residual stream) with each neuron exchanged for a ReLU of that many bits, and without time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import torch
from torch import nn
from torch.nn import functional as F

from spikeclip_fpga.model import checkpoint
from spikeclip_fpga.model.baselines.ann import AnnCLIP, attention_scale
from spikeclip_fpga.model.baselines.readout import MeanReadout
from spikeclip_fpga.model.baselines.registry import kind_of
from spikeclip_fpga.model.config import ConfigError, ModelConfig
from spikeclip_fpga.model.memory import channels_last
from spikeclip_fpga.model.tokenizer import ConvStage

from ..layers import ste_floor, ste_round, weight_scale
from ..qat import QatBlock, QatConvStage, StreamLIF
from ..quantizers import BitWidths, projection_weight
from .levels import LevelReLU, with_levels

ACTIVATION_BITS = 3


class QnnReadout(nn.Module):
    """Residual stream (B, N, D) -> integer embedding (B, E): levels, summed over tokens, projected."""

    def __init__(self, layer: MeanReadout, config: ModelConfig, bits: BitWidths, levels: int) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.lif_in = StreamLIF(config, bits)
        largest = self.tokens * levels
        self.shift = max(0, largest.bit_length() - (bits.readout - 1))
        self.highest, width = (largest + (2**self.shift >> 1)) >> self.shift, bits.weight("readout.project")
        if config.dim * self.highest * 2 ** (width - 1) >= 2**24:
            raise ConfigError(
                f"bit width of readout: sums up to {self.highest} times {width} bits over {config.dim} channels exceed "
                "the 24 bits float32 holds; lower readout or last"
            )
        self.project = qnn.QuantLinear(config.dim, config.embed_dim, bias=False, **projection_weight(width))
        self.project.weight.data = layer.project.weight.detach().clone()
        self.bias = nn.Parameter(layer.project.bias.detach().clone())

    def scale(self) -> torch.Tensor:
        """Return the (1,) value of one unit of the embedding."""
        return weight_scale(self.project) * 2**self.shift / self.tokens

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return whole numbers, held in float32."""
        z = ste_floor((self.lif_in(x).sum(1) + (2**self.shift >> 1)) * 2.0**-self.shift)
        accumulator = ste_round(self.project(z) / weight_scale(self.project))
        return accumulator + ste_round(self.bias / self.scale())


class QnnCLIP(nn.Module):
    """Images (B, 3, H, W), multiples of 1/128 -> integer embeddings (B, E), in units of ``readout.scale()``.

    ``steps`` (levels.calibrate) are the activations' steps by the float network's ReLU names; without
    them every step is 1, as for weights that are loaded afterwards.
    """

    def __init__(
        self,
        net: AnnCLIP,
        bits: BitWidths,
        activation_bits: int = ACTIVATION_BITS,
        steps: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        config = net.config
        if not 1 <= activation_bits <= 8:
            raise ConfigError(f"activation bits: expected 1 to 8, got {activation_bits}")
        levels = 2**activation_bits - 1
        largest = levels**3 * config.tokens * (config.dim // config.heads)
        if largest >= 2**24:
            raise ConfigError(
                f"activation bits: {activation_bits} bits make attention's sums of {config.tokens} tokens reach "
                f"{largest}, which exceeds the 24 bits float32 holds; use fewer"
            )
        self.config, self.bits, self.activation_bits = config, bits, activation_bits
        stages: list[ConvStage] = [s for s in net.tokenizer.stages if isinstance(s, ConvStage)]
        self.tokenizer = nn.ModuleList(QatConvStage(s, config, bits, i) for i, s in enumerate(stages))
        self.blocks = nn.ModuleList(QatBlock(b, config, bits, f"blocks.{i}") for i, b in enumerate(net.blocks))
        self.readout = QnnReadout(net.readout, config, bits, levels)
        with_levels(self, levels)
        if steps is not None:
            self._set_steps(steps)

    @torch.no_grad()
    def _set_steps(self, steps: dict[str, float]) -> None:
        """Give each activation its step, and the layers that read it the worth of a level."""

        def give(relu: Any, step: float, *readers: Any) -> None:
            assert isinstance(relu, LevelReLU)
            relu.log_step.fill_(torch.tensor(step).log())
            for reader in readers:
                reader.weight.mul_(step)

        stages: list[Any] = list(self.tokenizer)
        for i in range(len(stages) - 1):
            give(stages[i].lif, steps[f"tokenizer.stages.{i}.lif"], stages[i + 1].conv)
        blocks: list[Any] = list(self.blocks)
        for i, block in enumerate(blocks):
            attention, mlp, name = block.attention, block.mlp, f"blocks.{i}"
            q, k, v = (steps[f"{name}.attention.lif_{x}"] for x in "qkv")
            projections = (attention.q.linear, attention.k.linear, attention.v.linear)
            give(attention.lif_in.lif, steps[f"{name}.attention.lif_in"], *projections)
            for layer, step in ((attention.q, q), (attention.k, k), (attention.v, v)):
                give(layer.lif, step)
            after = steps[f"{name}.attention.lif_attention"]
            give(attention.lif_attention, after, attention.proj.linear)
            # Its currents are products of three levels times ``attention.scale``, not times what they are worth.
            worth = attention_scale(self.config) * q * k * v / float(attention.scale)
            attention.lif_attention.log_step.sub_(torch.tensor(worth).log())
            give(mlp.lif_in.lif, steps[f"{name}.mlp.lif_in"], mlp.fc1.linear)
            give(mlp.fc1.lif, steps[f"{name}.mlp.lif_hidden"], mlp.fc2.linear)
        give(self.readout.lif_in.lif, steps["readout.last"], self.readout.project)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the integer embeddings, held in float32."""
        x = images
        for stage in self.tokenizer:
            x = stage(x)
        x = x.permute(0, 2, 3, 1).flatten(1, 2)
        for block in self.blocks:
            x = block(x)
        out: torch.Tensor = self.readout(x)
        return out

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embeddings as unit vectors."""
        return F.normalize(self(images), dim=-1)


def save_qnn(net: QnnCLIP, path: Path, meta: dict[str, Any]) -> None:
    """Write the quantisation-aware checkpoint; its network's kind is ``qnn<activation bits>``."""
    about = {
        **meta,
        "network": f"qnn{net.activation_bits}",
        "activation_bits": net.activation_bits,
        "config": net.config.to_json(),
        "bits": net.bits.to_json(),
    }
    checkpoint.save(path, "qat", net.state_dict(), about)


def load_qnn(path: Path) -> tuple[QnnCLIP, dict[str, Any]]:
    """Return the network of a quantised ANN's checkpoint, ready to run, and its meta data.

    Raises CheckpointError if the file is no such checkpoint.
    """
    tensors, meta = checkpoint.load(path, "qat")
    remedy = "make it with `spikeclip quantize` from an ann checkpoint"
    if not kind_of(meta).startswith("qnn"):
        raise checkpoint.CheckpointError(f"{path}: holds a {kind_of(meta)!r} network where a QNN is needed; {remedy}")
    try:
        config, bits = ModelConfig.from_json(meta["config"]), BitWidths.from_json(meta["bits"])
        net = QnnCLIP(AnnCLIP(config), bits, int(meta["activation_bits"]))
    except (KeyError, TypeError, ValueError) as error:
        raise checkpoint.CheckpointError(
            f"{path}: no usable configuration in its header ({error}); {remedy}"
        ) from error
    checkpoint.load_into(net, tensors, path)
    return channels_last(net).eval(), meta
