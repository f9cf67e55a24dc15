"""Synthesise a SystemVerilog module with Yosys for an AMD part: what it takes, and its netlist.

    netlist = synthesise("sc_lif", sources, parameters, files)
    netlist.usage.lut, netlist.usage.bram18
    build("sc_lif", [netlist.verilog, *cell_models(folder)], {}, strict=False)     # hw.simulate: the netlist runs

Yosys runs in a process of its own; results are cached by content. Figures are those after synthesis: placement
and routing belong to the vendor's tools.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from . import netlist
from .netlist import Usage
from .verilate import cache_folder

__all__ = ["FAMILIES", "Netlist", "SynthesisError", "cell_models", "synthesise"]

# Cells of a family. cells_xtra takes Yosys 4 s to read and has nothing that it maps to on xc7.
_LIBRARIES = {"xc7": ("cells_sim",), "xcup": ("cells_sim", "cells_xtra")}
FAMILIES = tuple(_LIBRARIES)
# FINN's files use names before they declare them, and cells of the part, whose parameters slang does not see.
_LENIENT = ("--allow-use-before-declare", "-Wno-undefined-param-override", "--ignore-assertions")
# What slang refuses in them: default_nettype within a module, an initial block that waits (a check in simulation).
_REFUSED = re.compile(r"^[ \t]*`default_nettype\b[^\n]*$|\binitial begin\s*#[^;]*;[^;]*;\s*end\b", re.MULTILINE)
_INCLUDED = (".vh", ".svh", ".v", ".sv", ".h")
_BLOCK_RAM = Path(__file__).parent / "sim" / "block_ram.v"
# Runs each argument as a Yosys command.
_CHILD = (
    "import sys\nfrom pyosys import libyosys\ndesign = libyosys.Design()\n"
    "for command in sys.argv[1:]:\n    libyosys.run_pass(command, design)\n"
)


class SynthesisError(RuntimeError):
    """A module that does not synthesise, or a machine without Yosys; one line with the remedy."""


@dataclass(frozen=True)
class Netlist:
    """A synthesised module: what it takes of a part of ``family``, and its Verilog netlist.

    parts: instance in the top module -> what it takes, if the hierarchy was kept.
    """

    top: str
    family: str
    usage: Usage
    verilog: Path
    parts: dict[str, Usage]


def _share() -> Path:
    """Return the folder with Yosys' cell libraries. Raises SynthesisError if pyosys is missing."""
    spec = importlib.util.find_spec("pyosys")
    if spec is None or spec.origin is None:
        raise SynthesisError("pyosys: not installed; pip install pyosys")
    return Path(spec.origin).parent / "share"


