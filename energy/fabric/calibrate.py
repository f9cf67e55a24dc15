"""Prices corrected by what a user has: a Vivado power report of the design, or a measured board.

A power report is compared by what a resource takes in a cycle, so it may cover more than the activity does (the
DMA, the shell): the rest is taken to be as busy.  Clocks and static power do not depend on toggles and are always
taken from it.  LUTs, flip-flops, nets, block RAM and DSPs are, only if the report read a simulation's SAIF: toggle
rates that Vivado propagated are not those that the activity has.  A board gives one factor for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .activity import Activity, read
from .coefficients import DYNAMIC, FACTORS, FabricCoefficient, FabricCoefficients
from .errors import FabricError
from .estimate import estimate, toggles
from .interval import Interval
from .measured import MeasuredDynamic, read_dynamic
from .parts import find, prices
from .power_report import LUTS, STEP_W, WITH_LUTS, PowerReport
from .power_report import load as load_report

# How far a price may be off after calibration, by the report's own word on itself: this project's choice.
CONFIDENCE = {"high": 0.2, "medium": 0.3, "low": 0.5}
_REGISTERS, _BRAM, _DSP = ("Register",), ("Block RAM",), ("DSPs", "DSP")


@dataclass(frozen=True)
class Calibration:
    """Corrected prices. factors: coefficient -> new over old; notes: what was and was not taken, and why."""

    coefficients: FabricCoefficients
    factors: dict[str, float]
    notes: tuple[str, ...]


def calibrate(activity: dict[str, Any], path: Path, base: FabricCoefficients | None = None) -> Calibration:
    """Return prices corrected by a file: a measurement (JSON) or a power report (text).

    Raises FabricError for other files, another part, or no measured energy; MeasurementError for a measurement of
    other hardware, another network or other images.
    """
    counted = read(activity)
    given = base or prices(counted.part)
    try:
        head = path.read_text(encoding="utf-8", errors="replace").lstrip()[:1]
    except OSError as error:
        raise FabricError(f"{path}: cannot be read ({error}); give a power report or a measure.json") from error
    if head == "{":
        return from_measurement(activity, read_dynamic(path, counted), str(path), given)
    return from_report(counted, load_report(path), given)


def from_measurement(
    activity: dict[str, Any], found: MeasuredDynamic, path: str, base: FabricCoefficients
) -> Calibration:
    """Return all switching prices times measured / estimated dynamic energy, with the measurement's 95 % interval.

    found is in nJ. The sensor sees more than the fabric: processor, DRAM and regulators at work are in it.
    """
    mine = estimate(activity, base)
    if mine.dynamic_nj.value <= 0:
        raise FabricError(f"{path}: the activity has no dynamic energy to scale; count the activity again")
    source = f"calibrated with {path} (measured, sensor {found.sensor}, boundary {found.boundary})"
    ratio = found.dynamic_nj.times(1 / mine.dynamic_nj.value)
    changed = {name: base.price(name).at(ratio.times(base.price(name).value), source) for name in DYNAMIC}
    # What the two factors stood for is in the measured energy: only their product with the prices is known.
    changed |= {name: _settled(base.price(name), base.price(name).value, source) for name in FACTORS}
    return Calibration(
        base.changed(changed),
        dict.fromkeys(DYNAMIC, ratio.value),
        (f"one factor {ratio.value:.3g} for all switching; static power is as before",),
    )


def from_report(counted: Activity, report: PowerReport, base: FabricCoefficients) -> Calibration:
    """Return prices that give a power report's watts back for the resources and the clock it has.

    Raises FabricError for a report of another part, without registers, or without a milliwatt in its clocks.
    """
    device = find(counted.part).name
    if not report.part.lower().startswith(device):
        raise FabricError(f"{report.path}: Device: expected {device}, got {report.part}; give a report of this part")
    clock, mhz = _clock(report, counted.clk_mhz)
    spread = CONFIDENCE.get(report.confidence.lower(), CONFIDENCE["low"])
    saif = f"SAIF {report.simulation}, nets matched {report.nets_matched}" if report.simulation else "no SAIF"
    source = f"calibrated with {report.path} (report_power, {report.state}, confidence {report.confidence}, {saif})"
    wanted = _per_cycle(counted, report)
    new: dict[str, FabricCoefficient] = {}
    notes = [f"clock {clock}, {mhz:.4g} MHz; confidence {report.confidence}: prices within {100 * spread:.0f} %"]
    for name, (watts, count, toggles_a_cycle) in wanted.items():
        if name not in ("clock", "static") and report.simulation is None:
            continue
        if watts is None or not count or not toggles_a_cycle:
            notes.append(f"{name}: left as it was, the report or the activity has none of it above 1 mW")
            continue
        price = watts if name == "static" else watts * 1e6 / (count * mhz * toggles_a_cycle)
        off = max(spread, STEP_W / 2 / watts)
        bounds = Interval(price, price * max(1 - off, 0.05), price * (1 + off))
        new[name] = base.price(name).at(bounds, source)
    if "clock" not in new:
        raise FabricError(
            f"{report.path}: Clocks and Register: expected at least 1 mW and one register; report the routed design"
        )
    if report.simulation is None:
        notes.append("no Simulation Activity File: toggle rates are propagated, so only clock and static are taken")
    else:
        new |= {name: _settled(base.price(name), 1.0, source) for name in FACTORS}
    factors = {name: price.value / base.price(name).value for name, price in new.items()}
    return Calibration(base.changed(new), factors, tuple(notes))


def _per_cycle(counted: Activity, report: PowerReport) -> dict[str, tuple[float | None, float, float]]:
    """Return coefficient -> watts of it, resources in the report, toggles of one such resource in a cycle."""
    nodes, cycles = counted.nodes, counted.cycles
    switched = [toggles(node, cycles) for node in nodes]
    luts, ffs = sum(t.lut for t in switched), sum(t.ff for t in switched)
    held = {key: sum(getattr(node, key) for node in nodes) for key in ("lut", "ff", "bram18", "dsp")}

    def rate(changes: float, outputs: float) -> float:
        return changes / (outputs * cycles) if outputs else 0.0

    registers, lut_count = report.used(_REGISTERS), report.used(LUTS)
    accesses, operations = (sum(getattr(n, key) for n in nodes) for key in ("bram_accesses", "dsp_operations"))
    return {
        "clock": (report.watts(("Clocks",)), registers, 1.0),
        "static": (report.static_w or None, 1.0, 1.0),
        "lut": (report.watts(WITH_LUTS), lut_count, rate(luts, held["lut"])),
        "ff": (report.watts(_REGISTERS), registers, rate(ffs, held["ff"])),
        "signal": (
            *(report.watts(("Signals",)), lut_count + registers),
            rate(luts + ffs, held["lut"] + held["ff"]),
        ),
        # A row counts tiles of 36 kb.
        "bram": (report.watts(_BRAM), 2 * report.used(_BRAM), rate(accesses, held["bram18"])),
        "dsp": (report.watts(_DSP), report.used(_DSP), rate(operations, held["dsp"])),
    }


def _clock(report: PowerReport, clk_mhz: float) -> tuple[str, float]:
    """Return the clock nearest to the activity's; the activity's own where the report lists none."""
    if not report.clocks:
        return "of the activity (the report lists none)", clk_mhz
    name = min(report.clocks, key=lambda key: abs(report.clocks[key] - clk_mhz))
    return name, report.clocks[name]


def _settled(old: FabricCoefficient, value: float, source: str) -> FabricCoefficient:
    return old.at(Interval(value, value, value), f"{source}: what it stood for is in it")
