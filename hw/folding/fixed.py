"""A folding file: what the user fixes, the rest is chosen. FINN's format: node's name -> attribute -> value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.custom_op.registry import getCustomOp

from .choices import FOLDING, Choices, limits, memories, refused
from .errors import FoldingError

Fixed = dict[str, int | str]
_DEFAULTS = "Defaults"


def read(config: Path | Mapping[str, Any] | None, model: Any) -> dict[str, Fixed]:
    """Return node -> what the file fixes of PE, SIMD and ram_style ("auto" fixes nothing).

    Raises FoldingError for an unreadable file, an unknown node, an impossible value, or another attribute
    that is not as the graph has it.
    """
    if config is None:
        return {}
    source, content = ("folding", config) if isinstance(config, Mapping) else (str(config), _load(config))
    nodes = {node.name: getCustomOp(node) for node in model.graph.node}
    per_node = {name: values for name, values in content.items() if name != _DEFAULTS}
    for name, values in per_node.items():
        if name not in nodes:
            raise FoldingError(f"{source}: {name}: no such node; the graph has {_some(nodes)}")
        if not isinstance(values, Mapping):
            raise FoldingError(f"{source}: {name}: expected attributes, as in {{'PE': 2}}, got {values!r}")
    given = {name: dict(_defaults(source, content.get(_DEFAULTS, {}), node)) for name, node in nodes.items()}
    for name, values in per_node.items():
        given[name].update(values)
    return {name: _checked(source, nodes[name], values) for name, values in given.items() if values}


def restrict(node: Any, found: Choices, fixed: Fixed) -> Choices:
    """Return the choices of ``node`` with the attributes that are fixed. Raises FoldingError if none is left."""
    if not fixed:
        return found
    mask = np.array([all(row[name] == value for name, value in fixed.items()) for row in found.attributes])
    if not mask.any():
        values = ", ".join(f"{name} {value}" for name, value in fixed.items())
        raise FoldingError(f"{node.onnx_node.name}: {values}: wider than {node.onnx_node.op_type} goes; choose less")
    return found.only(mask)


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise FoldingError(f"{path}: cannot be read ({error.strerror}); expected a FINN folding file") from error
    except ValueError as error:
        raise FoldingError(f"{path}: no JSON ({error}); expected a FINN folding file") from error
    if not isinstance(content, Mapping):
        raise FoldingError(f"{path}: expected a FINN folding file, node -> attributes, got a {type(content).__name__}")
    return content


def _defaults(source: str, defaults: Any, node: Any) -> Fixed:
    """Return what FINN's "Defaults" (attribute -> value, operators, value, operators ...) says of a node."""
    found: Fixed = {}
    for name, pairs in dict(defaults).items():
        if not isinstance(pairs, list) or len(pairs) % 2:
            raise FoldingError(f"{source}: {_DEFAULTS}: {name}: expected [value, operators ...], got {pairs!r}")
        for value, operators in zip(pairs[::2], pairs[1::2], strict=True):
            if operators == "all" or node.onnx_node.op_type in operators:
                found[name] = value
    return found


def _checked(source: str, node: Any, values: Mapping[str, Any]) -> Fixed:
    raw, folded = node.onnx_node, limits(node)
    fixed: Fixed = {}
    for name, value in values.items():
        if name in folded:
            if not isinstance(value, int) or isinstance(value, bool):
                raise FoldingError(f"{source}: {raw.name}: {name}: expected a whole number, got {value!r}")
            reason = refused(node, name, value)
            if reason:
                raise FoldingError(f"{source}: {reason}")
            fixed[name] = value
        elif name == "ram_style" and memories(node):
            if value not in (*memories(node), "auto"):
                among = ", ".join(memories(node))
                raise FoldingError(f"{source}: {raw.name}: ram_style {value}: choose among {among}, auto")
            if value != "auto":
                fixed[name] = value
        elif name not in node.get_nodeattr_types():
            has = ", ".join(n for n in FOLDING if n in folded or (n == "ram_style" and memories(node)))
            raise FoldingError(f"{source}: {raw.name}: {raw.op_type} has no {name}; it is folded by {has}")
        elif value != node.get_nodeattr(name):
            raise FoldingError(
                f"{source}: {raw.name}: {name} is {node.get_nodeattr(name)} in this graph and no folding changes it, "
                f"got {value}; take it out"
            )
    return fixed


def _some(names: Mapping[str, Any], shown: int = 3) -> str:
    first = list(names)
    return ", ".join(first) if len(first) <= shown + 1 else f"{', '.join(first[:shown])} ... {first[-1]}"
