"""Compile one C++ file into a shared library, once for each source, compiler and processor."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

# No -ffast-math: sums and roundings must be the ones that are written down.
FLAGS = (
    "-O3",
    "-march=native",
    "-std=c++20",
    "-fopenmp",
    "-fPIC",
    "-shared",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
)


class CompilerError(RuntimeError):
    """The machine has no working g++; the message says what to install."""


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "spikeclip-fpga" / "native"


@functools.cache
def compile_library(source: Path) -> ctypes.CDLL:
    """Return the compiled ``source``; raise CompilerError when that cannot be done."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise CompilerError(f"{compiler}: not found; install g++ (Debian: apt-get install g++) or set CXX")
    version = subprocess.run([compiler, "--version"], check=False, capture_output=True, text=True).stdout
    # -march=native means another thing on another processor sharing the same home folder.
    native = subprocess.run(
        [compiler, "-march=native", "-Q", "--help=target"], check=False, capture_output=True, text=True
    ).stdout
    key = hashlib.sha256("\0".join((source.read_text(), version, native, *FLAGS)).encode()).hexdigest()[:16]
    library = _cache() / f"{source.stem}-{key}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        partial = library.with_suffix(f".{os.getpid()}.part")
        done = subprocess.run(
            [compiler, *FLAGS, str(source), "-o", str(partial)], check=False, capture_output=True, text=True
        )
        if done.returncode:
            partial.unlink(missing_ok=True)
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise CompilerError(f"{source.name}: {compiler} failed: {lines[0]}")
        partial.replace(library)
    return ctypes.CDLL(str(library))
