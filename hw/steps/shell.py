"""What Vivado needs beside the RTL: the shell around the accelerator, and the script that makes a bitstream."""

from __future__ import annotations

import hashlib
from pathlib import Path

from qonnx.core.modelwrapper import ModelWrapper

from ..job import Job
from ..shell import tcl, wrapper
from ..shell.geometry import Geometry
from ..shell.hwh import Design
from ..stream_layout import StreamLayout


def folder(job: Job) -> Path:
    """Return the folder of the script, the shell and, in the end, the bitstream."""
    return job.out / "vivado"


def script(job: Job) -> Path:
    """Return the script's path."""
    return folder(job) / tcl.SCRIPT


def make_shell(model: ModelWrapper, job: Job) -> ModelWrapper:
    """Write vivado/: spikeclip_shell with its modules, and build.tcl; raises RtlError, ShellError.

    Nothing where FINN's shell is used: on an Alveo card, and on a Zynq that asked for it.
    """
    if not job.has_own_shell:
        return model
    network = hashlib.sha256(job.source.with_suffix(".safetensors").read_bytes()).digest()
    shape = Geometry.of(StreamLayout.of(model, wrapper.ACCELERATOR))
    files = wrapper.write(folder(job), shape, network, rtl=job.rtl)
    design = Design(job.board.name, job.board.part, clk_mhz=job.clk_mhz)
    path = tcl.write(folder(job), design, rtl=job.rtl, shell=files)
    job.say(
        f"  {wrapper.TOP}: {8 * shape.in_bytes} bits in, {shape.pe} x {shape.out_width} bits out, {shape.frame_bytes} "
        f"bytes and {shape.elements} elements a frame; Vivado's script is {path}"
    )
    return model
