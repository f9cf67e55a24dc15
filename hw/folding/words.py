"""What limits a folding, in words."""

from __future__ import annotations

import math

from .costs import COUNTED
from .search import Plan, Search

_UNITS = {"lut": "LUT", "bram18": "block RAMs of 18 kb", "dsp": "DSP", "uram": "URAM"}


def bottleneck(search: Search, plan: Plan, clk_mhz: float) -> str:
    """Return which layers take the most cycles, and the rate that follows."""
    slowest = [i for i, row in enumerate(plan.rows) if search.choices[i].cycles[row] == plan.cycles]
    others = len(slowest) - 1
    more = f" and {others} other layer{'s' if others > 1 else ''}" if others else ""
    verb = "take" if more else "takes"
    return (
        f"{_named(search, slowest[0], plan.rows[slowest[0]])}{more} {verb} the most cycles of a frame, "
        f"{plan.cycles:,}: {_rate(clk_mhz, plan.cycles)} at {clk_mhz:g} MHz"
    )


def faster(search: Search, plan: Plan, clk_mhz: float) -> str:
    """Return what the next faster folding would take, or why there is none."""
    floor, node = search.floor()
    if floor >= plan.cycles:
        fastest = int(search.choices[node].cycles.argmin())
        return f"no folding is faster: {_named(search, node, fastest)} is {search.layers[node]}'s fastest"
    following = search.cheapest(plan.cycles - 1)
    if following is None:
        return "no folding is faster: what is left does not connect"
    rate = _rate(clk_mhz, following.cycles)
    added = ", ".join(
        f"{round(after - before):+,} {_UNITS[name]}"
        for name, before, after in zip(COUNTED, plan.total, following.total, strict=True)
        if round(after) != round(before)
    )
    if search.fits(following):
        return f"the next faster folding, {rate}, takes {added or 'no more'}"
    return f"the next faster folding, {rate}, does not fit: {_shortage(search, following)}"


def too_slow(search: Search, clk_mhz: float, fps: float) -> str:
    """Return which layer no folding brings to ``fps``."""
    floor, node = search.floor()
    row = int(search.choices[node].cycles.argmin())
    needed = math.ceil(fps * floor / 1e6)
    return (
        f"{_named(search, node, row)}: its fastest folding takes {floor:,} cycles a frame, {_rate(clk_mhz, floor)} at "
        f"{clk_mhz:g} MHz; {fps:,.0f} asked: ask for less, or for a clock of {needed} MHz"
    )


def too_small(search: Search, plan: Plan | None, clk_mhz: float, fps: float | None) -> str:
    """Return what the board is short of for ``fps`` (None: for any rate), and the fastest rate that fits."""
    board = search.board
    if plan is None:
        return f"{board.name}: the folding given connects no pool with its windows; give both the same elements a beat"
    shortage = _shortage(search, plan)
    if fps is None:
        return f"{board.name}: too small at any rate: {shortage}; choose a larger board or share"
    fastest = search.fastest()
    remedy = "nothing fits" if fastest is None else f"{_rate(clk_mhz, fastest.cycles)} fit"
    return f"{board.name}: too small for {fps:,.0f} frames/s at {clk_mhz:g} MHz: {shortage}; {remedy}"


def _shortage(search: Search, plan: Plan) -> str:
    lines = []
    for name, needed, limit in zip(COUNTED, plan.total, search.limits, strict=True):
        if needed > limit:
            total = search.board.totals[name]
            lines.append(
                f"{math.ceil(needed):,} {_UNITS[name]} needed, {math.floor(limit):,} available "
                f"({search.share:.0%} of {total:,}), {math.ceil(needed) - math.floor(limit):,} too many"
            )
    return " and ".join(lines)


def _named(search: Search, node: int, row: int) -> str:
    attributes = search.choices[node].attributes[row]
    folded = ", ".join(f"{name} {attributes[name]}" for name in ("PE", "SIMD") if name in attributes)
    name, layer = search.names[node], search.layers[node]
    return f"{layer} ({folded})" if layer == name else f"{layer} ({name}, {folded})"


def _rate(clk_mhz: float, cycles: int) -> str:
    return f"{clk_mhz * 1e6 / cycles:,.0f} frames/s"
