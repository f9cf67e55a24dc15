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

from .finn_rtl import RtlError
from .simulate import STALLS, Gate, Run, SimulationError, Stalls, build, trace_kind
from .stitch import Stitched
from .stream_layout import StreamLayout

Array = np.ndarray


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
    window: tuple[int, int] | None = None,
) -> NetworkRun:
    """Send ``images`` (N, ...) of integers back to back through the accelerator and return what comes out.

    stalls, seed: of input and output, as in Simulation.run. period: cycles per frame at which the input's beats
    arrive, evenly spread, instead of ``stalls.inputs``. expected_frames: results to wait for, N unless given.
    optimise: of g++. trace: file, .fst or .saif, of the cycles ``window`` if given, as in Simulation.run. Raises
    RtlError for images of another shape or range, SimulationError for a stuck simulation
    (with the FIFOs' fill levels if stitched with probes) or a gauge that was too small.
    """
    if len(stitched.inputs) != 1 or len(stitched.outputs) != 1:
        raise RtlError(
            f"{stitched.top}: expected one input and one output, got {len(stitched.inputs)} and {len(stitched.outputs)}"
        )
    layout = StreamLayout.of(model, stitched.top)
    data, per_frame = layout.source.to_beats(images), layout.source.frame_beats
    frames = len(images) if expected_frames is None else expected_frames
    output_beats = layout.sink.frame_beats
    compiled = build(
        *(stitched.top, stitched.sources),
        optimise=optimise,
        strict=False,
        includes=stitched.includes,
        trace="" if trace is None else trace_kind(trace),
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
            watchdog=layout.patience_cycles + (period or 0),
            window=window,
            hold=trace is not None and trace_kind(trace) == "saif",
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
    return NetworkRun(layout.sink.from_beats(run.outputs["m_axis_0"]), run, output_beats, fills, seconds)
