"""What goes wrong in folding."""

from __future__ import annotations


class FoldingError(ValueError):
    """A folding there cannot be, or none that reaches the rate on the board; one line with the remedy."""
