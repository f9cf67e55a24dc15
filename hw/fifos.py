"""FIFO depths of a stitched network: measured with FIFOs that never fill, then frozen in the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qonnx.custom_op.registry import getCustomOp

from .folding.costs import fifo_style
from .network_sim import NetworkRun, simulate
from .stitch import FIFO, stitch


def bottleneck(model: Any) -> int:
    """Return the cycles per frame of the slowest node, by each node's own count."""
    return max(int(getCustomOp(node).get_exp_cycles()) for node in model.graph.node if node.op_type != FIFO)


def measure(model: Any, frames: np.ndarray, folder: Path) -> NetworkRun:
    """Return a run of ``frames`` (N, ...) at the bottleneck's rate through FIFOs that hold all they are given.

    Its ``fills`` are the depths the network needs to keep that rate; ``folder`` takes the RTL.
    """
    return simulate(stitch(model, folder, gauge=True), model, frames, period=bottleneck(model))


def freeze(model: Any, fills: dict[str, int], part: str, clk_mhz: float) -> dict[str, int]:
    """Give every FIFO of ``model`` (after PrepareIP) the depth measured; return node -> depth in beats.

    Two beats are the least. Deep and wide ones go to block RAM.
    """
    depths: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type != FIFO:
            continue
        fifo, depth = getCustomOp(node), max(2, fills[node.name])
        fifo.set_nodeattr("depth", depth)
        fifo.set_nodeattr("ram_style", fifo_style(depth, fifo.get_instream_width()))
        fifo.generate_hdl(model, part, 1000 / clk_mhz)
        depths[node.name] = depth
    return depths
