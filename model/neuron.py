"""The LIF neuron of SpikeCLIP (eq. 1-2), over all time steps at once.

Time is the slow half of the first axis: a tensor holds (T*B, ...), step t of image b in row t*B + b.
Neurons are independent, so the kernel walks memory linearly and any dense memory format will do.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .config import NeuronConfig
from .native import compile_library

_SOURCE = Path(__file__).parent / "native" / "lif.cpp"
_F, _I, _L, _P = ctypes.c_float, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p


def lif_library() -> ctypes.CDLL:
    """Return the compiled kernels of native/lif.cpp."""
    return compile_library(_SOURCE)


def pointer(tensor: torch.Tensor | None) -> ctypes.c_void_p:
    """Return the tensor's address for a kernel; a null pointer for None."""
    return _P(0 if tensor is None else tensor.data_ptr())


def _dense(x: torch.Tensor) -> tuple[torch.Tensor, torch.memory_format]:
    """Return ``x`` without gaps in memory, and its format."""
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        return x, torch.channels_last
    return x.contiguous(), torch.contiguous_format


class LIFFunction(torch.autograd.Function):
    """Fused multi-step LIF: one read of the currents, one write of spikes and surrogate slopes."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, steps: int, broadcast: bool, v_threshold: float, neuron: NeuronConfig
    ) -> torch.Tensor:
        """Return spikes (T*B, ...) of x's type, from currents (T*B, ...) or, with ``broadcast``, (B, ...)."""
        x, layout = _dense(x)
        suffix = "bf16" if x.dtype == torch.bfloat16 else "f32"
        if x.dtype not in (torch.float32, torch.bfloat16):
            raise TypeError(f"LIF: expected float32 or bfloat16 currents, got {x.dtype}")
        rows = x.shape[0] * steps if broadcast else x.shape[0]
        spikes = torch.empty((rows, *x.shape[1:]), dtype=x.dtype, memory_format=layout)
        n = x.numel() if broadcast else x.numel() // steps
        zero = neuron.reset == "zero"
        train = ctx.needs_input_grad[0]
        slopes = torch.empty_like(spikes) if train else None
        membranes = torch.empty_like(spikes) if train and zero and not neuron.detach_reset else None
        getattr(lif_library(), f"sc_lif_forward_{suffix}")(
            *(pointer(t) for t in (x, spikes, slopes, membranes)),
            *(_L(n), _I(steps), _I(broadcast), _F(neuron.decay), _F(neuron.input_gain), _F(v_threshold)),
            *(_F(neuron.surrogate_alpha), _I(zero)),
        )
        if train:
            ctx.save_for_backward(spikes, slopes, membranes)
            ctx.about = (suffix, steps, broadcast, v_threshold, neuron, x.shape, layout, n)
        return spikes

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
        """Return the gradient of the currents by back-propagation through time."""
        spikes, slopes, membranes = ctx.saved_tensors
        suffix, steps, broadcast, v_threshold, neuron, shape, layout, n = ctx.about
        g = grads[0].to(slopes.dtype)
        if g.stride() != slopes.stride():
            g = torch.empty_like(slopes).copy_(g)
        gx = torch.empty(shape, dtype=slopes.dtype, memory_format=layout)
        getattr(lif_library(), f"sc_lif_backward_{suffix}")(
            *(pointer(t) for t in (g, slopes, spikes, membranes, gx)),
            *(_L(n), _I(steps), _I(broadcast), _F(neuron.decay), _F(neuron.input_gain), _F(v_threshold)),
            *(_I(neuron.reset == "zero"), _I(neuron.detach_reset)),
        )
        return gx, None, None, None, None


class LIF(nn.Module):
    """A layer of LIF neurons. Fires at U >= v_threshold; a tie fires.

    currents (T*B, ...) -> spikes (T*B, ...) of 0 and 1; with ``broadcast`` currents (B, ...) drive all
    T steps (direct encoding of a static image).
    """

    def __init__(
        self, neuron: NeuronConfig, timesteps: int, *, v_threshold: float | None = None, broadcast: bool = False
    ):
        super().__init__()
        self.neuron, self.timesteps, self.broadcast = neuron, timesteps, broadcast
        self.v_threshold = neuron.v_threshold if v_threshold is None else v_threshold

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the spikes."""
        spikes: torch.Tensor = LIFFunction.apply(x, self.timesteps, self.broadcast, self.v_threshold, self.neuron)
        return spikes

    def extra_repr(self) -> str:
        """Show the neuron's constants in a printed network."""
        return (
            f"T={self.timesteps}, decay={self.neuron.decay}, v_threshold={self.v_threshold}, reset={self.neuron.reset}"
        )
