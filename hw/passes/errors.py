"""What a pass raises."""

from __future__ import annotations


class HardwareError(RuntimeError):
    """A graph that cannot be brought to hardware; the message names the node and what was expected of it."""
