"""Errors of the fabric estimate."""


class FabricError(ValueError):
    """An activity file, coefficient, part or report that cannot be used; one line with the remedy."""
