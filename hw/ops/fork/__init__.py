"""Copies of a stream."""

from .op import Fork

__all__ = ["Fork"]
