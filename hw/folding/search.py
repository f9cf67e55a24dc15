"""The cheapest folding for a rate, and the fastest that fits."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from qonnx.custom_op.registry import getCustomOp

from ..boards import Board
from ..passes.graph import layer_of
from .choices import Array, Choices, choices
from .costs import COUNTED
from .errors import FoldingError
from .fixed import Fixed, restrict
from .solve import cheapest
from .streams import Stream, streams

# Of a node's choices the solver sees so many, the cheapest that reach the rate: what costs more than all of
# them does not pay for itself by sparing its neighbours a converter.
_SEEN = 80
# How often the prices of resources that are short are raised, to twice and more the more is short.
_RAISES = 4


@dataclass(frozen=True)
class Plan:
    """A row of every node's choices, what they and the streams take (by COUNTED), the most cycles of a node."""

    rows: tuple[int, ...]
    nodes: Array
    streams: Array
    cycles: int

    @property
    def total(self) -> Array:
        """Return the resources of the whole network."""
        found: Array = self.nodes + self.streams
        return found


class Search:
    """Foldings of a specialised graph on a board, ``share`` of whose LUT, block RAM, DSP and URAM may be used."""

    def __init__(self, model: Any, board: Board, share: float, fixed: Mapping[str, Fixed]) -> None:
        self.board, self.share = board, share
        self.names = [node.name for node in model.graph.node]
        self.layers = [layer_of(node) or node.name for node in model.graph.node]
        self.ops = [node.op_type for node in model.graph.node]
        known: dict[bytes, Choices] = {}
        all_choices = [choices(model, node, board.part, known) for node in model.graph.node]
        self.choices = [
            restrict(getCustomOp(node), found, fixed.get(node.name, {}))
            for node, found in zip(model.graph.node, all_choices, strict=True)
        ]
        self.streams = streams(model, self.choices)
        self.limits = np.array([share * board.totals[name] for name in COUNTED])
        self._tables: dict[Any, tuple[Array, Array, Array]] = {}
        self._check_windows()

    def floor(self) -> tuple[int, int]:
        """Return the least cycles of a frame that any folding reaches, and the node that sets them."""
        least = [int(found.cycles.min()) for found in self.choices]
        slowest = int(np.argmax(least))
        return least[slowest], slowest

    def cheapest(self, cycles: int, prices: Array | None = None) -> Plan | None:
        """Return the plan in which no node takes more than ``cycles``, None if there is none.

        Cheapest is the least sum of ``prices`` times shares of what may be used; without prices, those of
        resources that are short are raised until the plan fits or nothing changes.
        """
        if prices is not None:
            return self._solve(cycles, prices)
        best: Plan | None = None
        prices = np.ones(len(COUNTED))
        for _ in range(1 + _RAISES):
            plan = self._solve(cycles, prices)
            if plan is None:
                return None
            if best is None or self.shortage(plan) < self.shortage(best):
                best = plan
            short = plan.total > self.limits
            if not short.any() or (best is not plan and plan.rows == best.rows):
                break
            prices = np.where(short, 2 * prices * plan.total / np.maximum(self.limits, 1e-9), prices)
        return best

    def fastest(self) -> Plan | None:
        """Return the fastest plan that fits, None if none does."""
        floor, _ = self.floor()
        limits = np.unique(np.concatenate([found.cycles for found in self.choices]))
        limits = limits[limits >= floor]
        low, high, best = 0, len(limits), None
        while low < high:
            middle = (low + high) // 2
            plan = self.cheapest(int(limits[middle]))
            if plan is not None and self.fits(plan):
                best, high = plan, middle
            else:
                low = middle + 1
        return best

    def fits(self, plan: Plan) -> bool:
        """Return whether a plan takes no more than may be used."""
        return bool((plan.total <= self.limits).all())

    def shortage(self, plan: Plan) -> float:
        """Return the most used of a resource over what may be used of it."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.nan_to_num(plan.total / self.limits, nan=0.0).max())

    def sides(self, stream: Stream, rows: tuple[int, ...]) -> tuple[int, int]:
        """Return the elements per beat a stream's source gives and its sink takes; outside of the graph the same."""
        taken = 0 if stream.sink is None else int(self.choices[stream.sink].inputs[rows[stream.sink], stream.into])
        if stream.source is None:
            return taken, taken
        given = int(self.choices[stream.source].outputs[rows[stream.source], stream.out])
        return given, given if stream.sink is None else taken

    def _solve(self, cycles: int, prices: Array) -> Plan | None:
        # A resource the board has none of has no price: what needs it costs more than all else together.
        weight = np.where(self.limits > 0, prices / np.maximum(self.limits, 1e-9), 1e6)
        seen, costs = [], []
        for found in self.choices:
            rows = np.flatnonzero(found.cycles <= cycles)
            if not len(rows):
                return None
            cost = found.resources[rows] @ weight
            order = np.argsort(cost, kind="stable")
            seen.append(self._distinct(found, rows[order])[:_SEEN])
            costs.append(found.resources[seen[-1]] @ weight)
        pairs: dict[tuple[int, int], Array] = {}
        for stream in self.streams:
            given, taken, resources = self._table(stream)
            # An infinite resource times a price is infinite, times one of 0 too.
            table = np.where(np.isinf(resources).any(-1), np.inf, np.nan_to_num(resources, posinf=0) @ weight)
            if stream.source is None or stream.sink is None:
                at = stream.sink if stream.source is None else stream.source
                assert at is not None
                found = self.choices[at]
                folds = found.inputs[:, stream.into] if stream.source is None else found.outputs[:, stream.out]
                index = np.searchsorted(given, folds[seen[at]])
                costs[at] = costs[at] + table[index, index]
                continue
            row = np.searchsorted(given, self.choices[stream.source].outputs[seen[stream.source], stream.out])
            column = np.searchsorted(taken, self.choices[stream.sink].inputs[seen[stream.sink], stream.into])
            key = (stream.source, stream.sink)
            pairs[key] = pairs.get(key, 0) + table[row][:, column]
        sum_, chosen = cheapest(costs, pairs)
        if math.isinf(sum_):
            return None
        return self._plan(tuple(int(seen[i][k]) for i, k in enumerate(chosen)))

    def _plan(self, rows: tuple[int, ...]) -> Plan:
        nodes = np.sum([found.resources[row] for found, row in zip(self.choices, rows, strict=True)], axis=0)
        links = np.zeros(len(COUNTED))
        for stream in self.streams:
            for part in stream.parts(*self.sides(stream, rows), self.board.part).values():
                links = links + part
        cycles = max(int(found.cycles[row]) for found, row in zip(self.choices, rows, strict=True))
        return Plan(rows, nodes, links, cycles)

    def _table(self, stream: Stream) -> tuple[Array, Array, Array]:
        given = None if stream.source is None else np.unique(self.choices[stream.source].outputs[:, stream.out])
        taken = None if stream.sink is None else np.unique(self.choices[stream.sink].inputs[:, stream.into])
        given, taken = (taken if given is None else given), (given if taken is None else taken)
        assert given is not None and taken is not None
        kind = dataclasses.replace(stream, tensor="", source=None, sink=None, out=0, into=0)
        key = (kind, given.tobytes(), taken.tobytes())
        if key not in self._tables:
            self._tables[key] = (given, taken, stream.table(given, taken, self.board.part))
        return self._tables[key]

    @staticmethod
    def _distinct(found: Choices, rows: Array) -> Array:
        """Return the first of ``rows`` for every width of the streams, in order."""
        widths = np.concatenate([found.inputs[rows], found.outputs[rows]], axis=1)
        _, first = np.unique(widths, axis=0, return_index=True)
        kept: Array = rows[np.sort(first)]
        return kept

    def _check_windows(self) -> None:
        for stream in self.streams:
            if not stream.windows or stream.source is None or stream.sink is None:
                continue
            given = np.unique(self.choices[stream.source].outputs[:, stream.out])
            taken = np.unique(self.choices[stream.sink].inputs[:, stream.into])
            if not np.intersect1d(given, taken).size:
                raise FoldingError(
                    f"{self.names[stream.sink]}: takes {', '.join(map(str, taken))} elements per beat, but "
                    f"{self.names[stream.source]}, whose windows it reads, gives {', '.join(map(str, given))}; "
                    "a pool takes as many as its windows have"
                )
