"""Choose PE, SIMD and memories of every node for a board: the cheapest for a rate, or the fastest that fits.

    folding = fold(model, boards.find("pynq-z2"), fps=2500)      # model: specialised to RTL
    folding.summary(), folding.to_json(), folding.apply(model)

Cycles are each node's own get_exp_cycles. Costs are each node's resources and those of the converter and
FIFO between two nodes, in shares of what may be used of the board; their sum is minimised exactly over the
graph (:mod:`.solve`). Memories are put where they take the smaller share of the board.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..boards import Board
from .costs import COUNTED
from .errors import FoldingError
from .fixed import read
from .result import Converter, Folding, NodeFolding
from .search import Plan, Search
from .words import bottleneck, faster, too_slow, too_small

__all__ = ["Converter", "Folding", "FoldingError", "NodeFolding", "fold"]


def fold(
    model: Any,
    board: Board,
    *,
    fps: float | None = None,
    clk_mhz: float | None = None,
    share: float = 0.75,
    config: Path | Mapping[str, Any] | None = None,
) -> Folding:
    """Return the folding of a specialised graph (ModelWrapper) for ``board``.

    fps: frames per second to reach, as cheaply as can be; None for the fastest that fits. clk_mhz: the board's
    by default. share: of LUT, block RAM, DSP and URAM that may be used; what is left is for the shell and
    the routing. config: FINN folding file (or its content) that fixes PE, SIMD or ram_style of some nodes or all.
    Raises FoldingError for an impossible value in ``config``, a rate no folding reaches, a board too small.
    """
    clk_mhz = board.clk_mhz if clk_mhz is None else clk_mhz
    if not 0 < share <= 1:
        raise FoldingError(f"share: expected above 0 and at most 1, got {share}")
    if clk_mhz <= 0 or (fps is not None and fps <= 0):
        raise FoldingError(f"clk_mhz and fps: expected above 0, got {clk_mhz} and {fps}")
    search = Search(model, board, share, read(config, model))
    if fps is None:
        plan = search.fastest()
        if plan is None:
            slowest = max(int(found.cycles.max()) for found in search.choices)
            raise FoldingError(too_small(search, search.cheapest(slowest), clk_mhz, None))
        return _result(search, plan, clk_mhz)
    cycles = int(clk_mhz * 1e6 / fps)
    if search.floor()[0] > cycles:
        raise FoldingError(too_slow(search, clk_mhz, fps))
    plan = search.cheapest(cycles)
    if plan is None or not search.fits(plan):
        raise FoldingError(too_small(search, plan, clk_mhz, fps))
    return _result(search, plan, clk_mhz)


def _result(search: Search, plan: Plan, clk_mhz: float) -> Folding:
    nodes = tuple(
        NodeFolding(
            search.names[i],
            search.layers[i],
            search.ops[i].removesuffix("_rtl"),
            dict(found.attributes[row]),
            int(found.cycles[row]),
            named(found.resources[row]),
        )
        for i, (found, row) in enumerate(zip(search.choices, plan.rows, strict=True))
    )
    converters, taken, fifos = [], np.zeros(len(COUNTED)), np.zeros(len(COUNTED))
    for stream in search.streams:
        given, wanted = search.sides(stream, plan.rows)
        for kind, resources in stream.parts(given, wanted, search.board.part).items():
            if kind == "converter":
                assert stream.source is not None and stream.sink is not None
                ends = search.names[stream.source], search.names[stream.sink]
                converters.append(Converter(*ends, given * stream.bits, wanted * stream.bits))
                taken = taken + resources
            else:
                fifos = fifos + resources
    return Folding(
        search.board,
        clk_mhz,
        search.share,
        nodes,
        tuple(converters),
        named(taken),
        named(fifos),
        named(plan.total),
        bottleneck(search, plan, clk_mhz),
        faster(search, plan, clk_mhz),
    )


def named(resources: Any) -> dict[str, int]:
    """Return resource -> how many, of an array by COUNTED."""
    return {name: round(float(n)) for name, n in zip(COUNTED, resources, strict=True)}
