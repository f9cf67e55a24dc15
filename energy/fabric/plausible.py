"""What the default prices imply of the published 28 nm reports: toggle rates, and how far a guessed rate leads."""

from __future__ import annotations

from .parts import prices
from .prices import ASSUMED
from .published import SERIES7, Published

_PART = "xc7z020"


def guessed_w(report: Published) -> float:
    """Return our clocks, logic and signals of a report, in W, if every output toggled at the rate ASSUMED."""
    price = prices(_PART)
    toggling = ASSUMED * (
        price.lut.value * report.luts
        + price.ff.value * report.registers
        + price.signal.value * (report.luts + report.registers)
    )
    return (price.clock.value * report.registers + toggling) * report.mhz * 1e-6


def vivado_w(report: Published) -> float:
    """Return Vivado's clocks, logic and signals of a report, in W."""
    return report.clocks_w + report.lut_w + (report.registers_w or 0) + report.signals_w


def table() -> str:
    """Return a line for each report: clock in fJ, implied toggles of a LUT and of a net in a cycle, ours / Vivado's."""
    price = prices(_PART)
    lines = [f"{'report':19} {'part':10} {'clock fJ':>8} {'alpha LUT':>10} {'alpha net':>10} {'ours/Vivado':>12}"]
    for report in SERIES7:
        luts, nets = report.lut_pj / price.lut.value, report.signal_pj / price.signal.value
        lines.append(
            f"{report.name:19} {report.part:10} {1000 * report.clock_pj:8.0f} {100 * luts:9.1f}% {100 * nets:9.1f}% "
            f"{guessed_w(report) / vivado_w(report):12.2f}"
        )
    return "\n".join([*lines, f"ours: every output toggling in {100 * ASSUMED:g} % of all cycles, a guess", ""])
