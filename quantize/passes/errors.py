"""What a pass raises."""

from __future__ import annotations


class LoweringError(RuntimeError):
    """A graph that cannot be brought to integers; the message names the node and what was expected of it."""
