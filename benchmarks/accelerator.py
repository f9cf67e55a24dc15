"""Measure the build of `tiny` for the PYNQ-Z2: seconds per step with cold and warm caches, speed of the simulation.

The stitched RTL, the hardware graph in Python and golden.py run the same images in turns (A B C A B C ...) in
one process; a ratio is the median over the turns. Usage:

  python benchmarks/accelerator.py [--graph artifacts/tiny.int.onnx] [--fps 2500] [--images 4] [--rounds 3] [--json F]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spikeclip_fpga.hw import boards, build
from spikeclip_fpga.hw.job import Job
from spikeclip_fpga.hw.network_sim import NetworkRun, simulate
from spikeclip_fpga.hw.passes import execute
from spikeclip_fpga.hw.stitch import stitch
from spikeclip_fpga.model.data import load


def timed_build(job: Job) -> dict[str, float]:
    """Return step -> seconds of a fresh build."""
    steps: dict[str, float] = {}

    def note(line: str) -> None:
        name, _, seconds = line.partition("] ")[2].partition(": ")
        if line.startswith("[") and seconds.endswith(" s"):
            steps[name] = float(seconds.removesuffix(" s"))

    begin = time.perf_counter()
    build.run(Job(**{**vars(job), "say": note}), fresh=True)
    return {**steps, "total": round(time.perf_counter() - begin, 1)}


def rate(work: Callable[[], object], count: int) -> float:
    """Return things done per second by one call that does ``count``."""
    begin = time.perf_counter()
    work()
    return count / (time.perf_counter() - begin)


def measure(job: Job, rounds: int) -> dict[str, Any]:
    """Return images per second of RTL, hardware graph and golden, and simulated cycles per second."""
    from qonnx.core.modelwrapper import ModelWrapper

    models = job.out / "intermediate_models"
    folded = ModelWrapper(str(models / "step_generate_estimate_reports.onnx"))
    final = ModelWrapper(str(models / "step_simulate_network.onnx"))
    made = stitch(final, job.out / "simulation", probes=True)
    runs: list[NetworkRun] = []

    def rtl() -> None:
        runs.append(simulate(made, final, job.pixels))
        assert np.array_equal(runs[-1].outputs[:, 0, 0], job.expected)

    rtl()  # compile, or find it in the cache
    count = len(job.images)
    levels: dict[str, Callable[[], object]] = {
        "rtl": rtl,
        "hardware graph": lambda: execute(folded, job.pixels),
        "golden": lambda: job.network.run(job.images),
    }
    rates: dict[str, list[float]] = {name: [] for name in levels}
    for _ in range(rounds):
        for name, work in levels.items():
            rates[name].append(rate(work, count))
    ratio = statistics.median(g / r for g, r in zip(rates["golden"], rates["rtl"], strict=True))
    median = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "images": count,
        "rounds": rounds,
        "images_per_second": {name: round(value, 2) for name, value in median.items()},
        "golden_over_rtl": round(ratio, 1),
        "cycles_per_second": round(statistics.median(run.cycles_per_second for run in runs[1:])),
        "cycles_per_frame": runs[-1].initiation_interval,
        "real_time_factor": round(median["rtl"] / (1e6 * job.clk_mhz / runs[-1].initiation_interval), 6),
    }


def main() -> None:
    """Build twice, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("artifacts/tiny.int.onnx"))
    parser.add_argument("--fps", type=float, default=2500)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    images = load("fashion-mnist", "test").images[: args.images]
    with tempfile.TemporaryDirectory() as folder:
        # An empty cache of compiled models; Fashion-MNIST was read from the user's before.
        os.environ["XDG_CACHE_HOME"] = folder
        out = Path(folder) / "build"
        job = Job(args.graph, boards.find("pynq-z2"), out, 100.0, args.fps, 0.75, images, lambda _: None)
        report = {"build_seconds": {"cold": timed_build(job), "warm": timed_build(job)}, **measure(job, args.rounds)}
    print(json.dumps(report, indent=2))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
