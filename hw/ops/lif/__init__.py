"""Leaky integrate-and-fire neurons."""

from .op import Lif

__all__ = ["Lif"]
