"""The build: FINN's builder with our steps between its own, each step's graph on disk, resumable.

    run(Job(...)) -> report

FINN's build_dataflow_cfg runs the steps, keeps ``intermediate_models/<step>.onnx`` and its reports; a FINN
user finds what they know. ``progress.json`` says what is done and for which inputs.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from . import finn_env
from .job import Job, JobError

_PROGRESS = "progress.json"
_LOG = "build_dataflow.log"
# What a build leaves in its folder, and a fresh one removes.
_OWN = ("finn", "gauge", "simulation", "synthesis", "rtl", "vivado", "report", "intermediate_models", _PROGRESS, _LOG)

# FINN's way to a bitstream, with its own shell. This project has never run it: it needs Vivado and Vitis HLS.
FINN_SHELL = ("step_create_stitched_ip", "step_prepare_synthesis", "step_synthesize_bitfile")

Step = str | Callable[..., Any]


def step_list(job: Job) -> list[Step]:
    """Return the steps in order: names are FINN's, functions ours."""
    from .steps.bitstream import make_bitstream, vivado
    from .steps.convert import convert
    from .steps.fifos import size_fifos
    from .steps.fold import fold
    from .steps.report import report
    from .steps.shell import folder, make_shell
    from .steps.simulation import make_rtl, simulate_network
    from .steps.specialise import specialise
    from .steps.streams import insert_streams
    from .steps.synthesis import synthesise

    def ours(function: Callable[..., Any], name: str) -> Step:
        def step(model: Any, _config: Any) -> Any:
            return function(model, job)

        step.__name__ = name
        return step

    estimates: list[Step] = [
        ours(convert, "step_convert_integers"),
        "step_create_dataflow_partition",
        ours(specialise, "step_specialise_rtl"),
        ours(fold, "step_fold"),
        "step_apply_folding_config",
        "step_minimize_bit_width",
        "step_generate_estimate_reports",
    ]
    rtl: list[Step] = [
        ours(insert_streams, "step_insert_streams"),
        "step_hw_codegen",
        ours(size_fifos, "step_size_fifos"),
        ours(make_rtl, "step_make_rtl"),
        ours(make_shell, "step_make_shell"),
        ours(simulate_network, "step_simulate_network"),
        *([ours(synthesise, "step_synthesise")] if job.synthesise else []),
    ]
    # The last steps, so that a build without Vivado goes on with them once there is one.
    last: list[Step] = []
    if job.has_own_shell and (vivado() or (folder(job) / "accelerator.bit").is_file()):
        last = [ours(make_bitstream, "step_bitstream")]
    elif not job.has_own_shell and vivado():
        last = list(FINN_SHELL)
    return [*estimates, *(rtl if job.simulate else []), ours(report, "step_report"), *(last if job.simulate else [])]


def outputs(job: Job) -> tuple[str, ...]:
    """Return what FINN's steps are to make, as its DataflowOutputType names it."""
    return ("estimate_reports",) if job.has_own_shell else ("estimate_reports", "stitched_ip", "bitfile")


