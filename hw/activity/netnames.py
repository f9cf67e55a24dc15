"""Which signals of a hierarchy are nets of their own, and which of these registers, from Verilator's syntax tree.

    nets("sc_lif", sources) -> {(("sc_lif", "gen_pe[0]"), "membrane_q"): True, ...}

A signal begins a net if a process, an expression or an input of the top gives its value. All others are names: ports,
wires from an instance, slices and concatenations. So every net is there once, whatever it is called further on. A
register is assigned with <=; names do not tell (FINN's have no _q). Elaborating the whole tiny network takes 4 s.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..verilate import syntax_tree

# (scope from the top module, name) of a signal; an array has one name.
Name = tuple[tuple[str, ...], str]
_BLOCK = "GENBLOCK"
_ASSIGNMENTS = ("ASSIGN", "ASSIGNW", "ASSIGNDLY")
# What runs once, or only where it is called.
_NEVER = ("INITIAL", "INITIALSTATIC", "FUNC", "TASK")
# What gives bits another name and no value of their own; the place of a slice must be constant.
_NAMES = ("VARREF", "SEL", "ARRAYSEL", "CONCAT", "REPLICATE", "EXTEND", "EXTENDS", "CONST")
_PLACES = ("lsbp", "bitp", "widthp", "countp")


def nets(
    top: str,
    sources: Sequence[Path],
    parameters: Mapping[str, int | str] | None = None,
    *,
    includes: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
) -> dict[Name, bool]:
    """Return net -> whether it is a register, of ``top`` and all below it; arrays that are memories are among them.

    Arguments as in simulate.build. Raises BuildError.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = syntax_tree(top, sources, parameters or {}, Path(folder), includes=includes, defines=defines or {})
        tree = json.loads(path.read_text())
    modules = {module["addr"]: _Module(module) for module in tree["modulesp"] if module["type"] == "MODULE"}
    start = next(module for module in modules.values() if module.original == top)
    found = dict(_walk(start, (top,), modules))
    return {((top,), name): False for name in start.inputs.values()} | found


class _Module:
    """Nets and instances of one module with its parameters' values, with the generate blocks they are in."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self.original = str(tree.get("origName") or tree["name"])
        # Scope, name, module, and the input ports that an expression drives.
        self.instances: list[tuple[tuple[str, ...], str, str, list[str]]] = []
        self.inputs: dict[str, str] = {}
        self._places: dict[str, Name] = {}
        self._driven: dict[str, bool] = {}
        self._read(tree.get("stmtsp", []), ())
        self.nets = {self._places[address]: kind for address, kind in self._driven.items() if address in self._places}

    def _read(self, node: Any, scope: tuple[str, ...], local: bool = False) -> None:
        if isinstance(node, list):
            for item in node:
                self._read(item, scope, local)
            return
        if not isinstance(node, dict):
            return
        kind = node.get("type")
        if kind == "VAR" and not local:  # a process' own variables are no nets
            self._places[node["addr"]] = scope, node["name"]
            if node.get("direction") == "INPUT":
                self.inputs[node["addr"]] = node["name"]
        elif kind == "CELL":
            driven = [pin["modVarp"] for pin in node.get("pinsp", []) if not _is_name(pin.get("exprp"))]
            self.instances.append((scope, node["name"], node["modp"], driven))
        elif kind in _ASSIGNMENTS and not (kind == "ASSIGNW" and _is_name(node["rhsp"])):
            for address in _targets(node["lhsp"]):
                self._driven[address] = self._driven.get(address, False) or kind == "ASSIGNDLY"
        elif kind in _NEVER:
            return
        elif kind == _BLOCK and node.get("name"):
            scope = (*scope, node["name"])
        for value in node.values():
            self._read(value, scope, local or kind == "ALWAYS")


def _targets(node: Any) -> Iterator[str]:
    """Yield the addresses of the variables that an assignment's left side writes."""
    if isinstance(node, list):
        for item in node:
            yield from _targets(item)
    elif isinstance(node, dict):
        if node.get("type") == "VARREF" and node.get("access") in ("WR", "RW"):
            yield node["varp"]
        for value in node.values():
            yield from _targets(value)


def _is_name(node: Any) -> bool:
    """Return whether an expression only names bits of other signals, or constants."""
    if isinstance(node, list):
        return all(_is_name(item) for item in node)
    if not isinstance(node, dict):
        return True
    if "type" in node and node["type"] not in _NAMES:
        return False
    places = [node.get(name, []) for name in _PLACES]
    return all(_is_name(value) for value in node.values()) and not any(set(_reads(place)) for place in places)


def _reads(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _reads(item)
    elif isinstance(node, dict):
        if node.get("type") == "VARREF":
            yield node["varp"]
        for value in node.values():
            yield from _reads(value)


def _walk(module: _Module, scope: tuple[str, ...], modules: Mapping[str, _Module]) -> Iterator[tuple[Name, bool]]:
    for (inner, name), is_register in module.nets.items():
        yield ((*scope, *inner), name), is_register
    for inner, name, address, driven in module.instances:
        if address in modules:
            below, place = modules[address], (*scope, *inner, name)
            for port in driven:
                if port in below.inputs:
                    yield (place, below.inputs[port]), False
            yield from _walk(below, place, modules)
