"""The hardware levels of the ladder: FINN's graph executed in Python, and the stitched RTL in Verilator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeclip_fpga.hw import boards, build
from spikeclip_fpga.hw.job import Job

# The accelerator the demo proves: what the README's figures are about.
BOARD, FPS = "pynq-z2", 2_500


@dataclass(frozen=True)
class Hardware:
    """Elements that differ, images and images per second by level (hw, rtl), and the RTL's cycles."""

    mismatches: dict[str, int]
    images: dict[str, int]
    images_per_second: dict[str, float]
    rtl: dict[str, Any]


def prove(graph: Path, images: np.ndarray, out: Path, say: Callable[[str], None]) -> Hardware:
    """Build the accelerator of integer graph ``graph`` in ``out`` and run ``images`` (N, H, W, C) uint8 through it.

    Raises the build's errors, among them JobError for the first element that differs.
    """
    board = boards.find(BOARD)
    job = Job(graph, board, out, board.clk_mhz, FPS, 0.75, images, say)
    report = build.run(job)
    level, runs = job.read("hardware_graph"), job.read("rtl")["runs"]["none"]
    return Hardware(
        report["mismatches"],
        {"hw": level["images"], "rtl": runs["images"]},
        {"hw": level["images_per_second"], "rtl": round(runs["images"] / runs["seconds"], 2)},
        {name: report["rtl"][name] for name in ("cycles_per_frame", "latency_cycles")}
        | {"board": BOARD, "clk_mhz": board.clk_mhz, "frames_per_second": round(report["frames_per_second"], 1)},
    )
