"""The folding search of :mod:`hw.folding` on the graph of a quantised ANN: same costs, same streams, more operators."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from onnx import NodeProto
from qonnx.custom_op.registry import getCustomOp

from .. import stock_resources
from ..boards import Board
from ..folding import choices as known
from ..folding.choices import Array, Choices
from ..folding.costs import COUNTED, mvau, node_resources
from ..folding.search import Search
from ..folding.streams import streams
from ..ops.operator import Resources
from ..passes.graph import layer_of
from .resources import requant, thresholding

# Folded by PE among the divisors of the second.
_OWN = {"Thresholding_rtl": "NumChannels", "Requant_rtl": "NumChannels", "QuantAttention_rtl": "head_dim"}


class BaselineSearch(Search):
    """Foldings of a specialised graph of :func:`.graph.build` on a board."""

    def __init__(self, model: Any, board: Board, share: float) -> None:
        nodes = list(model.graph.node)
        self.board, self.share = board, share
        self.names = [node.name for node in nodes]
        self.layers = [layer_of(node) or node.name for node in nodes]
        self.ops = [node.op_type for node in nodes]
        found: dict[bytes, Choices] = {}
        self.choices = [_choices(model, node, board.part, found) for node in nodes]
        self.streams = streams(model, self.choices)
        self._hold(model, nodes)
        self.limits = np.array([share * board.totals[name] for name in COUNTED])
        self._tables = {}
        self._check_windows()

    def _hold(self, model: Any, nodes: list[NodeProto]) -> None:
        """Let the shorter way around attention hold the frame that attention waits for."""
        sources = {name: i for i, node in enumerate(nodes) for name in node.output}
        extra = [0] * len(nodes)
        for i, node in enumerate(nodes):
            before = [extra[sources[name]] for name in node.input if name in sources]
            extra[i] = max(before, default=0) + (node.op_type == "QuantAttention_rtl")
        held = []
        for stream in self.streams:
            more = 0
            if stream.source is not None and stream.sink is not None:
                more = extra[stream.sink] - extra[stream.source]
                more -= nodes[stream.sink].op_type == "QuantAttention_rtl"
            held.append(dataclasses.replace(stream, held=stream.held + more))
        self.streams = held


def resources(inst: Any, part: str) -> Resources:
    """Return the LUTs, registers, block RAMs and DSPs of a node as it is folded; registers 0 where none are modelled.

    Thresholding and Requant by :mod:`.resources`, the others as :mod:`hw.folding` prices them.
    """
    op, value = inst.onnx_node.op_type, inst.get_nodeattr
    bits_in, bits_out = int(inst.get_input_datatype(0).bitwidth()), int(inst.get_output_datatype().bitwidth())
    if op == "Thresholding_rtl":
        return thresholding(value("NumChannels"), value("PE"), bits_in, bits_out)
    if op == "Requant_rtl":
        return requant(value("NumChannels"), value("PE"), bits_in, bits_out)
    lut, bram18, dsp, uram = (round(n) for n in node_resources(inst, part))
    return Resources(lut, _registers(inst, part), bram18, dsp, uram)


def _registers(inst: Any, part: str) -> int:
    op = inst.onnx_node.op_type
    if op == "MVAU_rtl":
        return mvau(inst, part).ff + stock_resources.weight_streamer(int(inst.get_instream_width(1))).ff
    if op == "FMPadding_rtl":
        return stock_resources.padding(inst.get_outstream_width()).ff
    if op == "ConvolutionInputGenerator_rtl":
        return stock_resources.sliding_window(0, 0).ff
    return int(inst.operator().resources().ff)


def _choices(model: Any, node: NodeProto, part: str, found: dict[bytes, Choices]) -> Choices:
    if node.op_type in _OWN:
        return _own(model, node, part)
    made = known.choices(model, node, part, found)
    if node.op_type != "MVAU_rtl":
        return made
    trial = NodeProto()
    trial.CopyFrom(node)
    inst = getCustomOp(trial)
    return dataclasses.replace(made, resources=np.array([_priced(inst, row, part) for row in made.attributes]))


def _own(model: Any, node: NodeProto, part: str) -> Choices:
    trial = NodeProto()
    trial.CopyFrom(node)
    inst = getCustomOp(trial)
    whole = inst.operator().head_dim if node.op_type == "QuantAttention_rtl" else inst.get_nodeattr("NumChannels")
    rows: tuple[dict[str, int | str], ...] = tuple({"PE": pe} for pe in known.divisors(int(whole)))
    inputs = known.streams_of(model, node)
    priced, cycles, taken, given = [], [], [], []
    for row in rows:
        priced.append(_priced(inst, row, part))
        cycles.append(int(inst.get_exp_cycles()))
        taken.append([int(inst.get_folded_input_shape(i)[-1]) for i in inputs])
        given.append([int(inst.get_folded_output_shape(0)[-1])])
    bits = tuple(int(inst.get_input_datatype(i).bitwidth()) for i in inputs)
    out = (int(inst.get_output_datatype().bitwidth()),)
    return Choices(rows, np.array(cycles), np.array(priced), np.array(taken), np.array(given), bits, out)


def _priced(inst: Any, row: dict[str, int | str], part: str) -> Array:
    for name, value in row.items():
        inst.set_nodeattr(name, value)
    made = resources(inst, part)
    return np.array([getattr(made, name) for name in COUNTED], np.float64)


def folded(search: BaselineSearch, model: Any, rows: tuple[int, ...]) -> None:
    """Write the foldings ``rows`` of a search into the graph."""
    for node, found, row in zip(model.graph.node, search.choices, rows, strict=True):
        inst = getCustomOp(node)
        for name, value in found.attributes[row].items():
            inst.set_nodeattr(name, value)
