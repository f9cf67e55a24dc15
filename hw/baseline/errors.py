"""The error of this folder."""

from __future__ import annotations


class BaselineError(ValueError):
    """A baseline that cannot be built or priced as asked; one line that names the layer and the remedy."""
