"""PE and SIMD of every node."""

from __future__ import annotations

import time

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from ..folding import fold as choose
from ..job import Job, JobError
from ..passes import execute


def fold(model: ModelWrapper, job: Job) -> ModelWrapper:
    """Write report/folding.json, which FINN's step_apply_folding_config reads next; return ``model`` folded.

    Raises FoldingError; JobError if the folded graph computes something else on the first image.
    """
    folding = choose(model, job.board, fps=job.fps, clk_mhz=job.clk_mhz, share=job.share, config=job.folding)
    job.write("folding", folding.to_json())
    job.write("folding_explained", folding.explained())
    for line in folding.summary():
        job.say(f"  {line}")
    model = folding.apply(model)
    images = min(len(job.pixels), 4)
    begin = time.perf_counter()
    found, expected = execute(model, job.pixels[:images]), job.expected[:images]
    rate = round(images / (time.perf_counter() - begin), 2)
    wrong = int((found != expected).sum())
    job.write("hardware_graph", {"images": images, "images_per_second": rate, "mismatches": {"integer_vs_hw": wrong}})
    if not np.array_equal(found, expected):
        raise JobError(f"{job.name}: {wrong} of {expected.size} embedding elements of the hardware graph differ")
    return model
