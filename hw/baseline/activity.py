"""activity.json of a baseline: what its nodes take, and how often their signals change on real inputs.

Simulated node by node in Verilator (windows, MVAU, pool, Thresholding, Align) on the layers' integers; what has no
RTL here, or inputs that are not known, takes the activity of its kind.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.custom_op.registry import getCustomOp

from ..finn_env import prepare
from ..passes.graph import layer_of
from .cost import BaselineCost, CostRow
from .errors import BaselineError
from .layers import Array, Layer, by_name

FORMAT, SCHEMA = "spikeclip-fpga/activity", 1
_NOTES = (
    "each node simulated alone, its frames back to back: toggles per frame, no glitches (zero-delay simulation)",
    "bits and toggles are those of the RTL's nets, each once, as for the spiking network: without the clock, the "
    "inside of DSPs, contents of memories and of shift registers",
    "thresholds that a layer does not bring are evenly spaced over its channel's accumulators on these images",
    "how = 'simulated', or whose toggles per cycle and LUT or register a node was given; FIFOs, converters, forks, "
    "sums, attention and Requant are not simulated",
)


@dataclass(frozen=True, eq=False)
class Stimulus:
    """A node's input frames in the stream's order; thresholds to put into the node first, None for no change."""

    frames: Array
    thresholds: Array | None = None


def activity(
    layers: Sequence[Layer],
    cost: BaselineCost,
    *,
    network: str,
    network_sha256: str,
    stimulus: Mapping[str, Any],
    frames: int = 2,
    reference: Mapping[str, Any] | None = None,
    work: Path | None = None,
) -> dict[str, Any]:
    """Return activity.json (a dict) of the network of ``layers`` as ``cost`` folded it.

    network, network_sha256, stimulus (data, split, images): what the file says of its subject; images are those the
    layers' inputs are of. frames: of the inputs that are simulated. reference: the spiking network's activity.json,
    whose nodes of the same operator give their activity to those that are not simulated. work: folder for FINN.
    Raises BaselineError for fewer inputs than frames.
    """
    if work is None:
        with tempfile.TemporaryDirectory(prefix="spikeclip-baseline-") as folder:
            return activity(
                *(layers, cost),
                network=network,
                network_sha256=network_sha256,
                stimulus=stimulus,
                frames=frames,
                reference=reference,
                work=Path(folder),
            )
    known = by_name(layers)
    short = next((layer for layer in layers if len(layer.inputs) < frames), None)
    if short is not None:
        raise BaselineError(f"{short.name}: {frames} frames asked, inputs of {len(short.inputs)}; ask for less")
    prepare(work)
    graph = cost.model.graph.node
    nodes = [_node(cost, node, row, known, frames) for node, row in zip(graph, cost.rows, strict=False)]
    # Width converters and FIFOs, a node for all of each.
    nodes += [{**_entry(row), "layer": None} for row in cost.rows[len(nodes) :]]
    _fill(nodes, cost, reference)
    images = list(stimulus["images"])[:frames]
    how = "quantised activations of each layer as its weights' network computes them, node by node"
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "subject": {
            "network": network,
            "network_sha256": network_sha256,
            "board": cost.board.name,
            "part": cost.board.part,
            "family": "7series" if cost.board.family == "xc7" else "ultrascale+",
            "clk_mhz": cost.clk_mhz,
        },
        "stimulus": {**stimulus, "images": images, "how": how},
        "frames": frames,
        "cycles_per_frame": cost.cycles,
        "netlist": {"kind": "model"},
        "nodes": nodes,
        "notes": list(_NOTES),
    }


def stimulus_of(cost: BaselineCost, node: Any, known: Mapping[str, Layer], frames: int) -> Stimulus | None:
    """Return what goes into ``node`` on the first ``frames`` inputs, None if that is not known or has no RTL."""
    from .simulation import depthwise, levels, pooled, quantised

    name, inst = layer_of(node), getCustomOp(node)
    if node.op_type == "Readout_rtl" and "readout.lif_in" in known:
        stream = known["readout.lif_in"]
        return (
            None if stream.thresholds is None else Stimulus(quantised(stream.accumulators(frames), stream.thresholds))
        )
    stem = next((name.removesuffix(end) for end in _ENDS if name.endswith(end)), name)
    if stem not in known or node.op_type == "Requant_rtl":
        return None
    layer = known[stem]
    if name.endswith(".padding"):
        return Stimulus(layer.inputs[:frames])
    if name.endswith(".pool.windows"):
        return Stimulus(layer.accumulators(frames))
    if name.endswith(".windows"):
        margin = ((0, 0), (layer.pad, layer.pad), (layer.pad, layer.pad), (0, 0))
        return Stimulus(np.pad(layer.inputs[:frames], margin))
    if name.endswith(".pool"):
        return Stimulus(depthwise(layer.accumulators(frames), int(layer.pool or 1), inst.get_nodeattr("PE")))
    if node.op_type == "MVAU_rtl":
        return Stimulus(layer.windows(frames))
    sums = layer.accumulators(frames)
    if layer.pool:
        sums = pooled(sums, layer.pool)
    if node.op_type != "Thresholding_rtl" or layer.thresholds is not None:
        return Stimulus(sums)
    low, high = (int(getattr(inst.get_input_datatype(0), end)()) for end in ("min", "max"))
    return Stimulus(sums, np.clip(levels(sums, inst.get_nodeattr("numSteps")), low, high))


_ENDS = (".padding", ".pool.windows", ".windows", ".pool", ".quantiser", ".to_grid")


def _node(cost: BaselineCost, node: Any, row: CostRow, known: Mapping[str, Layer], frames: int) -> dict[str, Any]:
    from .simulation import run

    found = _entry(row)
    if row.op == "MVAU":
        # FINN's weight streamer reads in every cycle.
        found["bram_accesses_per_frame"] = float(cost.cycles * row.bram18)
    stimulus = stimulus_of(cost, node, known, frames)
    if stimulus is None:
        return found
    if stimulus.thresholds is not None:
        cost.model.set_initializer(node.input[1], stimulus.thresholds.astype(np.float32))
    done = run(cost.model, node, stimulus.frames, cost.board.part, cost.clk_mhz, saif=True)
    return {
        **found,
        "bits": done.bits,
        "toggles_per_frame": done.toggles_per_frame,
        "register_bits": done.register_bits,
        "register_toggles_per_frame": done.register_toggles_per_frame,
        "how": "simulated",
    }


def _entry(row: CostRow) -> dict[str, Any]:
    """Return a node's resources and what they do in a frame, toggles still open."""
    return {
        "name": row.layer,
        "layer": row.layer,
        "op": row.op,
        "lut": row.lut,
        "ff": row.ff,
        "bram18": row.bram18,
        "dsp": row.dsp,
        "bits": row.lut + row.ff,
        "toggles_per_frame": None,
        "register_bits": None,
        "register_toggles_per_frame": None,
        "bram_accesses_per_frame": float(row.block_ram_accesses),
        "dsp_operations_per_frame": float(row.cycles * row.dsp),
        "how": "",
    }


