"""The stitched network, with its frozen FIFOs, on real images: undisturbed, then under stalls."""

from __future__ import annotations

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from ..fifos import bottleneck
from ..job import Job, JobError
from ..network_sim import simulate
from ..simulate import Gate, Stalls
from ..stitch import stitch
from ..stream_layout import StreamLayout
from .fifos import embeddings

# Stalls that a frame of tens of thousands of cycles feels: an input that trickles, an output that stays closed
# for longer than a frame, so that every FIFO fills to the brim.
_STALLS = {
    "none": Stalls(),
    "starved": Stalls(inputs=Gate(0.05)),
    "blocked": Stalls(outputs=Gate(bursts=(100, 20_000))),
    "both": Stalls(Gate(bursts=(2_000, 9_000)), Gate(bursts=(40, 9_000))),
}
# How far above the slowest node's count a frame may take in the steady state.
_TOLERANCE = 0.05


def make_rtl(model: ModelWrapper, job: Job) -> ModelWrapper:
    """Write rtl/: the network as one top with AXI-streams, its sources and memory files, its streams' layout."""
    made = stitch(model, job.rtl)
    StreamLayout.of(model, made.top).write(job.rtl)
    job.say(f"  {made.top}: {len(made.sources)} sources, {len(made.files)} memory files in {job.rtl}")
    return model


def simulate_network(model: ModelWrapper, job: Job) -> ModelWrapper:
    """Compare the RTL's embeddings with golden's and write report/rtl.json.

    Raises JobError if an element differs, or the steady state is slower than the model says.
    """
    probed = stitch(model, job.out / "simulation", probes=True)
    frames = np.arange(max(len(job.pixels), 4)) % len(job.pixels)
    model_cycles, wrong, runs = bottleneck(model), 0, {}
    for seed, (name, stalls) in enumerate(_STALLS.items()):
        images = frames if name == "none" else frames[:4]
        run = simulate(probed, model, job.pixels[images], stalls=stalls, seed=seed)
        expected = job.expected[images]
        differs = int((embeddings(run) != expected).sum())
        wrong += differs
        runs[name] = {
            "images": len(images),
            "mismatches": differs,
            "cycles": run.run.cycles,
            "cycles_per_frame": run.initiation_interval,
            "latency_cycles": run.latency,
            "seconds": round(run.seconds, 3),
            "cycles_per_second": round(run.cycles_per_second),
        }
        job.say(f"  stalls {name}: {len(images)} images, {differs} of {expected.size} elements differ")
    free = runs["none"]
    job.write(
        "rtl",
        {
            "mismatches": {"hw_vs_rtl": wrong},
            "images": len(job.pixels),
            "cycles_per_frame": free["cycles_per_frame"],
            "latency_cycles": free["latency_cycles"],
            "model_cycles_per_frame": model_cycles,
            "frames_per_second": 1e6 * job.clk_mhz / free["cycles_per_frame"],
            "clk_mhz": job.clk_mhz,
            "runs": runs,
        },
    )
    if wrong:
        raise JobError(f"{job.name}: {wrong} embedding elements of the RTL differ from golden's")
    if free["cycles_per_frame"] > model_cycles * (1 + _TOLERANCE):
        raise JobError(
            f"{job.name}: a frame takes {free['cycles_per_frame']} cycles in simulation, the slowest node "
            f"{model_cycles}: a FIFO is too shallow; see report/fifo_depths.json"
        )
    return model
