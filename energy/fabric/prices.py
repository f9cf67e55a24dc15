"""The default prices: one table for 7-series (28 nm), one for UltraScale+ (16 nm), each with its derivation.

Vivado prices a resource by tables it does not publish; what is public are its reports (published.py).  From one:

    price a cycle = W / (count x f);   price a toggle = price a cycle / alpha,  alpha: toggles a cycle

Clocks need no alpha.  For LUTs and nets alpha is assumed ASSUMED, the toggle rate report_power starts from at
primary inputs (UG835, set_switching_activity), within ALPHA_LOW to ALPHA_HIGH: an assumption, not a finding.
The other reports check it: with these prices each has a plausible alpha (a test).
"""

from __future__ import annotations

from .coefficients import FabricCoefficient
from .published import AES, BINARY_CNN, KV260, U50_REGEX

ASSUMED, ALPHA_LOW, ALPHA_HIGH = 0.125, 0.05, 0.30
ULTRASCALE_PLUS_V = 0.85
HPL28, FINFET16 = "28 nm HPL, 1.0 V core", "16 nm FinFET, 0.85 V core"
UG835 = "docs.amd.com/r/2022.2-English/ug835-vivado-tcl-commands/set_switching_activity"
GREAVES = (
    "D. J. Greaves, Univ. of Cambridge, SoC D/M lecture notes on Xilinx's 28 nm Zynq power spreadsheet "
    "(www.cl.cam.ac.uk/~djg11/socdam-patterns-hls-touchstones/soc-design-patterns/sp6-esl/zhp2c265aaa0.html)"
)
CZAJKOWSKI = (
    "T. Czajkowski, Fast toggle rate computation for FPGA circuits, introduction: glitches can as much as double "
    "the toggle rate (m.moam.info, eecg-toronto)"
)
SYNOPSYS = "synopsys.com/glossary/what-is-glitch-power.html: up to 40 % more dynamic power"
RECALLED = "recalled, not checked"


def _alpha(name: str) -> str:
    return f"derived from {name} with alpha assumed {ASSUMED} ({ALPHA_LOW} to {ALPHA_HIGH} for the interval; {UG835})"


def _pj(value: float, low: float, high: float, unit: str, process: str, source: str) -> FabricCoefficient:
    return FabricCoefficient(value, low, high, f"pJ/{unit}", process, source)


RTL_TO_GATES = FabricCoefficient(
    *(0.9, 0.6, 1.3, "1", "any"),
    "counted on Yosys netlists of four operators of tiny (benchmarks/activity.py): 0.82 to 1.01; the interval is "
    "wider, since other nodes were not compared",
)
GLITCH = FabricCoefficient(
    *(1.2, 1.0, 2.0, "1", "any"),
    f"derived: between none and {SYNOPSYS}; at most, {CZAJKOWSKI}",
)
SERIES7: dict[str, FabricCoefficient] = {
    "clock": _pj(
        *(0.033, 0.017, 0.040, "flip-flop/cycle", HPL28),
        "derived: median, lowest and highest of the routed reports with over 5,000 registers in published.py, "
        "Clocks / (registers x f); block RAM and DSP clocks are in it",
    ),
    "ff": _pj(
        *(0.017, 0.0052, 0.052, "toggle", HPL28),
        f"{_alpha(f'the Register row of {BINARY_CNN.address}')}; it prints 2 mW, so 1.5 to 2.5 in the interval",
    ),
    "lut": _pj(
        *(0.38, 0.16, 0.95, "toggle", HPL28),
        _alpha(f"LUT as Logic and CARRY4 of {BINARY_CNN.address}, an accelerator on the very part of the PYNQ-Z2"),
    ),
    "signal": _pj(
        *(0.19, 0.12, 0.48, "toggle", HPL28),
        f"{_alpha(f'Signals of {BINARY_CNN.address}')}; low: every net of {AES.address} toggling in each cycle",
    ),
    "bram": _pj(
        *(5.0, 2.0, 11.5, "access of an 18 kb port", HPL28),
        f"derived: {GREAVES}, 8.5 pJ a read of two 18 kb blocks, 4.3 each; {BINARY_CNN.address}, 5.3 pJ a block and "
        "cycle; high: MDC-NTT, both ports active; low: reads of few bits that change little, a guess",
    ),
    "dsp": _pj(
        *(7.8, 4.9, 23.0, "operation", HPL28),
        f"derived: MDC-NTT, 7.8 pJ a DSP and cycle; low: {BINARY_CNN.address}; high: {GREAVES}, 23 pJ a multiply, "
        "from guesses the page calls close to worst case",
    ),
}
ULTRASCALE_PLUS: dict[str, FabricCoefficient] = {
    "clock": _pj(
        *(0.022, 0.014, 0.040, "flip-flop/cycle", FINFET16),
        f"derived: between {U50_REGEX.address} (0.021, faster shell clocks ignored) and {KV260.address} (0.018 at "
        "0.72 V, 0.025 at 0.85 V); high: as 28 nm",
    ),
    "ff": _pj(*(0.0091, 0.0038, 0.023, "toggle", FINFET16), _alpha(f"the Register row of {U50_REGEX.address}")),
    "lut": _pj(
        *(0.14, 0.06, 0.49, "toggle", FINFET16),
        f"{_alpha(f'LUT as Logic and CARRY8 of {U50_REGEX.address} and {KV260.address}, geometric mean')}; high: "
        "0.5 of 28 nm's, 0.85 V squared times smaller capacitances",
    ),
    "signal": _pj(
        *(0.13, 0.054, 0.33, "toggle", FINFET16),
        _alpha(f"Signals of {U50_REGEX.address} and {KV260.address}, geometric mean"),
    ),
    "bram": _pj(
        *(2.6, 1.3, 10.3, "access of an 18 kb port", FINFET16),
        f"derived: a block and cycle takes 1.9 pJ in {KV260.address} and 10.3 in {U50_REGEX.address}, accesses "
        "unknown; 2.6 is half of 28 nm's",
    ),
    "dsp": _pj(
        *(4.0, 1.0, 13.0, "operation", FINFET16),
        f"derived: a DSP and cycle takes 2.9 pJ at 0.72 V, 4.0 at 0.85 V, in {KV260.address} (2 mW +- 0.5); "
        "interval: 28 nm's, halved, and a quarter of the value",
    ),
}
