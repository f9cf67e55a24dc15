"""The integer network as data: a list of nodes, their constants, and how to read the result.

It says the same as ``<name>.int.onnx`` in a form that needs only numpy: what a board, the golden
backend and the fast runner load. Nodes name functions of :mod:`golden`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from . import golden

FORMAT = "spikeclip-fpga/1"
KIND = "integer"
IMAGE = "image"


class NetworkError(RuntimeError):
    """A file that is not an integer network; the message names it and the remedy."""


@dataclass(frozen=True)
class Node:
    """One operator: ``op`` is a key of golden.OPS; ``inputs`` name tensors or constants; one output."""

    op: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class IntNetwork:
    """An integer network in execution order. Its input is ``image``; its output the last node's.

    meta: ``config`` (the model's JSON), ``pixel_zero`` (subtracted from a byte), ``embedding_scale``
    (real value of one unit of the output), and where it came from.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    meta: dict[str, Any]

    @property
    def output(self) -> str:
        """Name of the embedding."""
        return self.nodes[-1].output

    @property
    def embed_dim(self) -> int:
        """Length E of the embedding."""
        return int(self.constants[self.nodes[-1].inputs[-1]].shape[0])

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """Return (B, H, W, C) int16 pixels from (B, H, W, C) uint8 images."""
        size = int(json.loads(self.meta["config"])["image_size"])
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (size, size, 3):
            raise ValueError(f"images: expected uint8 (B, {size}, {size}, 3), got {images.dtype} {images.shape}")
        return images.astype(np.int16) - int(self.meta["pixel_zero"])

    def run(self, images: np.ndarray, watch: Callable[[Node, np.ndarray], None] | None = None) -> np.ndarray:
        """Return (B, E) int64 embeddings of (B, H, W, 3) uint8 images, computed by golden's functions.

        ``watch`` is called with each node and its output.
        """
        values: dict[str, np.ndarray] = {IMAGE: self.pixels(images), **self.constants}
        last_use = {name: i for i, node in enumerate(self.nodes) for name in node.inputs}
        for i, node in enumerate(self.nodes):
            try:
                values[node.output] = golden.OPS[node.op](*(values[n] for n in node.inputs), **node.attributes)
            except golden.RangeError as error:
                raise golden.RangeError(f"{node.name}: {error}") from error
            if watch is not None:
                watch(node, values[node.output])
            for name in set(node.inputs):
                if last_use[name] == i and name not in self.constants:
                    del values[name]
        return values[self.output]


def save(network: IntNetwork, path: Path) -> None:
    """Write ``network`` to ``path``: to a temporary name first, then renamed."""
    nodes = [
        {"op": n.op, "name": n.name, "inputs": n.inputs, "output": n.output, "attributes": n.attributes}
        for n in network.nodes
    ]
    header = {
        "format": FORMAT,
        "kind": KIND,
        "nodes": json.dumps(nodes, sort_keys=True),
        "meta": json.dumps(network.meta, sort_keys=True),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file({k: np.ascontiguousarray(v) for k, v in network.constants.items()}, partial, metadata=header)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path) -> IntNetwork:
    """Return the network in ``path``.

    Raises NetworkError if the file is missing, truncated, foreign, or its nodes do not fit its constants.
    """
    remedy = "make it with `spikeclip lower`"
    if not path.is_file():
        raise NetworkError(f"{path}: no such file; {remedy}")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT or header.get("kind") != KIND:
                raise NetworkError(
                    f"{path}: not an integer network of this project "
                    f"(format {header.get('format')!r}, kind {header.get('kind')!r}); {remedy}"
                )
            constants = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        raw, meta = json.loads(header["nodes"]), json.loads(header["meta"])
        nodes = tuple(Node(n["op"], n["name"], tuple(n["inputs"]), n["output"], dict(n["attributes"])) for n in raw)
    except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise NetworkError(f"{path}: truncated or not an integer network ({error}); {remedy}") from error
    known = {IMAGE, *constants}
    for node in nodes:
        missing = [name for name in node.inputs if name not in known]
        if node.op not in golden.OPS or missing:
            raise NetworkError(
                f"{path}: node {node.name}: {f'no value {missing[0]}' if missing else f'unknown operator {node.op}'}; "
                f"it was written by another version: {remedy}"
            )
        known.add(node.output)
    if not nodes or "config" not in meta or "pixel_zero" not in meta:
        raise NetworkError(f"{path}: no nodes or no configuration in its header; {remedy}")
    return IntNetwork(nodes, constants, meta)
