"""The quantisation-aware SpikeCLIP: the float network with BatchNorm folded in and integer arithmetic.

Built from a float network; trained with the same losses; exported to QONNX by export.py. Layer names
follow model/: ``tokenizer.<i>``, ``blocks.<i>.attention.q`` ...
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import brevitas.nn as qnn
import torch
from torch import nn
from torch.nn import functional as F

from spikeclip_fpga.model import checkpoint
from spikeclip_fpga.model.attention import LinearBN, SpikingMLP, SpikingSelfAttention, split_heads
from spikeclip_fpga.model.baselines.registry import SPIKECLIP, require_kind
from spikeclip_fpga.model.config import ConfigError, ModelConfig
from spikeclip_fpga.model.data.input import PIXEL_SCALE
from spikeclip_fpga.model.memory import channels_last
from spikeclip_fpga.model.readout import Readout
from spikeclip_fpga.model.spikeclip import SpikeCLIP
from spikeclip_fpga.model.tokenizer import ConvStage

from .layers import GridBias, IntLIF, ste_floor, ste_round, weight_scale
from .quantizers import BitWidths, projection_weight, residual_weight, spiking_weight


def fold(weight: torch.Tensor, bn: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight and bias of the layer and its BatchNorm in one."""
    assert bn.running_mean is not None and bn.running_var is not None
    gain = bn.weight / (bn.running_var + bn.eps).sqrt()
    folded = weight * gain.view(-1, *[1] * (weight.dim() - 1))
    return folded.detach().clone(), (bn.bias - bn.running_mean * gain).detach().clone()


class QatConvStage(nn.Module):
    """Conv - pool - LIF (or LIF - pool), or for the last stage Conv - pool onto the residual grid."""

    def __init__(self, stage: ConvStage, config: ModelConfig, bits: BitWidths, index: int) -> None:
        super().__init__()
        width = bits.weight(f"tokenizer.{index}")
        last = stage.lif is None
        quant = residual_weight(width, bits.residual_frac) if last else spiking_weight(width)
        inner, outer = stage.conv.in_channels, stage.conv.out_channels
        self.conv = qnn.QuantConv2d(inner, outer, 3, padding=1, bias=False, **quant)
        weight, bias = fold(stage.conv.weight, stage.bn)
        self.conv.weight.data = weight
        self.pool, self.pool_order = stage.pool, stage.pool_order
        # The first layer sees pixels worth 1/128 each; the others spikes worth 1.
        self.input_scale = PIXEL_SCALE if index == 0 else 1.0
        # Pixels give the first accumulator eight bits of fraction; it needs no more.
        frac_bits = 0 if index == 0 else None
        self.lif = (
            None if last else IntLIF(config.neuron, config.timesteps, outer, broadcast=index == 0, frac_bits=frac_bits)
        )
        self.to_grid = GridBias(outer, bits.residual_frac, axis=1) if last else None
        target = self.to_grid if self.lif is None else self.lif
        assert target is not None
        target.bias.data = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return spikes, or the residual stream's first value from the last stage."""
        x = self.conv(x)
        if self.pool is not None and self.pool_order == "current":
            x = self.pool(x)
        if self.lif is not None:
            x = self.lif(x, weight_scale(self.conv) * self.input_scale)
        elif self.to_grid is not None:
            x = self.to_grid(x)
        if self.pool is not None and self.pool_order == "spike":
            x = self.pool(x)
        return x


class QatLinear(nn.Module):
    """A linear map of spikes whose currents drive neurons. (R, N, C) -> spikes (R, N, C')."""

    def __init__(self, layer: LinearBN, config: ModelConfig, width: int) -> None:
        super().__init__()
        self.linear = qnn.QuantLinear(
            layer.linear.in_features, layer.linear.out_features, bias=False, **spiking_weight(width)
        )
        self.lif = IntLIF(config.neuron, config.timesteps, layer.linear.out_features)
        self.linear.weight.data, self.lif.bias.data = fold(layer.linear.weight, layer.bn)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the spikes."""
        out: torch.Tensor = self.lif(self.linear(x), weight_scale(self.linear))
        return out


class QatResidualLinear(nn.Module):
    """A linear map of spikes onto the residual stream's grid. (R, N, C) -> (R, N, C')."""

    def __init__(self, layer: LinearBN, bits: BitWidths, width: int) -> None:
        super().__init__()
        quant = residual_weight(width, bits.residual_frac)
        self.linear = qnn.QuantLinear(layer.linear.in_features, layer.linear.out_features, bias=False, **quant)
        self.to_grid = GridBias(layer.linear.out_features, bits.residual_frac, axis=2)
        self.linear.weight.data, self.to_grid.bias.data = fold(layer.linear.weight, layer.bn)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is added to the stream."""
        out: torch.Tensor = self.to_grid(self.linear(x))
        return out


