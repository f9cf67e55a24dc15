"""Checkpoints: safetensors with a JSON header entry, written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

FORMAT = "spikeclip-fpga/1"


class CheckpointError(RuntimeError):
    """A file that is not the checkpoint asked for; the message names it and the remedy."""


def save(path: Path, kind: str, tensors: dict[str, torch.Tensor], meta: dict[str, Any]) -> None:
    """Write ``tensors`` and ``meta`` to ``path``: to a temporary name first, then renamed.

    ``kind`` (``teacher``, ``float``, ``qat``, ``state``) is checked again by :func:`load`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    header = {"format": FORMAT, "kind": kind, "meta": json.dumps(meta, sort_keys=True)}
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial, metadata=header)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, kind: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors and the meta data of a checkpoint of this project.

    Raises CheckpointError when the file is missing, truncated, foreign or of another kind.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; make it with `spikeclip {_maker(kind)}`")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise CheckpointError(
                    f"{path}: not a checkpoint of this project (format {header.get('format')!r}, expected {FORMAT!r}); "
                    f"make one with `spikeclip {_maker(kind)}`"
                )
            if header.get("kind") != kind:
                raise CheckpointError(
                    f"{path}: a {header.get('kind')!r} checkpoint where a {kind!r} one is needed; "
                    f"make it with `spikeclip {_maker(kind)}`"
                )
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(header["meta"])  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path}: truncated or not a safetensors file ({error}); make it again with `spikeclip {_maker(kind)}`"
        ) from error


def load_into(module: torch.nn.Module, tensors: dict[str, torch.Tensor], where: Path | str) -> None:
    """Copy ``tensors`` into ``module``; raise CheckpointError naming the first entry that does not fit."""
    own = module.state_dict()
    missing = sorted(set(own) - set(tensors))
    extra = sorted(set(tensors) - set(own))
    if missing or extra:
        raise CheckpointError(
            f"{where}: does not fit its configuration: "
            f"{len(missing)} entries missing {missing[:1]}, {len(extra)} unknown {extra[:1]}; train it again"
        )
    for name, value in tensors.items():
        if own[name].shape != value.shape:
            raise CheckpointError(
                f"{where}: {name} has shape {tuple(value.shape)}, its configuration asks for {tuple(own[name].shape)}; "
                "train it again"
            )
    module.load_state_dict(tensors)


def _maker(kind: str) -> str:
    return {"teacher": "teacher", "float": "train", "qat": "quantize", "state": "train"}[kind]
