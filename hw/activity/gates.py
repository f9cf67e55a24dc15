"""How much the nets of a synthesised netlist switch beside the signals of its RTL, on the same data.

pair = compare("sc_lif", sources, parameters, files, inputs, outputs)
pair.rtl.alpha, pair.gates.alpha, pair.ratio

Energy is estimated from the RTL's signals times the netlist's resources; the ratio says what that is worth.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..simulate import STALLS, Model, Stalls, build
from ..synth import cell_models, synthesise
from .netnames import Name, nets
from .saif import SaifFile, without_memories

_CLOCK = ("clk_i", "ap_clk")
# Output pins of AMD's cells: registers and shift registers, then LUTs, carries and wide multiplexers, then memories.
_REGISTERS = ("Q",)
_OUTPUTS = (
    *_REGISTERS,
    "O",
    "O5",
    "O6",
    "CO",
    "DOA",
    "DOB",
    "DOC",
    "DOD",
    "DPO",
    "SPO",
    "DOADO",
    "DOBDO",
    "Q15",
    "Q31",
)


@dataclass(frozen=True)
class Rates:
    """Nets of one simulation: bits, value changes in ``cycles``, without clock and memories."""

    bits: int
    toggles: int
    cycles: int

    @property
    def alpha(self) -> float:
        """Return the changes of a bit and cycle."""
        return self.toggles / (self.bits * self.cycles)


@dataclass(frozen=True)
class Pair:
    """RTL and netlist on the same data: of the netlist all outputs of cells, and those of registers alone.

    lut, ff: cells of the netlist, LUTs without pairing.
    """

    rtl: Rates
    gates: Rates
    gate_registers: Rates
    lut: int
    ff: int

    @property
    def ratio(self) -> float:
        """Return alpha of the netlist's nets over that of the RTL's signals."""
        return self.gates.alpha / self.rtl.alpha


def count_nets(
    model: Model,
    files: Mapping[str, str],
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, int],
    *,
    window: tuple[int, int] | None = None,
    pins: Sequence[str] = (),
    nets: Mapping[Name, bool] | None = None,
    stalls: Stalls = STALLS["none"],
) -> Rates:
    """Return what the nets of a compiled module (trace "saif") did in a run; registers start at zero.

    window: cycles, the whole run unless given. pins: of a netlist's cells: these alone count, each net once, since it
    has one driver. nets: netnames.nets of a module, which count otherwise. Raises SimulationError.
    """
    known = nets or {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counts.saif"
        with model.open(files, seed=0, trace=path) as simulation:
            run = simulation.run(inputs, outputs, stalls=stalls, window=window, hold=True, watchdog=100_000)
        bits = toggles = 0
        with SaifFile(path) as saif:
            for scope, group in itertools.groupby(saif, key=lambda signal: signal.scope):
                for signal, name in without_memories(list(group)):
                    # The model and the module are two scopes; cells are below.
                    if pins:
                        counted = name in pins and len(scope) > 2
                    else:
                        counted = name not in _CLOCK and (scope[1:], name) in known
                    if counted:
                        bits += signal.bits
                        toggles += signal.toggles
    cycles = run.simulated if window is None else window[1] - window[0]
    return Rates(bits, toggles, cycles)


def compare(
    top: str,
    sources: Sequence[Path],
    parameters: Mapping[str, int | str],
    files: Mapping[str, str],
    inputs: Mapping[str, np.ndarray],
    outputs: Mapping[str, int],
    *,
    window: tuple[int, int] | None = None,
    family: str = "xc7",
) -> Pair:
    """Simulate a module and its netlist on ``inputs`` and return both rates; both see the same cycles.

    Raises BuildError, SynthesisError, SimulationError.
    """
    netlist = synthesise(top, sources, parameters, files, family=family)
    rtl = build(top, sources, parameters, trace="saif", strict=False)
    with tempfile.TemporaryDirectory() as folder:
        gates = build(top, [netlist.verilog, *cell_models(Path(folder))], trace="saif", strict=False)
    return Pair(
        count_nets(rtl, files, inputs, outputs, window=window, nets=nets(top, sources, parameters)),
        count_nets(gates, {}, inputs, outputs, window=window, pins=_OUTPUTS),
        count_nets(gates, {}, inputs, outputs, window=window, pins=_REGISTERS),
        netlist.usage.lut_raw,
        netlist.usage.ff,
    )
