"""Currents onto the residual stream's grid."""

from .op import Align

__all__ = ["Align"]
