"""Token sum and time-dependent weights."""

from .op import Readout

__all__ = ["Readout"]
