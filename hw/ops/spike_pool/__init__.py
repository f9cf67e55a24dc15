"""Pooling of windows."""

from .op import SpikePool

__all__ = ["SpikePool"]
