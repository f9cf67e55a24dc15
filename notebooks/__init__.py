"""Notebooks for a board; ``pynq get-notebooks spikeclip`` copies them into its Jupyter folder."""
