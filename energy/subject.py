"""What an estimate is of: which network, on which board, over which images, so that figures of others are refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spikeclip_fpga.quantize.network import IntNetwork

SUFFIX = ".int.safetensors"


@dataclass(frozen=True)
class ImageSet:
    """name and split as `spikeclip` calls them, split None if not stated; sha256 by images_sha256, None if unknown."""

    name: str
    split: str | None
    count: int
    sha256: str | None = None


@dataclass(frozen=True)
class Subject:
    """network: its file's name without suffixes; network_sha256: of that file's bytes, as a bundle's manifest has it.

    config, bits: the model's configuration and its table of bit widths. board, clk_mhz: None where no board is meant.
    """

    network: str
    network_sha256: str
    images: ImageSet
    config: dict[str, Any] = field(default_factory=dict)
    bits: dict[str, Any] = field(default_factory=dict)
    board: str | None = None
    clk_mhz: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def images_sha256(images: np.ndarray) -> str:
    """Return the SHA-256 of (N, H, W, 3) uint8 images: of their bytes in order, rows first."""
    return hashlib.sha256(images.tobytes()).hexdigest()


def subject_of(
    path: Path,
    network: IntNetwork,
    images: np.ndarray,
    data_set: str,
    split: str | None,
    *,
    board: str | None = None,
    clk_mhz: float | None = None,
) -> Subject:
    """Return the subject of ``network``, read from ``path``, over (N, H, W, 3) uint8 images."""
    return Subject(
        network=path.name.removesuffix(SUFFIX),
        network_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        images=ImageSet(data_set, split, len(images), images_sha256(images)),
        config=json.loads(network.meta["config"]),
        bits=json.loads(network.meta.get("bits", "{}")),
        board=board,
        clk_mhz=clk_mhz,
    )
