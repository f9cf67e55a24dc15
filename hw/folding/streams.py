"""The streams between nodes: which widths can meet, what a converter and the FIFO of a stream take.

FIFOs are an estimate until simulation measures them: two beats; a vector in front of a matrix, which repeats
the one it has while the next arrives; in front of windows the rows they share (half a row if none), since
FINN's generator reads nothing of the next frame before the last windows are out; and where a graph parts and
joins again, what the shorter way holds while the longer one works. The last is counted in frames, from how
much of a frame a node must have before it gives anything: a vector for a matrix, the kernel's rows for
windows, all for attention and readout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto
from qonnx.custom_op.registry import getCustomOp

from .choices import Array, Choices, streams_of
from .costs import COUNTED, converter, fifo

_SHALLOW = 2
_MATRICES = ("MVAU_rtl", "SpikeMVAU_rtl")


@dataclass(frozen=True)
class Stream:
    """A stream from an output of node ``source`` to an input of node ``sink``; None outside of the graph.

    bits: of an element. elements: of a frame. held: frames that wait in it. waiting: elements that wait while
    the sink is at work on what it has. windows: the sink reads windows as its source orders them.
    """

    tensor: str
    source: int | None
    out: int
    sink: int | None
    into: int
    bits: int
    elements: int
    held: float = 0.0
    waiting: int = 0
    windows: bool = False

    def depth(self, elements: int) -> int:
        """Return the beats its FIFO is estimated to need, ``elements`` per beat."""
        return math.ceil(max(self.waiting, self.held * self.elements) / elements) + _SHALLOW

    def meets(self, given: int, taken: int) -> bool:
        """Return whether a source that gives and a sink that takes so many elements a beat can be connected.

        FINN's RTL converter takes any two widths (it cuts beats into their greatest common divisor), but
        keeps the order of elements, and that of a pool's windows is by groups of as many channels as a beat has.
        """
        return given == taken or not self.windows

    def parts(self, given: int, taken: int, part: str) -> dict[str, tuple[float, ...]]:
        """Return converter and FIFOs -> resources of the stream between ``given`` and ``taken`` elements a beat."""
        found = {"fifo": fifo(self.depth(taken), taken * self.bits, part)}
        if given != taken:
            found["converter"] = converter(given * self.bits, taken * self.bits)
            found["fifo in front of the converter"] = fifo(_SHALLOW, given * self.bits, part)
        return found

    def table(self, given: Array, taken: Array, part: str) -> Array:
        """Return (given, taken, COUNTED) resources, infinite where the two cannot meet."""
        found = np.full((len(given), len(taken), len(COUNTED)), np.inf)
        for i, a in enumerate(given.tolist()):
            for j, b in enumerate(taken.tolist()):
                if self.meets(a, b):
                    found[i, j] = np.sum(list(self.parts(a, b, part).values()), axis=0)
        return found


def streams(model: Any, choices: list[Choices]) -> list[Stream]:
    """Return the streams of a graph whose nodes have ``choices``, the graph's own inputs and outputs among them."""
    nodes = list(model.graph.node)
    sources = {name: (i, k) for i, node in enumerate(nodes) for k, name in enumerate(node.output)}
    arrival, lags = _times(model, nodes, sources)
    found = []
    for i, node in enumerate(nodes):
        inst = getCustomOp(node)
        for into, at in enumerate(streams_of(model, node)):
            name = node.input[at]
            source, out = sources.get(name, (None, 0))
            held = 0.0 if source is None else arrival[i] - (arrival[source] + lags[source])
            found.append(
                Stream(
                    name,
                    source,
                    out,
                    i,
                    into,
                    choices[i].bits_in[into],
                    int(np.prod(inst.get_normal_input_shape(at))),
                    max(0.0, held),
                    _waiting(inst),
                    node.op_type == "SpikePool_rtl",
                )
            )
    for value in model.graph.output:
        source, out = sources[value.name]
        elements = int(np.prod(model.get_tensor_shape(value.name)))
        found.append(Stream(value.name, source, out, None, 0, choices[source].bits_out[out], elements))
    return found


def _times(model: Any, nodes: list[NodeProto], sources: dict[str, tuple[int, int]]) -> tuple[list[float], list[float]]:
    """Return per node when its last input begins to arrive, and how much later its output begins, in frames."""
    arrival: list[float] = []
    lags = [_lag(node) for node in nodes]
    for node in nodes:
        before = [sources[node.input[at]][0] for at in streams_of(model, node) if node.input[at] in sources]
        arrival.append(max((arrival[i] + lags[i] for i in before), default=0.0))
    return arrival, lags


def _waiting(inst: Any) -> int:
    op_type = inst.onnx_node.op_type
    if op_type in _MATRICES:
        return int(inst.get_nodeattr("MW"))
    if op_type == "ConvolutionInputGenerator_rtl":
        row = inst.get_nodeattr("IFMDim")[1] * inst.get_nodeattr("IFMChannels")
        return math.ceil(row * max(inst.get_nodeattr("ConvKernelDim")[0] - inst.get_nodeattr("Stride")[0], 0.5))
    return 0


def _lag(node: NodeProto) -> float:
    inst = getCustomOp(node)
    if node.op_type in _MATRICES:
        return 1 / math.prod(inst.get_nodeattr("numInputVectors"))
    if node.op_type == "ConvolutionInputGenerator_rtl":
        return float((inst.get_nodeattr("ConvKernelDim")[0] - 1) / inst.get_nodeattr("IFMDim")[0])
    return 1.0 if node.op_type in ("SpikeAttention_rtl", "Readout_rtl") else 0.0
