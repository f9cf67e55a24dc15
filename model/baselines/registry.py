"""The kinds of networks by name, and how a float checkpoint of any kind is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import checkpoint
from ..config import ConfigError, ModelConfig
from ..memory import channels_last
from ..spikeclip import SpikeCLIP
from .ann import AnnCLIP
from .scratchclip import ScratchCLIP

Network = SpikeCLIP | ScratchCLIP | AnnCLIP

SPIKECLIP = "spikeclip"
NETWORKS: dict[str, type[SpikeCLIP] | type[ScratchCLIP] | type[AnnCLIP]] = {
    SPIKECLIP: SpikeCLIP,
    "scratchclip": ScratchCLIP,
    "ann": AnnCLIP,
}


def build(kind: str, config: ModelConfig) -> Network:
    """Return a new network of ``kind``; raise ConfigError if there is no such kind."""
    if kind not in NETWORKS:
        raise ConfigError(f"network: expected one of {', '.join(NETWORKS)}, got {kind!r}")
    return NETWORKS[kind](config)


def kind_of(meta: dict[str, Any]) -> str:
    """Return the kind of network a checkpoint's meta data names; checkpoints from before kinds are SpikeCLIP's."""
    return str(meta.get("network", SPIKECLIP))


def require_kind(path: Path, meta: dict[str, Any], kind: str, maker: str) -> None:
    """Raise CheckpointError, naming the command ``maker``, if ``path`` holds another kind of network."""
    if kind_of(meta) != kind:
        raise checkpoint.CheckpointError(
            f"{path}: holds a {kind_of(meta)!r} network where a {kind!r} one is needed; make it with `{maker}`"
        )


def load_float(path: Path, kind: str | None = None) -> tuple[Network, dict[str, Any]]:
    """Return the network of a float checkpoint, ready to run, and its meta data.

    Raises CheckpointError if the file is no float checkpoint, or holds another kind than ``kind``.
    """
    tensors, meta = checkpoint.load(path, "float")
    if kind is not None:
        require_kind(path, meta, kind, f"spikeclip train --network {kind}")
    try:
        net = build(kind_of(meta), ModelConfig.from_json(meta["config"]))
    except (KeyError, ConfigError) as error:
        raise checkpoint.CheckpointError(
            f"{path}: no usable configuration in its header ({error}); make it again with `spikeclip train`"
        ) from error
    checkpoint.load_into(net, tensors, path)
    return channels_last(net).eval(), meta
