"""Run a stitched accelerator on images in Verilator and compare what cannot be wrong: shapes, types, rates.

run = simulate(stitch(model, folder), model, images, stalls=STALLS["random"], seed=1)
run.outputs, run.initiation_interval, run.latency
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import beats
from .finn_rtl import RtlError
from .simulate import STALLS, Gate, Run, SimulationError, Stalls, build
from .stitch import Stitched

Array = np.ndarray
# Cycles without a handshake at the top before a run counts as stuck: so many times the sum of all nodes' cycles
# per frame, which no stage that still works exceeds, and some for short pipelines.
_PATIENCE, _PATIENCE_CYCLES = 2, 10_000


@dataclass(frozen=True)
class NetworkRun:
    """What a run of frames gave.

    outputs: the graph's output tensor of every frame, (N, ...) int64. run: streams s_axis_0 and m_axis_0.
    output_beats: per frame. fills: FIFO node -> the most beats it held (gauge) or those it holds at the end
    (probes). seconds: wall-clock time of the simulation, without compiling.
    """

    outputs: Array
    run: Run
    output_beats: int
    fills: dict[str, int]
    seconds: float

    @property
    def latency(self) -> int:
        """Return the cycles from the first beat of the first frame to the last beat of its result."""
        return int(self.run.moved["m_axis_0"][self.output_beats - 1] - self.run.moved["s_axis_0"][0]) + 1

    @property
    def initiation_interval(self) -> int:
        """Return the steady-state cycles per frame, the last interval. Raises ValueError below two frames."""
        return self.run.initiation_interval("m_axis_0", self.output_beats)

    @property
    def cycles_per_second(self) -> float:
        """Return the simulated cycles per second of wall-clock time."""
        return self.run.simulated / self.seconds


def simulate(
    stitched: Stitched,
    model: Any,
    images: Array,
    *,
    stalls: Stalls = STALLS["none"],
    seed: int = 0,
    period: int | None = None,
    expected_frames: int | None = None,
    optimise: str = "-O1",
    trace: Path | None = None,
) -> NetworkRun:
    """Send ``images`` (N, ...) of integers back to back through the accelerator and return what comes out.

    stalls, seed: of input and output, as in Simulation.run. period: cycles per frame at which the input's beats
    arrive, evenly spread, instead of ``stalls.inputs``. expected_frames: results to wait for, N unless given.
    optimise: of g++. trace: FST file. Raises RtlError for images of another shape or range, SimulationError
    for a stuck simulation (with the FIFOs' fill levels if stitched with probes) or a gauge that was too small.
    """
    if len(stitched.inputs) != 1 or len(stitched.outputs) != 1:
        raise RtlError(
            f"{stitched.top}: expected one input and one output, got {len(stitched.inputs)} and {len(stitched.outputs)}"
        )
    data, per_frame = _to_beats(model, images)
    shape, fields, kind = _output_of(model)
    frames = len(images) if expected_frames is None else expected_frames
    output_beats = int(np.prod(shape)) // fields
    compiled = build(
        *(stitched.top, stitched.sources),
        optimise=optimise,
        strict=False,
        includes=stitched.includes,
        trace=trace is not None,
    )
    gates = {} if period is None else {"s_axis_0": Gate(rate=(per_frame, period))}
    depths = {fifo.name: fifo.depth for fifo in stitched.fifos} if stitched.probes else {}
    # Registers start at zero, as an FPGA's do: some of FINN's have no reset. Ours are tested from random values.
    with compiled.open(stitched.files, seed=0, fifos=depths, trace=trace) as simulation:
        start = time.perf_counter()
        run = simulation.run(
            {"s_axis_0": data},
            {"m_axis_0": frames * output_beats},
            stalls=stalls,
            gates=gates,
            seed=seed,
            watchdog=_patience(model) + (period or 0),
        )
        seconds = time.perf_counter() - start
        level = {True: "maxcount", False: "count"}[stitched.gauge]
        named = stitched.fifos if stitched.gauge or stitched.probes else ()
        fills = {fifo.name: simulation.probe(f"{fifo.name}_{level}") for fifo in named}
    for fifo in stitched.fifos:
        if stitched.gauge and fills[fifo.name] >= fifo.gauge_depth:
            raise SimulationError(
                f"{stitched.top}: gauge {fifo.name} was full at {fifo.gauge_depth} beats; "
                "offer the frames at the rate the network can take (period)"
            )
    values = beats.unpack(run.outputs["m_axis_0"], kind.bitwidth(), fields, signed=bool(kind.signed()))
    return NetworkRun(values.reshape(frames, *shape[1:]), run, output_beats, fills, seconds)


def _integer(name: str, kind: Any) -> Any:
    if not kind.is_integer() or kind.get_canonical_name() == "BIPOLAR":
        raise RtlError(f"{name}: expected an integer type, got {kind.name}")
    return kind


def _to_beats(model: Any, images: Array) -> tuple[Array, int]:
    """Return the input stream and its beats per frame."""
    from qonnx.custom_op.registry import getCustomOp

    name = model.graph.input[0].name
    raw = model.find_consumer(name)
    node, index = getCustomOp(raw), list(raw.input).index(name)
    shape, folded = tuple(node.get_normal_input_shape(index)), node.get_folded_input_shape(index)
    kind = _integer(name, model.get_tensor_datatype(name))
    if images.shape[1:] != shape[1:] or not np.issubdtype(images.dtype, np.integer) or not len(images):
        raise RtlError(f"{name}: expected integers (N, {', '.join(map(str, shape[1:]))}), got {images.dtype} "
                       f"{images.shape}")  # fmt: skip
    low, high = int(images.min()), int(images.max())
    if low < kind.min() or high > kind.max():
        raise RtlError(f"{name}: expected {kind.name}, {kind.min():.0f} to {kind.max():.0f}, got {low} to {high}")
    stream = beats.pack(images.reshape(-1, int(folded[-1])), kind.bitwidth())
    return _padded(stream, node.get_instream_width_padded(index)), len(stream) // len(images)


def _padded(stream: Array, width: int) -> Array:
    """Return the beats with the words that a stream of ``width`` bits has."""
    return np.pad(stream, ((0, 0), (0, beats.words_of(width) - stream.shape[1])))


def _output_of(model: Any) -> tuple[tuple[int, ...], int, Any]:
    """Return the output tensor's shape, its elements per beat and type."""
    from qonnx.custom_op.registry import getCustomOp

    name = model.graph.output[0].name
    raw = model.find_producer(name)
    node, index = getCustomOp(raw), list(raw.output).index(name)
    kind = _integer(name, model.get_tensor_datatype(name))
    return tuple(node.get_normal_output_shape(index)), int(node.get_folded_output_shape(index)[-1]), kind


def _patience(model: Any) -> int:
    from qonnx.custom_op.registry import getCustomOp

    return _PATIENCE * sum(int(getCustomOp(n).get_exp_cycles()) for n in model.graph.node) + _PATIENCE_CYCLES
