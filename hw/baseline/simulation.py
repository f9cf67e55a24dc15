"""One node of a baseline's graph in Verilator on real integers: its results, cycles and value changes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import qonnx_make_model

from ..activity.netnames import nets
from ..activity.nodes import Counts, count
from ..simulate import build, trace_kind
from ..stitch import stitch
from ..stream_layout import StreamLayout
from .errors import BaselineError
from .layers import Array

# All nodes are compiled under one name, so that nodes of one kind and size are compiled once.
_NAME = "node"


@dataclass(frozen=True, eq=False)
class NodeRun:
    """What a node did. outputs: (N, ...) int64 of its output tensor.

    cycles_per_frame: the last interval, those of one frame if there is one. bits, toggles_per_frame: of its nets, and
    of the registers among them, as hw.activity counts those of a whole accelerator; zero if they were not counted.
    """

    outputs: Array
    cycles_per_frame: int
    bits: int
    toggles_per_frame: float
    register_bits: int
    register_toggles_per_frame: float


def single(model: Any, node: NodeProto) -> Any:
    """Return the graph of ``node`` alone, with the constants it has in ``model``.

    Raises BaselineError for a node of several streams.
    """
    streams = [name for name in node.input if model.get_initializer(name) is None]
    if len(streams) != 1 or len(node.output) != 1:
        raise BaselineError(f"{node.name}: expected one input and one output stream, got {len(streams)} inputs")
    inst, raw = getCustomOp(node), NodeProto()
    raw.CopyFrom(node)
    raw.name = _NAME
    shapes = {streams[0]: inst.get_normal_input_shape(0), node.output[0]: inst.get_normal_output_shape(0)}
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [int(n) for n in s]) for name, s in shapes.items()]
    made = ModelWrapper(qonnx_make_model(helper.make_graph([raw], _NAME, infos[:1], infos[1:])))
    made.set_tensor_datatype(streams[0], inst.get_input_datatype(0))
    made.set_tensor_datatype(node.output[0], inst.get_output_datatype(0))
    for name in node.input:
        value = model.get_initializer(name)
        if value is not None:
            made.set_initializer(name, value)
            made.set_tensor_datatype(name, DataType[model.get_tensor_datatype(name).name])
    return made


def run(model: Any, node: NodeProto, frames: Array, part: str, clk_mhz: float, *, saif: bool = False) -> NodeRun:
    """Simulate ``node`` of a folded graph on ``frames`` (N, ...) of its input tensor in the stream's order.

    FINN must be prepared. saif: count value changes. Raises RtlError, SimulationError.
    """
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

    made = single(model, node).transform(PrepareIP(part, 1000 / clk_mhz))
    with tempfile.TemporaryDirectory(prefix="spikeclip-baseline-") as folder:
        trace = Path(folder) / "node.saif" if saif else None
        stitched = stitch(made, Path(folder) / "rtl", top="baseline_node")
        layout = StreamLayout.of(made, stitched.top)
        beats, kind = layout.source.to_beats(frames), "" if trace is None else trace_kind(trace)
        compiled = build(stitched.top, stitched.sources, strict=False, includes=stitched.includes, trace=kind)
        with compiled.open({**stitched.files, **_thresholds(made)}, seed=0, trace=trace) as simulation:
            # FMPadding begins the next frame's border unasked: nothing is watched after the last beat.
            done = simulation.run(
                {"s_axis_0": beats},
                {"m_axis_0": len(frames) * layout.sink.frame_beats},
                watchdog=layout.patience_cycles,
                drain=0,
                hold=True,
            )
        found = Counts()
        if trace is not None:
            op = node.op_type.removesuffix("_rtl")
            known = nets(stitched.top, stitched.sources, includes=stitched.includes)
            top = (stitched.folder / f"{stitched.top}.v").read_text()
            found = count(trace, stitched.top, {_NAME: op}, top, known)[0][_NAME]
    cycles = done.cycles if len(frames) == 1 else done.initiation_interval("m_axis_0", layout.sink.frame_beats)
    return NodeRun(
        layout.sink.from_beats(done.outputs["m_axis_0"]),
        cycles,
        found.bits,
        found.toggles / len(frames),
        found.register_bits,
        found.register_toggles / len(frames),
    )


def _thresholds(model: Any) -> dict[str, str]:
    """Return the memory files of a Thresholding, whose names its RTL puts together itself."""
    inst = getCustomOp(model.graph.node[0])
    if inst.onnx_node.op_type != "Thresholding_rtl":
        return {}
    paths = [Path(path) for path in inst.get_all_meminit_filenames(abspath=True)]
    return {path.name: path.read_text() for path in paths}


def depthwise(maps: Array, kernel: int, pe: int) -> Array:
    """Return windows (N, H', W', k k X) of maps (N, H, W, X) in the order a pool reads: (X / pe, k k, pe)."""
    count, height, width, channels = maps.shape
    rows, columns = height // kernel, width // kernel
    split = maps[:, : rows * kernel, : columns * kernel].reshape(
        count, rows, kernel, columns, kernel, channels // pe, pe
    )
    return split.transpose(0, 1, 3, 5, 2, 4, 6).reshape(count, rows, columns, -1)


def pooled(maps: Array, kernel: int) -> Array:
    """Return the maxima (N, H', W', X) of windows of ``kernel`` side by side."""
    windows = depthwise(maps, kernel, maps.shape[3])
    found: Array = windows.reshape(*windows.shape[:3], kernel * kernel, maps.shape[3]).max(3)
    return found


def levels(values: Array, steps: int) -> Array:
    """Return thresholds (C, steps) of a ReLU's quantiser: evenly spaced up to the 99.5th percentile of ``values``.

    values: (..., C) accumulators of real images. A channel that is never positive has thresholds above its range.
    """
    flat = values.reshape(-1, values.shape[-1])
    top = np.maximum(np.percentile(flat, 99.5, axis=0), steps)
    spaced: Array = np.ceil((np.arange(steps) + 0.5) * top[:, None] / steps).astype(np.int64)
    return spaced


def quantised(values: Array, thresholds: Array) -> Array:
    """Return how many of a channel's thresholds each of ``values`` (..., C) reaches."""
    found: Array = (values[..., None] >= thresholds).sum(-1)
    return found
