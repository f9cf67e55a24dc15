"""Sum of two residual streams."""

from .op import ResidualAdd

__all__ = ["ResidualAdd"]