def run(job: Job, *, fresh: bool = False) -> dict[str, Any]:
    """Build, from the first step that is not done for these inputs; return report/build.json.

    fresh: forget what is done. Raises JobError, or the error of the step that failed.
    """
    if not job.source.is_file():
        raise JobError(f"{job.source}: no such file; make it with `spikeclip lower`")
    job.network  # noqa: B018  (an unreadable network stops the build before anything is written)
    key = job.key()
    done = _begin(job, key, fresh)
    finn_env.prepare(job.out / "finn")
    from finn.builder.build_dataflow import build_dataflow_cfg, resolve_build_steps
    from finn.builder.build_dataflow_config import DataflowBuildConfig, DataflowOutputType, ShellFlowType

    failure: list[BaseException] = []
    config = DataflowBuildConfig(
        output_dir=str(job.out),
        synth_clk_period_ns=1000 / job.clk_mhz,
        board=job.board.finn_name,
        shell_flow_type=ShellFlowType(job.board.shell),
        generate_outputs=[DataflowOutputType(name) for name in outputs(job)],
        instrumentation_no_dma=False,
        folding_config_file=job.reports / "folding.json",
    )
    functions = resolve_build_steps(config, list_as_input=step_list(job))
    names = [function.__name__ for function in functions]
    config.steps = [
        _watched(function, job, key, names[: i + 1], len(names), failure) for i, function in enumerate(functions)
    ]
    if len(done) == len(names):
        job.say(f"{job.out}: nothing to do, all {len(names)} steps are done for these inputs")
        return job.read("build")
    if done:
        job.say(f"{job.out}: goes on after {done[-1]}")
        config.start_step = names[len(done)]
    with _console_kept(job):
        code = build_dataflow_cfg(str(job.source), config)
    if failure:
        raise failure[0]
    if code:
        raise JobError(f"{job.name}: FINN's builder stopped; the reason is in {job.out / _LOG}")
    return job.read("build")


def _watched(
    function: Callable[..., Any], job: Job, key: str, upto: list[str], count: int, failure: list[BaseException]
) -> Callable[..., Any]:
    """Return a step that tells its progress, notes it on disk, and keeps its error for the caller."""

    def step(model: Any, config: Any) -> Any:
        begin = time.perf_counter()
        job.say(f"[{len(upto)}/{count}] {upto[-1].removeprefix('step_')}")
        try:
            model = function(model, config)
            model.save(str(config.get_intermediate_models_directory() / f"{upto[-1]}.onnx"))
        except BaseException as error:
            failure.append(error)
            raise
        _note(job, key, upto)
        job.say(f"[{len(upto)}/{count}] {upto[-1].removeprefix('step_')}: {time.perf_counter() - begin:.1f} s")
        return model

    step.__name__ = upto[-1]
    return step


def _begin(job: Job, key: str, fresh: bool) -> list[str]:
    """Make the folder ready and return the steps that are done in it.

    Raises JobError for a folder that holds something else under the names a build removes.
    """
    done = [] if fresh else _done(job, key)
    if done:
        return done
    if not (job.out / _PROGRESS).is_file():
        foreign = [name for name in _OWN if (job.out / name).exists()]
        if foreign:
            raise JobError(f"{job.out}: has a {foreign[0]} that is not of a build; choose another folder with --out")
    for name in _OWN:
        _remove(job, name)
    job.out.mkdir(parents=True, exist_ok=True)
    _note(job, key, [])
    return []


def _note(job: Job, key: str, done: list[str]) -> None:
    partial = job.out / f"{_PROGRESS}.part"
    partial.write_text(json.dumps({"key": key, "done": done}))
    partial.replace(job.out / _PROGRESS)


def _done(job: Job, key: str) -> list[str]:
    """Return the steps that are done for these inputs."""
    path = job.out / _PROGRESS
    try:
        state = json.loads(path.read_text())
        done = [str(name) for name in state["done"]] if state["key"] == key else []
    except (OSError, ValueError, KeyError, TypeError):
        return []
    models = job.out / "intermediate_models"
    return done if done and (models / f"{done[-1]}.onnx").is_file() else []


def _remove(job: Job, name: str) -> None:
    path = job.out / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _console_kept(job: Job) -> Iterator[None]:
    """Send what FINN prints into the build folder, and undo what it does to stdout and logging."""
    root = logging.getLogger()
    stdout, stderr, handlers, level = sys.stdout, sys.stderr, root.handlers[:], root.level
    with (job.out / "finn_console.log").open("a") as sink:
        sys.stdout = sys.stderr = sink
        try:
            yield
        finally:
            sys.stdout, sys.stderr = stdout, stderr
            for handler in root.handlers[:]:
                if handler not in handlers:
                    root.removeHandler(handler)
                    handler.close()
            root.handlers[:] = handlers
            root.setLevel(level)
            logging.captureWarnings(False)
