"""Count what a synthesised netlist takes of an AMD part, LUT pairs included; numbers only, no tool is run.

Yosys maps every function to a LUT of its own. A part's LUT6 also gives two functions (LUT6_2) if both have at
most five inputs together, and the vendor's tools use that; :func:`count` therefore pairs LUTs as a slice allows:

1. the LUTs of a carry bit's S and DI, if their inputs are at most five together;
2. then, largest first, any two that share an input and have at most five together: the pair with the fewest
   inputs wins (greedy). Not: two that drive S of carry bits; one that drives S while the bit's sum leaves
   the slice unregistered (the pair's second output needs its way out); one that drives a MUXF7.

Unrelated LUTs are never paired, though a placer may: the count is an upper bound of a good packing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Bit = int | str
# LUTs that a cell of distributed RAM takes; SRL16E are paired like LUTs, see _shift_registers.
_RAM_LUTS = {
    **{"RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM32X16DR8": 8, "RAM64X8SW": 8},
    **{"RAM16X1D": 2, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8},
    **{"RAM16X1S": 1, "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4, "RAM512X1S": 8},
    **{"RAM32X2S": 2, "RAM32X4S": 2, "RAM32X8S": 4, "RAM64X2S": 2},
}
_LUT_INPUTS = {f"LUT{n}": n for n in range(1, 7)} | {"INV": 1}
_SHARED_INPUTS = 5


class NetlistError(ValueError):
    """A netlist with a cell whose size is not known; the message names it."""


@dataclass(frozen=True)
class Usage:
    """What a netlist takes.

    lut: LUT sites, pairs counted once, RAM and shift registers included. lut_raw: the same without pairing of
    logic. lut_memory: the part of both that is RAM or shift register. bram18: RAMB18, a RAMB36 counted as two.
    cells: every cell type and its number.
    """

    lut: int = 0
    lut_raw: int = 0
    lut_memory: int = 0
    ff: int = 0
    carry: int = 0
    bram18: int = 0
    uram: int = 0
    dsp: int = 0
    cells: dict[str, int] = field(default_factory=dict)

    def plus(self, other: Usage, times: int = 1) -> Usage:
        """Return the sum with ``other`` taken ``times`` times."""
        names = ("lut", "lut_raw", "lut_memory", "ff", "carry", "bram18", "uram", "dsp")
        sums = {name: getattr(self, name) + times * getattr(other, name) for name in names}
        cells = Counter(self.cells)
        for kind, number in other.cells.items():
            cells[kind] += times * number
        return Usage(**sums, cells=dict(sorted(cells.items())))


def count(netlist: Mapping[str, Any], top: str) -> Usage:
    """Return what module ``top`` of a Yosys JSON netlist takes, instances of other modules included.

    Raises NetlistError for a memory cell of unknown size or a missing module.
    """
    return _counter(netlist, top)(top)


def count_parts(netlist: Mapping[str, Any], top: str) -> dict[str, Usage]:
    """Return instance -> what it takes, for the modules that stand in ``top``. Raises NetlistError as count."""
    usage, modules = _counter(netlist, top), netlist["modules"]
    cells = modules[top]["cells"]
    return {name: usage(c["type"]) for name, c in cells.items() if _is_instance(c["type"], modules)}


def _counter(netlist: Mapping[str, Any], top: str) -> Callable[[str], Usage]:
    """Return what gives a module's usage, counting each module once. Raises NetlistError for a missing ``top``."""
    modules: Mapping[str, Any] = netlist["modules"]
    if top not in modules:
        raise NetlistError(f"{top}: no such module in the netlist, expected one of {', '.join(sorted(modules))}")
    known: dict[str, Usage] = {}

    def usage(name: str) -> Usage:
        if name not in known:
            cells = modules[name]["cells"]
            within = {i: c for i, c in cells.items() if _is_instance(c["type"], modules)}
            total = _count_cells({i: c for i, c in cells.items() if i not in within})
            for kind, number in Counter(c["type"] for c in within.values()).items():
                total = total.plus(usage(kind), number)
            known[name] = total
        return known[name]

    return usage


def _is_instance(kind: str, modules: Mapping[str, Any]) -> bool:
    attributes = modules.get(kind, {"attributes": {"blackbox": 1}})["attributes"]
    return "blackbox" not in attributes and "whitebox" not in attributes


