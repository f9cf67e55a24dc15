"""Layers of the quantisation-aware network. Their arithmetic is golden.py's, carried in float32.

Every value a layer hands on is exact: spikes are 0 or 1, the residual stream lies on a power-of-two
grid, and a neuron first recovers its integer accumulator from the current by rounding, so that the
order in which float32 added the products cannot matter.
"""

from __future__ import annotations

import ctypes
from typing import Any

import brevitas.nn as qnn
import torch
from torch import nn

from spikeclip_fpga.model.config import NeuronConfig
from spikeclip_fpga.model.neuron import lif_library, pointer

DOMAIN = "spikeclip_fpga.quantize.ops"
_F, _I, _L = ctypes.c_float, ctypes.c_int, ctypes.c_int64


def ste_round(x: torch.Tensor) -> torch.Tensor:
    """Round to the nearest integer (ties to even); the gradient passes unchanged."""
    return x + (x.round() - x).detach() if x.requires_grad else x.round()


def ste_floor(x: torch.Tensor) -> torch.Tensor:
    """Round down; the gradient passes unchanged."""
    return x + (x.floor() - x).detach() if x.requires_grad else x.floor()


class _IntLIFFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, bias: torch.Tensor, grid: dict[str, torch.Tensor], lif: IntLIF
    ) -> torch.Tensor:
        neuron, steps = lif.neuron, lif.timesteps
        if x.dtype != torch.float32:
            raise TypeError(f"IntLIF: expected float32 currents, got {x.dtype}; train without bf16")
        layout = torch.channels_last if x.dim() == 4 else torch.contiguous_format
        x = x.contiguous(memory_format=layout)
        rows = x.shape[0] * steps if lif.broadcast else x.shape[0]
        spikes = torch.empty((rows, *x.shape[1:]), memory_format=layout)
        channels = grid["threshold"].numel()
        n = x.numel() if lif.broadcast else x.numel() // steps
        slopes = torch.empty_like(spikes) if any(ctx.needs_input_grad[:2]) else None
        peak = ctypes.c_int32(0)
        lif_library().sc_lif_int_forward(
            *(pointer(t) for t in (x, spikes, slopes)),
            *(_L(n // channels), _I(channels), _I(steps), _I(lif.broadcast), pointer(grid["inverse_scale"])),
            *(_I(lif.frac_bits), pointer(grid["threshold"]), pointer(grid["bias"])),
            *(_I(neuron.leak_multiplier), _I(neuron.leak_bits), _F(neuron.input_gain), _F(neuron.surrogate_alpha)),
            *(_F(lif.v_threshold), _I(neuron.reset == "zero"), ctypes.byref(peak)),
        )
        if (peak.value + 1) * max(1, neuron.leak_multiplier) >= 2**31:
            raise ArithmeticError(
                f"a membrane reached {peak.value}: too large for 32-bit arithmetic; lower membrane_frac_bits"
            )
        ctx.save_for_backward(spikes, slopes)
        ctx.about = (lif, x.shape, layout, n)
        return spikes

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        spikes, slopes = ctx.saved_tensors
        lif, shape, layout, n = ctx.about
        leak = lif.neuron.leak_multiplier / 2**lif.neuron.leak_bits
        g = torch.empty_like(slopes).copy_(grads[0]) if grads[0].stride() != slopes.stride() else grads[0]
        gx = torch.empty(shape, memory_format=layout)
        lif_library().sc_lif_backward_f32(
            *(pointer(t) for t in (g, slopes, spikes, None, gx)),
            *(_L(n), _I(lif.timesteps), _I(lif.broadcast), _F(leak), _F(lif.neuron.input_gain), _F(lif.v_threshold)),
            *(_I(lif.neuron.reset == "zero"), _I(1)),
        )
        over = (0, 2, 3) if gx.dim() == 4 else (0, 1)
        return gx, gx.sum(over), None, None


class IntLIF(nn.Module):
    """The integer neuron of golden.lif inside a float network; bias is learnt.

    The gradient never goes through the reset (``NeuronConfig.detach_reset`` is for the float neuron).

    currents (T*B, C, H, W) or (T*B, N, C), worth ``scale`` per accumulator unit and channel -> spikes.
    frac_bits: F, the membrane's fraction bits below one accumulator unit.
    """

    bias: torch.Tensor
    frozen_inverse_scale: torch.Tensor
    frozen_threshold: torch.Tensor
    frozen_bias: torch.Tensor

    def __init__(
        self,
        neuron: NeuronConfig,
        timesteps: int,
        channels: int,
        *,
        v_threshold: float | None = None,
        broadcast: bool = False,
        frac_bits: int | None = None,
        learn_bias: bool = True,
    ) -> None:
        super().__init__()
        self.neuron, self.timesteps, self.channels, self.broadcast = neuron, timesteps, channels, broadcast
        self.v_threshold = neuron.v_threshold if v_threshold is None else v_threshold
        self.frac_bits = neuron.membrane_frac_bits if frac_bits is None else frac_bits
        if learn_bias:
            self.bias = nn.Parameter(torch.zeros(channels))
        else:
            self.register_buffer("bias", torch.zeros(channels), persistent=False)

    def integers(self, scale: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return ``inverse_scale``, ``threshold`` and ``bias`` (C,), the last two whole numbers of grid units."""
        with torch.no_grad():
            inverse = (1.0 / scale.double()).expand(self.channels)
            units = inverse * 2**self.frac_bits
            threshold = (self.v_threshold / self.neuron.input_gain * units).round().clamp_min(1)
            bias = (self.bias.double() * units).round()
            return {
                "inverse_scale": inverse.float().contiguous(),
                "threshold": threshold.to(torch.int32),
                "bias": bias.to(torch.int32),
            }

    def forward(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the spikes; ``scale`` (C,) or (1,) is the currents' worth per accumulator unit."""
        if torch.onnx.is_in_onnx_export():
            return self._symbolic(x)
        grid = self.integers(scale.detach().flatten())
        spikes: torch.Tensor = _IntLIFFunction.apply(x, self.bias, grid, self)
        return spikes

    def freeze(self, scale: torch.Tensor) -> None:
        """Keep the integers as buffers, for export: tracing sees no numbers."""
        for name, value in self.integers(scale.detach().flatten()).items():
            self.register_buffer(f"frozen_{name}", value.float(), persistent=False)

    def _symbolic(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.shape[0] * self.timesteps if self.broadcast else x.shape[0]
        attributes: dict[str, Any] = {
            "timesteps": self.timesteps,
            "broadcast": int(self.broadcast),
            "frac_bits": self.frac_bits,
            "leak_k": self.neuron.leak_multiplier,
            "leak_n": self.neuron.leak_bits,
            "reset": self.neuron.reset,
            "channel_axis": 1 if x.dim() == 4 else 2,
        }
        inputs = (x, self.frozen_inverse_scale, self.frozen_threshold, self.frozen_bias)
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::LIF", inputs, attributes, dtype=x.dtype, shape=(rows, *x.shape[1:]), version=1
        )


class GridBias(nn.Module):
    """Add a learnt bias, rounded to the residual stream's grid of 2^-frac_bits. Channels on ``axis``."""

    def __init__(self, channels: int, frac_bits: int, axis: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.step, self.shape = 2.0**-frac_bits, [1, -1, 1, 1] if axis == 1 else [1, 1, -1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x + round(bias / step) * step."""
        return x + (ste_round(self.bias / self.step) * self.step).view(self.shape)


def weight_scale(layer: qnn.QuantConv2d | qnn.QuantLinear) -> torch.Tensor:
    """Return the (C,) or (1,) value of one unit of the layer's integer weights."""
    if torch.onnx.is_in_onnx_export():
        frozen: torch.Tensor = layer.frozen_scale
        return frozen
    return layer.quant_weight().scale.detach().flatten()


def freeze(net: nn.Module, example: torch.Tensor) -> None:
    """Keep every scale and integer constant of ``net`` as a buffer, so that it can be traced for export."""
    hooks = []
    for module in net.modules():
        if isinstance(module, (qnn.QuantConv2d, qnn.QuantLinear)):
            module.register_buffer("frozen_scale", weight_scale(module), persistent=False)
        if isinstance(module, IntLIF):
            hooks.append(module.register_forward_pre_hook(lambda lif, args: lif.freeze(args[1])))
    with torch.no_grad():
        net(example)
    for hook in hooks:
        hook.remove()
