"""Make FINN usable on a machine without Vivado: settings, environment, Verilator in place of its simulator.

prepare(Path("build/finn"))       # before anything else of FINN is imported
from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import os
import shutil
from pathlib import Path


class FinnError(RuntimeError):
    """FINN is missing, or another version than this project knows how to handle; one line with the remedy."""


def finn_version() -> str:
    """Return the version of the installed finn-plus. Raises FinnError if there is none."""
    if importlib.util.find_spec("finn") is None:
        raise FinnError("finn-plus: not installed; pip install 'spikeclip-fpga[build]'")
    return importlib.metadata.version("finn-plus")


def has_vivado() -> bool:
    """Return whether this machine has a Vivado: ``vivado`` on PATH, or below XILINX_VIVADO."""
    folder = os.environ.get("XILINX_VIVADO", "")
    return shutil.which("vivado") is not None or bool(folder and (Path(folder) / "bin" / "vivado").is_file())


def prepare(work: Path, *, verbose: bool = False) -> None:
    """Set FINN up to build in folder ``work`` (created), with Verilator as its simulator and our operators known.

    Call again to change the folder. Sets environment variables, for FINN's own workers too; a Vivado that is
    there stays as it is, and NUM_DEFAULT_WORKERS too if it is set. verbose: let FINN's logger talk. After a
    failure the environment is as before. Raises FinnError.
    """
    finn_version()
    work = work.resolve()
    before = dict(os.environ)
    work.mkdir(parents=True, exist_ok=True)
    os.environ["FINN_BUILD_DIR"] = str(work)
    # Without a settings file FINN makes a folder in the user's home; the name of one that need not exist will do.
    os.environ.setdefault("FINN_SETTINGS", str(work / "settings.yaml"))
    # A worker that starts afresh knows neither our operators nor our simulator.
    os.environ["FINN_MP_START_METHOD"] = "fork"
    os.environ.setdefault("NUM_DEFAULT_WORKERS", "1")
    if not has_vivado():
        # FINN's builder writes the last part of this path into its metadata as the tool's version.
        os.environ.setdefault("XILINX_VIVADO", str(work / "no-vivado"))
    try:
        from finn.util import settings

        # The settings know the folder they were made for.
        settings.initialize_dummy_settings()
        from . import xsi

        xsi.install()
        importlib.import_module(".ops.nodes", __package__)
    except BaseException:
        os.environ.clear()
        os.environ.update(before)
        raise
    logging.getLogger("finn_logger").setLevel(logging.INFO if verbose else logging.ERROR)
