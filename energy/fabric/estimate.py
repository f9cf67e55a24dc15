"""Energy of one inference from switching activity, by part and by node.

For each node, with alpha the toggles of a bit in a cycle as the simulation of the RTL counted them:

    T_lut     = alpha_other x lut x cycles x rtl_to_gates x glitch          changes of LUT outputs a frame
    T_ff      = alpha_registers x ff x cycles                               changes of flip-flop outputs a frame
    clock     = e_clock x ff x cycles                                       pJ a frame
    logic     = e_lut x T_lut + e_ff x T_ff
    signals   = e_signal x (T_lut + T_ff)
    block_ram = e_bram x accesses
    dsp       = e_dsp x operations

alpha_registers and alpha_other are the registers' and all other signals' where the file tells them apart, and
both the node's alpha where it does not.  Assumed: the RTL's signals are a fair sample of the netlist's nets.
They are not the same nets: RTL names buses that cost nothing (one wire, several names) and has no name for what
lies between two LUTs of one expression.  Hence alpha is taken from the RTL and the count from the netlist, and
rtl_to_gates with its interval stands for what that leaves open.  Flip-flops are on the clock in every cycle,
whatever toggles: RTL registers that became RAM or shift registers of LUTs are not among them.

Dynamic energy of a frame has no clock frequency in it.  Power is that energy times the frame rate clk / cycles;
static energy of a frame is static power over the frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .activity import Activity, Node, read
from .coefficients import FabricCoefficients
from .errors import FabricError
from .interval import Interval, total
from .parts import find, prices

PARTS = ("clock", "logic", "signals", "block_ram", "dsp")
KIND = "activity-based estimate from simulation; not measured"
NOT_INCLUDED = (
    "processor system, DRAM, I/O, clock generators, regulators, and whatever of the design the activity does not list"
)


@dataclass(frozen=True)
class NodeEnergy:
    """Dynamic energy of a node in a frame, in nJ, by part. alpha: toggles of its bits a cycle."""

    name: str
    layer: str | None
    op: str
    alpha: float
    parts_nj: dict[str, Interval]

    @property
    def dynamic_nj(self) -> Interval:
        """Return the sum of the parts."""
        return total(self.parts_nj.values())


@dataclass(frozen=True)
class FabricEnergy:
    """The estimate: nodes, static power, and the clock that turns energy into power."""

    activity: Activity
    coefficients: FabricCoefficients
    clk_mhz: float
    nodes: tuple[NodeEnergy, ...]

    @property
    def frames_per_second(self) -> float:
        """Return clk / cycles, frames back to back."""
        return self.clk_mhz * 1e6 / self.activity.cycles

    @property
    def parts_nj(self) -> dict[str, Interval]:
        """Return part -> dynamic energy of a frame, in nJ."""
        return {part: total(node.parts_nj[part] for node in self.nodes) for part in PARTS}

    @property
    def dynamic_nj(self) -> Interval:
        """Return the dynamic energy of a frame, in nJ; the same for any clock."""
        return total(self.parts_nj.values())

    @property
    def dynamic_w(self) -> Interval:
        """Return dynamic power at this clock, in W."""
        return self.dynamic_nj.times(self.frames_per_second * 1e-9)

    @property
    def static_w(self) -> Interval:
        """Return the device's static power, in W."""
        return self.coefficients.static.interval

    @property
    def static_nj(self) -> Interval:
        """Return static energy of a frame at this clock, in nJ."""
        return self.static_w.times(1e9 / self.frames_per_second)

    def to_json(self) -> dict[str, Any]:
        """Return the estimate, all prices and what is left out as a JSON object."""
        activity = self.activity
        return {
            "format": "spikeclip-fpga/fabric-energy",
            "schema": 1,
            "kind": KIND,
            "interval": "all coefficients at their low, all at their high; bounds, no confidence level",
            "subject": activity.subject,
            "stimulus": activity.stimulus,
            "netlist": activity.netlist,
            "frames": activity.frames,
            "cycles_per_frame": activity.cycles,
            "clk_mhz": self.clk_mhz,
            "frames_per_second": self.frames_per_second,
            "dynamic_nj": self.dynamic_nj.to_json(),
            "dynamic_w": self.dynamic_w.to_json(),
            "static_w": self.static_w.to_json(),
            "static_nj": self.static_nj.to_json(),
            "parts_nj": {part: value.to_json() for part, value in self.parts_nj.items()},
            "nodes": [
                {
                    **{"name": node.name, "layer": node.layer, "op": node.op, "alpha": node.alpha},
                    "dynamic_nj": node.dynamic_nj.to_json(),
                    "parts_nj": {part: value.to_json() for part, value in node.parts_nj.items()},
                }
                for node in self.nodes
            ],
            "not_included": NOT_INCLUDED,
            "notes": list(activity.notes),
            "coefficients": self.coefficients.to_json(),
        }


