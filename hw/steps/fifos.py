"""FIFO depths, measured on the job's images."""

from __future__ import annotations

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from ..fifos import bottleneck, freeze, measure
from ..job import Job, JobError
from ..network_sim import NetworkRun

# Frames that fill the pipeline (the deepest branch holds two) and then run at the steady rate.
_FRAMES = 6


def embeddings(run: NetworkRun) -> np.ndarray:
    """Return (N, E) from the outputs (N, 1, 1, E) of a run."""
    return run.outputs[:, 0, 0]


def size_fifos(model: ModelWrapper, job: Job) -> ModelWrapper:
    """Return the graph with the depth each FIFO needs when frames arrive at the bottleneck's rate.

    Raises JobError if this simulation already computes something else.
    """
    at = np.arange(_FRAMES) % len(job.pixels)
    run = measure(model, job.pixels[at], job.out / "gauge")
    if not np.array_equal(embeddings(run), job.expected[at]):
        raise JobError(f"{job.name}: the network with unbounded FIFOs computes other embeddings than golden")
    depths = freeze(model, run.fills, job.board.part, job.clk_mhz)
    job.write("fifo_depths", {"period_cycles": bottleneck(model), "frames": _FRAMES, "depths": depths})
    job.say(f"  {len(depths)} FIFOs, deepest {max(depths.values())} beats, {sum(depths.values())} in all")
    return model
