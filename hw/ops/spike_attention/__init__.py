"""Spiking self-attention."""

from .op import SpikeAttention

__all__ = ["SpikeAttention"]