def _count_cells(cells: Mapping[str, Any]) -> Usage:
    kinds = Counter(c["type"] for c in cells.values() if c["type"] != "$scopeinfo")
    memory = 0
    for kind, number in kinds.items():
        if kind.startswith("RAM") and not kind.startswith("RAMB"):
            if kind not in _RAM_LUTS:
                raise NetlistError(f"{kind}: LUTs of this memory cell are not known; add it to netlist._RAM_LUTS")
            memory += number * _RAM_LUTS[kind]
    memory += _shift_registers(cells.values())
    # A LUT6_2 in the source is a pair already.
    raw = sum(kinds[kind] for kind in _LUT_INPUTS) + kinds["LUT6_2"]
    return Usage(
        lut=raw - _pairs(cells) + memory,
        lut_raw=raw + memory,
        lut_memory=memory,
        ff=sum(n for kind, n in kinds.items() if kind.startswith(("FD", "LD"))),
        carry=kinds["CARRY4"] + kinds["CARRY8"],
        bram18=sum(n * (2 if kind.startswith("RAMB36") else 1) for kind, n in kinds.items() if kind.startswith("RAMB")),
        uram=sum(n for kind, n in kinds.items() if kind.startswith("URAM")),
        dsp=sum(n for kind, n in kinds.items() if kind.startswith("DSP")),
        cells=dict(sorted(kinds.items())),
    )


def _shift_registers(cells: Iterable[Any]) -> int:
    """Return LUTs of shift registers: two of 16 bits share one if clock, enable and address are the same."""
    groups: Counter[tuple[Bit, ...]] = Counter()
    long = 0
    for cell in cells:
        if cell["type"] in ("SRL16E", "SRL16", "SRLC16E", "SRLC16"):
            pins = cell["connections"]
            groups[tuple(pins[p][0] for p in ("CLK", "CE", "A0", "A1", "A2", "A3") if p in pins)] += 1
        elif cell["type"] == "SRLC32E":
            long += 1
    return long + sum(-(-number // 2) for number in groups.values())


def _pairs(cells: Mapping[str, Any]) -> int:
    """Return how many pairs of LUTs share a site, by the rules of the module's docstring."""
    inputs: dict[str, frozenset[Bit]] = {}
    driver: dict[Bit, str] = {}
    for name, cell in cells.items():
        if cell["type"] in _LUT_INPUTS:
            pins = cell["connections"]
            inputs[name] = frozenset(b for p, bits in pins.items() if p != "O" for b in bits if isinstance(b, int))
            driver[pins["O"][0]] = name
    carries = [c["connections"] for c in cells.values() if c["type"] in ("CARRY4", "CARRY8")]
    sinks = _sinks(cells)
    free = {name for name, pins in inputs.items() if len(pins) <= _SHARED_INPUTS}
    pairs = 0
    propagates: set[str] = set()
    for pins in carries:
        for s, di, o in zip(pins["S"], pins["DI"], pins.get("O", ["x"] * len(pins["S"])), strict=True):
            first, second = driver.get(s), driver.get(di)
            if first is None:
                continue
            propagates.add(first)
            together = first in free and second in free and first != second
            if together and second and len(inputs[first] | inputs[second]) <= _SHARED_INPUTS:
                free -= {first, second}
                pairs += 1
            elif sinks[o] - {"D"}:
                free.discard(first)
    for cell in cells.values():
        if cell["type"] in ("MUXF7", "MUXF8"):
            free -= {driver.get(cell["connections"][p][0], "") for p in ("I0", "I1")}
    return pairs + _greedy_pairs(inputs, free, propagates)


def _sinks(cells: Mapping[str, Any]) -> defaultdict[Bit, set[str]]:
    """Return bit -> pins that take it; "D" is that of a register."""
    sinks: defaultdict[Bit, set[str]] = defaultdict(set)
    for cell in cells.values():
        register = cell["type"].startswith("FD")
        for pin, bits in cell["connections"].items():
            if cell.get("port_directions", {}).get(pin) != "output":
                for bit in bits:
                    sinks[bit].add("D" if register and pin == "D" else f"{cell['type']}.{pin}")
    return sinks


def _greedy_pairs(inputs: Mapping[str, frozenset[Bit]], free: set[str], propagates: set[str]) -> int:
    by_input: defaultdict[Bit, dict[str, None]] = defaultdict(dict)
    order = sorted(free, key=lambda name: (-len(inputs[name]), name))
    for name in order:
        for bit in inputs[name]:
            by_input[bit][name] = None
    pairs = 0
    for name in order:
        if name not in free:
            continue
        free.discard(name)
        best, fewest = "", _SHARED_INPUTS + 1
        for bit in inputs[name]:
            del by_input[bit][name]
        # Few others share a bit that only a handful of LUTs take; a bit that thousands take is a control signal.
        for bit in sorted(inputs[name], key=lambda b: len(by_input[b])):
            for other in list(by_input[bit])[:200]:
                union = len(inputs[name] | inputs[other])
                if union < fewest and not (name in propagates and other in propagates):
                    best, fewest = other, union
        if best:
            free.discard(best)
            for bit in inputs[best]:
                del by_input[bit][best]
            pairs += 1
    return pairs
