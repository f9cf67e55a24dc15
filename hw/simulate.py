"""Drive a SystemVerilog module from numpy: Verilator behind a C ABI, stalls on both sides, no event loop in Python.

    model = build("sc_lif", sources, parameters)
    with model.open(files={"constants.mem": text}) as simulation:
        run = simulation.run({"in": beats}, {"out": n}, stalls=STALLS["random"], seed=1)
    run.outputs["out"], run.cycles, run.initiation_interval("out", beats_per_frame)

A stream is three ports ``<name>_{valid,ready,data}_{i,o}`` (or FINN's ``<name>_TVALID`` ...) found in the
compiled module; its beats are a (beats, words) array of uint32 (see :mod:`beats`). Checked in every cycle:
an output that waits keeps valid and data; no output gives more beats than expected.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from .beats import words_of
from .verilate import BuildError, Interface, StreamPort, compile_model

__all__ = ["STALLS", "BuildError", "Gate", "Model", "Run", "Simulation", "SimulationError", "Stalls", "build"]

Array = np.ndarray
_RESET_CYCLES = 4
_FIFOS_SHOWN = 8


class SimulationError(RuntimeError):
    """A module that is stuck, breaks the stream rules or complains; one line that names the stream."""


@dataclass(frozen=True)
class Gate:
    """When one side of a stream is willing to move.

    chance: probability per cycle, 1 is always. bursts: (open, closed), the longest runs of willing and
    unwilling cycles; run lengths are uniform from 1. rate: (beats, cycles), beat k not before cycle
    k * cycles / beats of the run; a stream that was held back catches up. At most one of the three.
    """

    chance: float = 1.0
    bursts: tuple[int, int] | None = None
    rate: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.chance <= 1:
            raise ValueError(f"chance: expected above 0 and at most 1, got {self.chance}")
        if self.bursts is not None and min(self.bursts) < 1:
            raise ValueError(f"bursts: expected two run lengths of 1 or more, got {self.bursts}")
        if self.rate is not None and min(self.rate) < 1:
            raise ValueError(f"rate: expected 1 beat or more in 1 cycle or more, got {self.rate}")
        if (self.chance != 1) + (self.bursts is not None) + (self.rate is not None) > 1:
            raise ValueError(f"expected one of chance, bursts and rate, got {self}")

    def fields(self) -> tuple[int, int, int, int]:
        """Return kind, chance of 65536, open and closed (runs, or beats and cycles) for bench.cpp."""
        if self.rate is not None:
            return (3, 0, *self.rate)
        if self.bursts is not None:
            return (2, 0, *self.bursts)
        return (0 if self.chance == 1 else 1, max(1, round(self.chance * 65536)), 0, 0)


@dataclass(frozen=True)
class Stalls:
    """A gate for every input stream's valid and one for every output stream's ready."""

    inputs: Gate = Gate()
    outputs: Gate = Gate()


STALLS: dict[str, Stalls] = {
    "none": Stalls(),
    "random": Stalls(Gate(0.5), Gate(0.5)),
    "bursts": Stalls(Gate(bursts=(12, 9)), Gate(bursts=(9, 12))),
    "starved": Stalls(Gate(0.15), Gate()),
    "back_pressured": Stalls(Gate(), Gate(0.15)),
}


class _Stream(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("cycles", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("beats", "words", "done", "kind", "chance", "open_max", "closed_max")),
        ("seed", ctypes.c_uint64),
    ]


class _Options(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("watchdog", "drain", "start", "end", "period", "hold")]


class _Result(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("status", "cycles", "simulated", "stream")]


@dataclass(frozen=True)
class Run:
    """What a run gave. Cycles count from 0, the first one after the run's start.

    outputs: stream -> (beats, words) uint32. moved: stream (inputs too) -> (beats,) int64, the cycle of each
    beat's handshake. cycles: up to and with the last handshake. simulated: with the cycles watched after it.
    """

    outputs: dict[str, Array]
    moved: dict[str, Array]
    cycles: int
    simulated: int

    def latency(self, source: str, sink: str) -> int:
        """Return the cycles from the first beat of input ``source`` to the first of output ``sink``."""
        return int(self.moved[sink][0] - self.moved[source][0])

    def frame_intervals(self, stream: str, beats_per_frame: int) -> Array:
        """Return the cycles between the last beats of successive frames of ``stream``, (frames - 1,) int64."""
        return np.diff(self.moved[stream][beats_per_frame - 1 :: beats_per_frame])

    def initiation_interval(self, stream: str, beats_per_frame: int) -> int:
        """Return the steady-state cycles per frame: the last interval. Raises ValueError below two frames."""
        intervals = self.frame_intervals(stream, beats_per_frame)
        if not len(intervals):
            frames = len(self.moved[stream]) / beats_per_frame
            raise ValueError(f"{stream}: expected at least 2 frames of {beats_per_frame} beats, got {frames:g}")
        return int(intervals[-1])


class Simulation:
    """One instance of a model, with its registers: runs follow each other without a reset unless asked for."""

    def __init__(
        self, model: Model, files: Mapping[str, str], seed: int, trace: Path | None, fifos: Mapping[str, int]
    ) -> None:
        self.model = model
        self._fifos, self._windows = dict(fifos), 0
        self._library = ctypes.CDLL(str(model.library))
        self._library.sc_open.restype = ctypes.c_void_p
        text = ctypes.create_string_buffer(1024)
        if trace is not None:
            if model.trace != trace_kind(trace):
                raise ValueError(
                    f"{model.top}: {trace.name}: build the model with trace={trace_kind(trace)!r}, got {model.trace!r}"
                )
            trace = trace.resolve()
            trace.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_text(content)
            wave = None if trace is None else str(trace).encode()
            handle = self._library.sc_open(folder.encode(), ctypes.c_uint64(seed), wave, text, _i64(len(text)))
        if handle is None:
            raise SimulationError(f"{model.top}: {text.value.decode(errors='replace')}")
        self._handle: ctypes.c_void_p | None = ctypes.c_void_p(handle)
        self.reset()

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free the instance and finish its waveform."""
        if self._handle is not None:
            self._library.sc_close(self._handle)
            self._handle = None

    def reset(self) -> None:
        """Hold reset for a few cycles."""
        self._library.sc_reset(self._open_handle(), _i64(_RESET_CYCLES))

    def _open_handle(self) -> ctypes.c_void_p:
        if self._handle is None:
            raise SimulationError(f"{self.model.top}: the simulation is closed; open another one")
        return self._handle

    def probe(self, name: str) -> int:
        """Return the value of an output port that belongs to no stream. Raises KeyError naming those there are."""
        probes = self.model.interface.probes
        if name not in probes:
            raise KeyError(f"{self.model.top}: no output port {name}; expected one of {', '.join(probes) or 'none'}")
        words = np.zeros(words_of(probes[name]) + 1, np.uint32)
        self._library.sc_probe(self._open_handle(), _i64(list(probes).index(name)), _pointer(words))
        return int.from_bytes(words.astype("<u4").tobytes(), "little")

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, int],
        *,
        stalls: Stalls = STALLS["none"],
        gates: Mapping[str, Gate] | None = None,
        seed: int = 0,
        watchdog: int = 2_000,
        drain: int = 64,
        window: tuple[int, int] | None = None,
        period_ps: int = 10_000,
        hold: bool = False,
    ) -> Run:
        """Offer ``inputs`` and take the given number of beats from each of ``outputs``.

        inputs: stream -> (beats, words) uint32; outputs: stream -> beats. gates: for single streams, over
        ``stalls``. seed: of stalls and of the noise on data without valid. watchdog: give up after so many
        cycles without a handshake. drain: cycles to watch for surplus beats at the end. window: (first, end)
        cycles of this run that are traced, without end; all unless given. SAIF has one window, which may be
        several runs whole. period_ps: of the clock, in SAIF. hold: inputs without valid keep their last beat
        instead of showing noise.
        Raises ValueError for beats of another shape or a second window, SimulationError naming the stream that
        is stuck, gives too many beats or changes while it waits, or for a run that ends before its window.
        """
        if window is not None and not 0 <= window[0] < window[1]:
            raise ValueError(f"{self.model.top}: window: expected 0 <= first < end, got {window}")
        if window is not None and self._windows:
            raise ValueError(f"{self.model.top}: window: this simulation had one; open another one")
        self._windows += window is not None
        ports = (*self.model.interface.inputs, *self.model.interface.outputs)
        n_inputs = len(self.model.interface.inputs)
        self._check_names(inputs, outputs, gates or {})
        streams = (_Stream * len(ports))()
        data: list[Array] = []
        moved: list[Array] = []
        for i, port in enumerate(ports):
            words = words_of(port.width)
            if i < n_inputs:
                data.append(_beats(self.model.top, port, inputs[port.name]))
            else:
                data.append(np.zeros((outputs[port.name], words), np.uint32))
            moved.append(np.zeros(len(data[i]), np.int64))
            gate = (gates or {}).get(port.name, stalls.inputs if i < n_inputs else stalls.outputs)
            noise = (seed * len(ports) + i) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
            places = data[i].ctypes.data, moved[i].ctypes.data
            streams[i] = _Stream(*places, len(data[i]), words, 0, *gate.fields(), noise)
        options = _Options(watchdog, drain, *(window or (0, -1)), period_ps, hold)
        result, text = _Result(), ctypes.create_string_buffer(1024)
        self._library.sc_run(
            *(self._open_handle(), streams, ctypes.byref(options), ctypes.byref(result)),
            *(text, _i64(len(text))),
        )
        if result.status:
            raise SimulationError(
                self._explain(result, ports, list(streams), text.value.decode(errors="replace"), watchdog)
            )
        if window is not None and result.simulated < window[1]:
            raise SimulationError(
                f"{self.model.top}: the run ended at cycle {result.simulated}, its window at {window[1]}; send more"
            )
        return Run(
            {port.name: beats for port, beats in zip(ports[n_inputs:], data[n_inputs:], strict=True)},
            {port.name: cycles for port, cycles in zip(ports, moved, strict=True)},
            int(result.cycles),
            int(result.simulated),
        )

    def _check_names(self, inputs: Mapping[str, Array], outputs: Mapping[str, int], gates: Mapping[str, Gate]) -> None:
        interface = self.model.interface
        for what, given, there in (
            ("inputs", set(inputs), {p.name for p in interface.inputs}),
            ("outputs", set(outputs), {p.name for p in interface.outputs}),
        ):
            if given != there:
                raise ValueError(f"{self.model.top}: {what}: expected {sorted(there)}, got {sorted(given)}")
        if unknown := set(gates) - set(inputs) - set(outputs):
            raise ValueError(f"{self.model.top}: gates: no stream {sorted(unknown)[0]}")

    def _explain(
        self, result: _Result, ports: Sequence[StreamPort], streams: Sequence[_Stream], text: str, watchdog: int
    ) -> str:
        top, at = self.model.top, f"at cycle {result.simulated}"
        if result.status == 4:
            return f"{top}: {text} ({at})"
        stream, port = streams[result.stream], ports[result.stream]
        if result.status == 2:
            return f"{top}: {port.name}: a beat more than the {stream.beats} expected, {at}"
        if result.status == 3:
            return f"{top}: {port.name}: valid or data changed while waiting for ready, after beat {stream.done}, {at}"
        n_inputs = len(self.model.interface.inputs)
        stuck = [
            f"{'input' if i < n_inputs else 'output'} {p.name} did {s.done} of {s.beats} beats"
            for i, (p, s) in enumerate(zip(ports, streams, strict=True))
            if s.done < s.beats
        ]
        return f"{top}: stuck {at}, nothing moved for {watchdog} cycles: {', '.join(stuck)}{self._fills()}"

    def _fills(self) -> str:
        """Return the fill levels of the fullest FIFOs, or nothing without any."""
        fills = [(self.probe(f"{name}_count"), depth, name) for name, depth in self._fifos.items()]
        fullest = sorted(fills, key=lambda fill: -fill[0] / fill[1])[:_FIFOS_SHOWN]
        return "; FIFOs: " * bool(fills) + ", ".join(f"{name} {count}/{depth}" for count, depth, name in fullest)