def estimate(
    activity: dict[str, Any], coefficients: FabricCoefficients | None = None, clk_mhz: float | None = None
) -> FabricEnergy:
    """Return the energy of one inference of an activity.json's content.

    coefficients: of the activity's part; by default prices(part). clk_mhz: by default the activity's.
    Raises FabricError for an activity, coefficients of another part, or a clock that cannot be used.
    """
    counted = read(activity)
    given = coefficients or prices(counted.part)
    if given.part != find(counted.part).name:
        raise FabricError(
            f"coefficients: part: expected {find(counted.part).name}, got {given.part}; give those of this part"
        )
    mhz = counted.clk_mhz if clk_mhz is None else clk_mhz
    if not 0 < mhz < float("inf"):
        raise FabricError(f"clk_mhz: expected a number above 0, got {mhz!r}")
    nodes = tuple(_node(node, counted.cycles, given) for node in counted.nodes)
    return FabricEnergy(counted, given, mhz, nodes)


@dataclass(frozen=True)
class Toggles:
    """Changes of LUT and flip-flop outputs in a frame, before rtl_to_gates and glitch."""

    lut: float
    ff: float


def toggles(node: Node, cycles: float) -> Toggles:
    """Return the toggles of a node's LUTs and flip-flops: alpha of the RTL's bits x outputs x cycles."""
    every = _rate(node.toggles, node.bits)
    registers, other = every, every
    if node.register_bits is not None and node.register_toggles is not None:
        registers = _rate(node.register_toggles, node.register_bits, every)
        other = _rate(node.toggles - node.register_toggles, node.bits - node.register_bits, every)
    # A rate is toggles of a bit in a frame, alpha x cycles: the cycles are in it.
    return Toggles(lut=other * node.lut, ff=registers * node.ff)


def _rate(changes: float, bits: float, otherwise: float = 0.0) -> float:
    return max(changes, 0.0) / bits if bits else otherwise


def _node(node: Node, cycles: float, prices_: FabricCoefficients) -> NodeEnergy:
    switched = toggles(node, cycles)
    from_rtl = prices_.rtl_to_gates.interval.by(prices_.glitch.interval)
    luts, ffs = from_rtl.times(switched.lut), Interval(switched.ff, switched.ff, switched.ff)
    picojoules = {
        "clock": prices_.clock.interval.times(node.ff * cycles),
        "logic": prices_.lut.interval.by(luts) + prices_.ff.interval.by(ffs),
        "signals": prices_.signal.interval.by(luts + ffs),
        "block_ram": prices_.bram.interval.times(node.bram_accesses),
        "dsp": prices_.dsp.interval.times(node.dsp_operations),
    }
    alpha = _rate(node.toggles, node.bits) / cycles
    return NodeEnergy(node.name, node.layer, node.op, alpha, {p: v.times(1e-3) for p, v in picojoules.items()})
