"""Matrix times spikes."""

from .op import SpikeMvau

__all__ = ["SpikeMvau"]
