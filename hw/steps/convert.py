"""Integer graph to FINN's hardware graph, every pass proven on the first image."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper

from ..job import Job
from ..passes import to_hardware


def convert(model: ModelWrapper, job: Job) -> ModelWrapper:
    """Return the hardware graph; raises HardwareError if a pass changes what ``model`` computes."""
    for name, step in to_hardware(model, job.timesteps, job.pixels[:1], job.expected[:1]):
        job.say(f"  {name}")
        model = step
    return model
