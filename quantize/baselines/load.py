"""Load a checkpoint of any kind of network, float or quantised, to evaluate all by the same functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from spikeclip_fpga.model import checkpoint
from spikeclip_fpga.model.baselines.registry import SPIKECLIP, kind_of, load_float

from ..qat import load_qat
from .qnn import load_qnn


def _kind(path: Path) -> str:
    try:
        with safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get("kind"))
    except (SafetensorError, OSError):
        return "float"  # whose loader says what is wrong with the file


def load_any(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network of a float or qat checkpoint of any kind, ready to run, and its meta data.

    ``registry.kind_of(meta)`` names the kind: spikeclip, scratchclip, ann or qnn3.  Raises CheckpointError.
    """
    if _kind(path) != "qat":
        return load_float(path)
    _, meta = checkpoint.load(path, "qat")
    return load_qat(path) if kind_of(meta) == SPIKECLIP else load_qnn(path)
