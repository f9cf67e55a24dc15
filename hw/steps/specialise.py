"""FINN's choice of RTL for every node."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper

from ..job import Job
from ..passes.specialize import Specialize


def specialise(model: ModelWrapper, job: Job) -> ModelWrapper:
    """Return the graph of RTL nodes; raises HardwareError if one would need HLS."""
    return model.transform(Specialize(job.board.part))
