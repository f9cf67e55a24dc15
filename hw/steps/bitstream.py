"""Run Vivado on the build's script: bitstream, hardware handoff, timing and utilisation. NOT TRIED WITH VIVADO YET."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

from qonnx.core.modelwrapper import ModelWrapper

from ..finn_env import has_vivado
from ..job import Job, JobError
from ..shell.hwh import Design
from .shell import folder, script

LOG = "vivado.log"
_SAYS = "spikeclip: "


def vivado() -> Path | None:
    """Return the program: on PATH, or below XILINX_VIVADO; None if there is none."""
    if not has_vivado():
        return None
    found = shutil.which("vivado")
    return Path(found) if found else Path(os.environ["XILINX_VIVADO"]) / "bin" / "vivado"


def make_bitstream(model: ModelWrapper, job: Job) -> ModelWrapper:
    """Write vivado/accelerator.bit, accelerator.hwh and reports/, and report/bitstream.json.

    Vivado goes on with what an earlier run left. Raises JobError with Vivado's first error, or if its result is not
    the design the host expects.
    """
    program = vivado()
    if program is None:
        raise JobError(
            f"vivado: not on PATH nor below XILINX_VIVADO; where it is: vivado -mode batch -source {script(job)}"
        )
    _run(program, job)
    place = folder(job)
    bit, handoff, result = place / "accelerator.bit", place / "accelerator.hwh", place / "reports" / "result.json"
    for path in (bit, handoff, result):
        if not path.is_file() or not path.stat().st_size:
            raise JobError(f"{path}: Vivado ended without error and did not write it; see {place / LOG}")
    _check_addresses(handoff, job)
    measured = json.loads(result.read_text())
    job.write("bitstream", {**measured, "part": job.board.part, "bit": bit.name, "hwh": handoff.name})
    job.say(f"  {bit}: slack {measured['setup_slack_ns']} ns (setup), {measured['hold_slack_ns']} ns (hold)")
    return model


def _run(program: Path, job: Job) -> None:
    command = [str(program), "-mode", "batch", "-nojournal", "-notrace", "-log", LOG, "-source", script(job).name]
    errors: list[str] = []
    with subprocess.Popen(
        command, cwd=folder(job), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith(_SAYS):
                    job.say(f"  {line.removeprefix(_SAYS).rstrip()}")
                elif line.startswith("ERROR:"):
                    errors.append(line.removeprefix("ERROR:").strip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        reason = errors[0] if errors else f"it ended with status {process.returncode}"
        raise JobError(f"vivado: {reason}; see {folder(job) / LOG}")


def _check_addresses(handoff: Path, job: Job) -> None:
    """Compare where Vivado put the registers with where the host looks for them."""
    design = Design(job.board.name, job.board.part, clk_mhz=job.clk_mhz)
    expected = {design.dma: design.processor.dma_base, design.id_block: design.processor.id_base}
    try:
        ranges = ET.parse(handoff).getroot().iter("MEMRANGE")
        found = {str(r.get("INSTANCE")): int(str(r.get("BASEVALUE")), 16) for r in ranges}
    except (ET.ParseError, ValueError) as error:
        raise JobError(f"{handoff}: not a hardware handoff ({error}); see {folder(job) / LOG}") from error
    for name, base in expected.items():
        if found.get(name) != base:
            got = "nothing" if name not in found else f"{found[name]:#010x}"
            raise JobError(f"{handoff}: {name}: expected registers at {base:#010x}, got {got}")
