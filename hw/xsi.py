"""Stand in for finn.xsi, FINN's bridge to Vivado's simulator: its functions on Verilator.

``install()`` puts them into finn.xsi, before or after other modules of FINN import that; exec_mode "rtlsim"
then works unmodified, with this project's checks of the stream rules on top.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .beats import words_of
from .finn_env import FinnError, finn_version
from .finn_rtl import collect
from .simulate import Model, Simulation, SimulationError, build

Array = np.ndarray
_MODEL = "model.json"


class SimEngine:
    """A compiled module, and its one running instance after a reset."""

    def __init__(self, model: Model, files: Mapping[str, str], trace: Path | None) -> None:
        self.model = model
        self._files, self._trace = files, trace
        self._simulation: Simulation | None = None

    @property
    def simulation(self) -> Simulation:
        """Return the instance, made now if there is none."""
        if self._simulation is None:
            self._simulation = self.model.open(self._files, trace=self._trace)
        return self._simulation

    def close(self) -> None:
        """Free the instance and finish its waveform."""
        if self._simulation is not None:
            self._simulation.close()
            self._simulation = None


def locate_glbl() -> str | None:
    """Return no path: Verilator needs none of the vendor's global signals."""
    return None


def get_simkernel_so() -> str:
    """Return no path: there is no simulation kernel beside the compiled model."""
    return ""


def is_available() -> bool:
    """Return whether modules can be simulated: always, Verilator being a Python package."""
    return True


def ensure_available() -> bool:
    """Return True, as is_available."""
    return is_available()


def compile_sim_obj(
    top_module_name: str, source_list: Sequence[str], sim_out_dir: Path, debug: bool = False, behav: bool = False
) -> tuple[Path, Path]:
    """Compile a module for load_sim_obj and return ``sim_out_dir`` and a path in it.

    debug: with waveforms. behav: with FINN_SIMULATION defined. Raises BuildError, RtlError.
    """
    base = Path(sim_out_dir)
    collected = collect({top_module_name: [Path(p) for p in source_list]}, base / "rtl")
    description = {
        "top": top_module_name,
        "sources": [str(p) for p in collected.sources],
        "includes": [str(p) for p in collected.includes],
        "files": sorted(collected.files),
        "defines": {"FINN_SIMULATION": ""} if behav else {},
        "trace": debug,
    }
    library = _build(description).library
    # FINN looks for a file below xsim.dir.
    made = Path("xsim.dir") / top_module_name / "xsimk.so"
    (base / made).parent.mkdir(parents=True, exist_ok=True)
    (base / made).write_bytes(library.read_bytes())
    (base / made).with_name(_MODEL).write_text(json.dumps(description))
    return base, made


def _build(description: Mapping[str, Any]) -> Model:
    return build(
        description["top"],
        [Path(p) for p in description["sources"]],
        strict=False,
        includes=[Path(p) for p in description["includes"]],
        defines=description["defines"],
        trace=description["trace"],
    )


def load_sim_obj(
    sim_out_dir: Path, out_so_relative_path: Path, tracefile: str | None = None, simkernel_so: str | None = None
) -> SimEngine:
    """Return the simulation that compile_sim_obj compiled. tracefile: FST file, if compiled with waveforms."""
    made = Path(sim_out_dir) / out_so_relative_path
    description = json.loads(made.with_name(_MODEL).read_text())
    folder = Path(sim_out_dir) / "rtl"
    files = {name: (folder / name).read_text() for name in description["files"]}
    trace = Path(sim_out_dir) / Path(tracefile).with_suffix(".fst").name if tracefile else None
    return SimEngine(_build(description), files, trace)


def reset_rtlsim(sim: SimEngine, *_: Any, **__: Any) -> None:
    """Hold the module's reset for a few cycles."""
    sim.simulation.reset()


def close_rtlsim(sim: SimEngine) -> None:
    """Free the module's instance."""
    sim.close()


def rtlsim_multi_io(
    sim: SimEngine,
    io_dict: dict[str, dict[str, list[int]]],
    num_out_values: int | Mapping[str, int],
    sname: str = "_V",
    liveness_threshold: int = 10_000,
    liveness_estimate: int | None = None,
) -> int:
    """Run a module on the beats of ``io_dict["inputs"]``, put those it gives into "outputs", return the cycles.

    num_out_values: beats of the output, or of each. sname: what follows a stream's name in the module's.
    liveness_threshold: cycles without a handshake before giving up. Raises SimulationError.
    """
    outputs = io_dict["outputs"]
    counts = dict.fromkeys(outputs, num_out_values) if isinstance(num_out_values, (int, np.integer)) else num_out_values
    streams = {f"{name}{sname}": _beats(sim, f"{name}{sname}", values) for name, values in io_dict["inputs"].items()}
    run = sim.simulation.run(
        streams,
        {f"{name}{sname}": int(counts[name]) for name in outputs},
        watchdog=int(liveness_threshold),
        drain=0,  # FMPadding begins the next frame's border unasked
    )
    for name in outputs:
        words = run.outputs[f"{name}{sname}"].astype("<u4")
        outputs[name] = [int.from_bytes(beat.tobytes(), "little") for beat in words]
    return run.cycles


def _beats(sim: SimEngine, stream: str, values: Sequence[int]) -> Array:
    """Return (beats, words) uint32 from one integer per beat."""
    try:
        width = sim.model.width(stream)
    except StopIteration:
        there = ", ".join(p.name for p in sim.model.interface.inputs)
        raise SimulationError(f"{sim.model.top}: no input stream {stream}; expected one of {there}") from None
    size, mask = 4 * words_of(width), (1 << width) - 1
    octets = b"".join((int(value) & mask).to_bytes(size, "little") for value in values)
    return np.frombuffer(octets, "<u4").astype(np.uint32).reshape(len(values), size // 4)


_STAND_INS = (
    SimEngine,
    locate_glbl,
    get_simkernel_so,
    compile_sim_obj,
    load_sim_obj,
    reset_rtlsim,
    close_rtlsim,
    rtlsim_multi_io,
)


def install() -> None:
    """Put these functions into finn.xsi. Raises FinnError if this FINN's simulator has others."""
    import finn.xsi

    expected, got = {f.__name__ for f in _STAND_INS}, set(finn.xsi._LAZY_NAMES)
    if expected != got:
        raise FinnError(
            f"finn-plus {finn_version()}: finn.xsi has other functions, {', '.join(sorted(expected ^ got))}; "
            "install the version in constraints, or adapt hw/xsi.py"
        )
    for stand_in in (*_STAND_INS, is_available, ensure_available):
        setattr(finn.xsi, stand_in.__name__, stand_in)