class StreamLIF(nn.Module):
    """Neurons that read the residual stream; its grid is their membrane's."""

    scale: torch.Tensor

    def __init__(self, config: ModelConfig, bits: BitWidths) -> None:
        super().__init__()
        self.lif = IntLIF(config.neuron, config.timesteps, config.dim, frac_bits=0, learn_bias=False)
        self.register_buffer("scale", torch.tensor([2.0**-bits.residual_frac]), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the spikes."""
        out: torch.Tensor = self.lif(x, self.scale)
        return out


class QatAttention(nn.Module):
    """Spiking self-attention; see model/attention.py."""

    scale: torch.Tensor

    def __init__(self, layer: SpikingSelfAttention, config: ModelConfig, bits: BitWidths, name: str) -> None:
        super().__init__()
        self.heads = layer.heads
        self.lif_in = StreamLIF(config, bits)
        self.q = QatLinear(layer.q, config, bits.weight(f"{name}.q"))
        self.k = QatLinear(layer.k, config, bits.weight(f"{name}.k"))
        self.v = QatLinear(layer.v, config, bits.weight(f"{name}.v"))
        self.lif_attention = IntLIF(
            config.neuron,
            config.timesteps,
            config.dim,
            v_threshold=config.neuron.v_threshold_attention,
            learn_bias=False,
        )
        self.register_buffer("scale", torch.tensor([config.attention_scale]), persistent=False)
        self.proj = QatResidualLinear(layer.proj, bits, bits.weight(f"{name}.proj"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is added to the residual stream."""
        spikes = self.lif_in(x)
        q, k, v = (split_heads(layer(spikes), self.heads) for layer in (self.q, self.k, self.v))
        counts = q @ (k.transpose(-1, -2) @ v)
        current = (counts * self.scale).transpose(1, 2).flatten(2)
        out: torch.Tensor = self.proj(self.lif_attention(current, self.scale))
        return out


class QatMLP(nn.Module):
    """Spiking MLP; see model/attention.py."""

    def __init__(self, layer: SpikingMLP, config: ModelConfig, bits: BitWidths, name: str) -> None:
        super().__init__()
        self.lif_in = StreamLIF(config, bits)
        self.fc1 = QatLinear(layer.fc1, config, bits.weight(f"{name}.fc1"))
        self.fc2 = QatResidualLinear(layer.fc2, bits, bits.weight(f"{name}.fc2"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is added to the residual stream."""
        out: torch.Tensor = self.fc2(self.fc1(self.lif_in(x)))
        return out


class QatBlock(nn.Module):
    """x + SSA(x), then x + MLP(x)."""

    def __init__(self, block: nn.Module, config: ModelConfig, bits: BitWidths, name: str) -> None:
        super().__init__()
        attention, mlp = block.attention, block.mlp
        assert isinstance(attention, SpikingSelfAttention) and isinstance(mlp, SpikingMLP)
        self.attention = QatAttention(attention, config, bits, f"{name}.attention")
        self.mlp = QatMLP(mlp, config, bits, f"{name}.mlp")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the residual stream after the block."""
        x = x + self.attention(x)
        out: torch.Tensor = x + self.mlp(x)
        return out


class QatReadout(nn.Module):
    """golden.readout in float32: residual stream (T*B, N, D) -> integer embedding (B, E)."""

    time_weight: torch.Tensor

    def __init__(self, layer: Readout, config: ModelConfig, bits: BitWidths) -> None:
        super().__init__()
        self.timesteps, self.tokens = config.timesteps, config.tokens
        self.lif_in = StreamLIF(config, bits)
        if config.readout == "tdw":
            self.time_weight = nn.Parameter(layer.time_weight.detach().clone())
        else:
            self.register_buffer("time_weight", layer.time_weight.detach().clone())
        self.top = 2 ** (bits.time_weight - 1) - 1
        # The largest sum any time weights allow, brought down to a signed word of bits.readout.
        largest = self.tokens * self.timesteps * self.top
        self.shift = max(0, largest.bit_length() - (bits.readout - 1))
        # z is at most ``highest``; beyond 2^24 float32 no longer holds every integer of the product.
        highest, weight = min(largest, 2 ** (bits.readout - 1)), 2 ** (bits.weight("readout.project") - 1)
        if config.dim * highest * weight >= 2**24:
            raise ConfigError(
                f"bit width of readout: {bits.readout} bits times {bits.weight('readout.project')} over {config.dim} "
                "channels exceeds the 24 bits float32 holds; lower readout or last"
            )
        quant = projection_weight(bits.weight("readout.project"))
        self.project = qnn.QuantLinear(config.dim, config.embed_dim, bias=False, **quant)
        self.project.weight.data = layer.project.weight.detach().clone()
        self.bias = nn.Parameter(layer.project.bias.detach().clone())

    def scales(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (value of one unit of the integer time weights, value of one unit of the embedding)."""
        time_scale = self.time_weight.detach().abs().max() / self.top
        return time_scale, weight_scale(self.project) * time_scale * 2**self.shift / self.tokens

    def integer_bias(self) -> torch.Tensor:
        """Return the (E,) bias in units of the embedding."""
        return ste_round(self.bias / self.scales()[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return whole numbers, held in float32."""
        counts = self.lif_in(x).sum(1).unflatten(0, (self.timesteps, -1))
        time_scale, _ = self.scales()
        steps = ste_round(self.time_weight / time_scale).view(-1, 1, 1)
        # Three axes to the end: a two-dimensional product would be exported as Gemm, which FINN does not fold.
        z = ste_floor(((counts * steps).sum(0, keepdim=True) + (2**self.shift >> 1)) * 2.0**-self.shift)
        accumulator = ste_round(self.project(z) * (1 / weight_scale(self.project)))
        return (accumulator + self.integer_bias()).flatten(0, 1)


class QatSpikeCLIP(nn.Module):
    """The quantisation-aware image encoder: images (B, 3, H, W), multiples of 1/128 -> embeddings (B, E).

    The embedding is the integer one, in units of ``readout.scales()[1]``.
    """

    def __init__(self, net: SpikeCLIP, bits: BitWidths) -> None:
        super().__init__()
        self.config, self.bits = net.config, bits
        stages: list[ConvStage] = [s for s in net.tokenizer.stages if isinstance(s, ConvStage)]
        self.tokenizer = nn.ModuleList(QatConvStage(s, net.config, bits, i) for i, s in enumerate(stages))
        self.blocks = nn.ModuleList(QatBlock(b, net.config, bits, f"blocks.{i}") for i, b in enumerate(net.blocks))
        self.readout = QatReadout(net.readout, net.config, bits)

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


def save_qat(net: QatSpikeCLIP, path: Path, meta: dict[str, Any]) -> None:
    """Write the quantisation-aware checkpoint."""
    about = {**meta, "network": SPIKECLIP, "config": net.config.to_json(), "bits": net.bits.to_json()}
    checkpoint.save(path, "qat", net.state_dict(), about)


def load_qat(path: Path) -> tuple[QatSpikeCLIP, dict[str, Any]]:
    """Return the network of a quantisation-aware checkpoint, ready to run, and its meta data."""
    tensors, meta = checkpoint.load(path, "qat")
    require_kind(path, meta, SPIKECLIP, "spikeclip quantize")
    try:
        config, bits = ModelConfig.from_json(meta["config"]), BitWidths.from_json(meta["bits"])
    except (KeyError, ConfigError) as error:
        raise checkpoint.CheckpointError(
            f"{path}: no usable configuration in its header ({error}); make it again with `spikeclip quantize`"
        ) from error
    net = QatSpikeCLIP(SpikeCLIP(config), bits)
    checkpoint.load_into(net, tensors, path)
    return channels_last(net).eval(), meta