def synthesise(
    top: str,
    sources: Sequence[Path],
    parameters: Mapping[str, int | str] | None = None,
    files: Mapping[str, str] | None = None,
    *,
    family: str = "xc7",
    flatten: bool = True,
    dsp: bool = False,
    includes: Sequence[Path] = (),
    defines: Mapping[str, str | int] | None = None,
) -> Netlist:
    """Return the netlist of module ``top``, synthesised unless the cache has it.

    sources: (System)Verilog files, packages first. parameters: of ``top``; strings become string parameters.
    files: name -> text, what $readmemh find in their current folder. family: xc7 (Zynq-7000) or xcup
    (UltraScale+). flatten: off to synthesise every module once and add up, for large tops: less memory and
    time, no optimisation across modules. dsp: multipliers may become DSPs. includes: folders of included files.
    Raises SynthesisError.
    """
    if family not in FAMILIES:
        raise SynthesisError(f"{top}: family: expected one of {', '.join(FAMILIES)}, got {family}")
    for source in sources:
        if not source.is_file():
            raise SynthesisError(f"{top}: {source}: no such file")
    _share()
    options = [f"-family {family}", f"-top {top}", "-noiopad", "-noclkbuf"]
    options += (["-flatten"] if flatten else []) + ([] if dsp else ["-nodsp"])
    read = [f"--top {top}", "--best-effort-hierarchy", *_LENIENT]
    read += [f"-G {name}={_value(value)}" for name, value in (parameters or {}).items()]
    read += [f"-D {name}={_value(value)}" for name, value in {"YOSYS": 1, **(defines or {})}.items()]
    folder = cache_folder().parent / "netlist" / f"{top}-{_key(top, sources, files or {}, includes, *options, *read)}"
    summary = folder / "usage.json"
    if not summary.is_file():
        commands = [
            *(f"read_verilog -lib -specify +/xilinx/{library}.v" for library in _LIBRARIES[family]),
            "read_slang -f options.f",
            f"hierarchy -check -top {top}",
            f"synth_xilinx {' '.join(options)} -run prepare:",
            "write_verilog -noattr netlist.v",
            "write_json netlist.json",
        ]
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=folder.parent) as name:
            work = Path(name)
            paths = [f'-I "{path.resolve()}"' for path in includes]
            for i, source in enumerate(sources):
                paths += [f'"{_readable(source, work / str(i))}"']
            (work / "options.f").write_text("\n".join([*read, *paths]))
            for file, text in (files or {}).items():
                (work / file).write_text(text)
            _run(top, commands, work)
            parsed = json.loads((work / "netlist.json").read_text())
            usage = netlist.count(parsed, top)
            counted = {name: asdict(part) for name, part in netlist.count_parts(parsed, top).items()}
            done = work / "done"
            done.mkdir()
            (work / "netlist.v").rename(done / "netlist.v")
            (done / "parts.json").write_text(json.dumps(counted))
            (done / "usage.json").write_text(json.dumps(asdict(usage)))
            try:
                done.rename(folder)
            except OSError:  # another process was faster
                if not summary.is_file():
                    raise
    parts = {name: Usage(**part) for name, part in json.loads((folder / "parts.json").read_text()).items()}
    return Netlist(top, family, Usage(**json.loads(summary.read_text())), folder / "netlist.v", parts)


def cell_models(folder: Path) -> tuple[Path, ...]:
    """Write what a netlist needs to run in Verilator to ``folder`` and return the files.

    They are Yosys' cell models without those of block RAM, which are empty there, and this project's
    (sim/block_ram.v) instead. Raises SynthesisError if pyosys is missing.
    """
    text = (_share() / "xilinx" / "cells_sim.v").read_text()
    for cell in ("RAMB18E1", "RAMB36E1"):
        text, found = re.subn(rf"^module {cell} \(.*?^endmodule\n", "", text, flags=re.MULTILINE | re.DOTALL)
        if found != 1:
            raise SynthesisError(f"pyosys: expected one module {cell} in cells_sim.v, found {found}; pin pyosys 0.70")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cells.v"
    path.write_text(text)
    return path, _BLOCK_RAM


def _value(value: int | str) -> str:
    return f'\\"{value}\\"' if isinstance(value, str) else str(int(value))


def _key(top: str, sources: Sequence[Path], files: Mapping[str, str], includes: Sequence[Path], *options: str) -> str:
    texts = [(p.name, p.read_text()) for p in sources]
    texts += [(p.name, p.read_text()) for f in includes for p in sorted(f.iterdir()) if p.suffix in _INCLUDED]
    tools = (importlib.metadata.version("pyosys"), Path(__file__).read_text(), Path(netlist.__file__).read_text())
    content = (top, texts, sorted(files.items()), options, tools)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:20]


def _run(top: str, commands: Sequence[str], work: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *commands], check=False, capture_output=True, text=True, cwd=work
    )
    if done.returncode or not (work / "netlist.json").is_file():
        raise SynthesisError(f"{top}: {_complaint(done.stdout + done.stderr, done.returncode)}")


def _complaint(log: str, status: int) -> str:
    """Return the first error of Yosys' output, without folders."""
    lines = [line for line in log.splitlines() if "ERROR" in line or re.search(r"\berror:", line)]
    return re.sub(r"\S*/(\w+\.\w+:\d+)", r"\1", (lines or [f"Yosys ended with {status}"])[0])


def _readable(source: Path, folder: Path) -> Path:
    """Return ``source``, or a copy in ``folder`` without what slang refuses; its lines keep their numbers."""
    text = source.read_text()
    kept = _REFUSED.sub(lambda found: "\n" * found[0].count("\n"), text)
    if kept == text:
        return source.resolve()
    folder.mkdir()
    (folder / source.name).write_text(kept)
    return folder / source.name