@dataclass(frozen=True)
class Model:
    """A compiled module: its library and ports; trace: what it can write, "fst", "saif" or nothing."""

    top: str
    library: Path
    interface: Interface
    trace: str = ""

    def width(self, stream: str) -> int:
        """Return the bits of a stream's data."""
        ports = (*self.interface.inputs, *self.interface.outputs)
        return next(p.width for p in ports if p.name == stream)

    def open(
        self,
        files: Mapping[str, str] | None = None,
        *,
        seed: int = 1,
        trace: Path | None = None,
        fifos: Mapping[str, int] | None = None,
    ) -> Simulation:
        """Return a new instance, reset.

        files: name -> text, what the module's $readmemh find in their current folder. seed: of the values
        registers have before reset, 0 for zeros. trace: file to write, .fst, or .saif for counts of value
        changes; the model must be built for it.
        fifos: name -> depth of those whose fill level is output port <name>_count, for the report of a stuck
        run. Raises SimulationError if a file is missing, malformed or too short for its memory.
        """
        return Simulation(self, files or {}, seed, trace, fifos or {})


def build(
    top: str,
    sources: Sequence[Path],
    parameters: Mapping[str, int | str] | None = None,
    *,
    optimise: str = "-O1",
    trace: bool | str = False,
    strict: bool = True,
    includes: Sequence[Path] = (),
    defines: Mapping[str, str] | None = None,
) -> Model:
    """Compile module ``top``; see :func:`verilate.compile_model`. trace: True is "fst". Raises BuildError."""
    kind = ("fst" if trace else "") if isinstance(trace, bool) else trace
    library, interface = compile_model(
        *(top, sources, parameters or {}),
        optimise=optimise,
        trace=kind,
        strict=strict,
        includes=includes,
        defines=defines,
    )
    return Model(top, library, interface, kind)


def trace_kind(file: Path) -> str:
    """Return "saif" for a file of this suffix, "fst" for any other."""
    return "saif" if file.suffix == ".saif" else "fst"


def _beats(top: str, port: StreamPort, beats: Array) -> Array:
    words = words_of(port.width)
    if beats.ndim != 2 or beats.shape[1] != words or beats.dtype != np.uint32:
        raise ValueError(
            f"{top}: {port.name}: expected uint32 (beats, {words}) for {port.width} bits, "
            f"got {beats.dtype} {beats.shape}"
        )
    spare = -port.width % 32
    if spare and len(beats) and int(beats[:, -1].max()) >> (32 - spare):
        raise ValueError(f"{top}: {port.name}: bits above the {port.width} of a beat are set; pack with beats.pack")
    return np.ascontiguousarray(beats)


def _i64(value: int) -> ctypes.c_int64:
    return ctypes.c_int64(value)


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
