"""The estimate as a table a person reads."""

from __future__ import annotations

from collections.abc import Sequence

from .coefficients import NAMES
from .estimate import NOT_INCLUDED, PARTS, FabricEnergy, NodeEnergy
from .interval import Interval, total

# The JSON has every node; a table of a network's hundreds of FIFOs nobody reads.
MOST_NODES = 25


def table(found: FabricEnergy) -> str:
    """Return the estimate as text: totals, by part, the largest nodes, prices, what is left out; in uJ."""
    subject = found.activity.subject
    head = [
        f"{subject.get('network', 'network')} on {found.activity.part}, {found.clk_mhz:g} MHz, "
        f"{found.frames_per_second:.4g} images/s; activity-based estimate, not measured",
        f"from {found.activity.frames} frames of {found.activity.cycles:.6g} cycles; "
        f"resources: {found.activity.netlist.get('kind', 'not said')}",
        "",
    ]
    totals: list[tuple[str, ...]] = [("an image", "uJ", "lowest", "highest", "share")]
    whole = found.dynamic_nj
    rows = [*found.parts_nj.items(), ("dynamic", whole), ("static, whole device", found.static_nj)]
    totals += [(name, *_uj(value), _share(value, whole) if name in PARTS else "") for name, value in rows]
    nodes: list[tuple[str, ...]] = [("node", *PARTS, "uJ", "lowest", "highest", "alpha")]
    largest = sorted(found.nodes, key=lambda node: -node.dynamic_nj.value)
    for node in largest[:MOST_NODES]:
        nodes.append((node.layer or node.name, *_parts([node]), *_uj(node.dynamic_nj), f"{node.alpha:.4f}"))
    if rest := largest[MOST_NODES:]:
        nodes.append((f"{len(rest)} others", *_parts(rest), *_uj(total(node.dynamic_nj for node in rest)), ""))
    prices: list[tuple[str, ...]] = [("price", "value", "lowest", "highest", "unit")]
    for name in NAMES:
        price = found.coefficients.price(name)
        prices.append((name, f"{price.value:.4g}", f"{price.low:.4g}", f"{price.high:.4g}", price.unit))
    power = [
        "",
        f"power at {found.clk_mhz:g} MHz: dynamic {_w(found.dynamic_w)}, static {_w(found.static_w)}",
        "lowest, highest: all prices at their low, all at their high: bounds, with no confidence level",
        f"not included: {NOT_INCLUDED}",
        *(f"note: {note}" for note in found.activity.notes),
        "",
    ]
    return "\n".join([*head, *_columns(totals), *power, *_columns(nodes), "", *_columns(prices)]) + "\n"


def _parts(nodes: Sequence[NodeEnergy]) -> tuple[str, ...]:
    return tuple(f"{sum(node.parts_nj[part].value for node in nodes) / 1e3:.4g}" for part in PARTS)


def _uj(nanojoules: Interval) -> tuple[str, str, str]:
    return (f"{nanojoules.value / 1e3:.4g}", f"{nanojoules.low / 1e3:.4g}", f"{nanojoules.high / 1e3:.4g}")


def _w(watts: Interval) -> str:
    return f"{watts.value:.4g} W [{watts.low:.4g}, {watts.high:.4g}]"


def _share(part: Interval, whole: Interval) -> str:
    return f"{100 * part.value / whole.value:.1f} %" if whole.value else ""


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(v.rjust(w) if i else v.ljust(w) for i, (v, w) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]