def _fill(nodes: list[dict[str, Any]], cost: BaselineCost, reference: Mapping[str, Any] | None) -> None:
    """Give nodes without toggles those of their operator, per LUT, register and busy cycle.

    Here; else, per cycle, in ``reference``; else those of MVAU for attention, of all others here for the rest.
    """
    simulated = [(node, row) for node, row in zip(nodes, cost.rows, strict=True) if node["how"]]
    there = [] if reference is None else list(reference["nodes"])
    for node, row in zip(nodes, cost.rows, strict=True):
        if node["how"]:
            continue
        alike = [pair for pair in simulated if pair[1].op == row.op]
        known = [other for other in there if other["op"].removesuffix("_rtl") == row.op]
        if not alike and known and reference is not None:
            size = sum(other["lut"] + other["ff"] for other in known) * reference["cycles_per_frame"]
            rate, busy = sum(other["toggles_per_frame"] for other in known) / size, (row.lut + row.ff) * cost.cycles
            node["how"] = f"as {row.op} of the spiking network, per LUT, register and cycle"
        else:
            matrix = row.op == "QuantAttention"
            alike = alike or [pair for pair in simulated if (pair[1].op == "MVAU") == matrix]
            rate = sum(other["toggles_per_frame"] for other, _ in alike) / max(1, sum(one.busy for _, one in alike))
            busy, whose = row.busy, ", ".join(sorted({one.op for _, one in alike}))
            node["how"] = f"as {whose} here, per LUT, register and busy cycle"
        node["toggles_per_frame"] = rate * busy
