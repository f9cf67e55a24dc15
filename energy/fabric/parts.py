"""The parts: family, core voltage and static power of each, and the prices of a part name."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from .coefficients import FabricCoefficient, FabricCoefficients
from .errors import FabricError
from .interval import Interval
from .prices import GLITCH, HPL28, RECALLED, RTL_TO_GATES, SERIES7, ULTRASCALE_PLUS, ULTRASCALE_PLUS_V
from .published import AES, CVA6_MNIST, KV260

FAMILIES = ("7series", "ultrascale+")
# report_power's PL Static over the LUTs of the device: xck26 2.6, xcu50 2.7, xczu48dr 2.8 uW.
STATIC_UW_PER_LUT = 2.7
# github.com/samuelkravitz/RFSOC at 45ac7df, xczu48dr: PL Static 1.192 W of 425,280 LUTs, 29.7 C.
_SCALED = (
    "derived: 2.7 uW a LUT of the device, after PL Static of xck26, xcu50 and xczu48dr (github.com/samuelkravitz/RFSOC "
    f"at 45ac7df) at 30 to 35 C; LUTs of the device: {RECALLED}; leakage rises with temperature and process"
)
_7Z020 = (
    f"report_power's Device Static at 28 to 50 C, typical process: 0.112 W ({CVA6_MNIST.address}) to 0.156 "
    f"({AES.address}); the processor's own leakage is in it; high: a margin for process"
)


@dataclass(frozen=True)
class Part:
    """A device. luts: of the whole device, for static power that no report gives."""

    name: str
    family: str
    luts: int
    static_w: Interval | None = None
    source: str = _SCALED


PARTS = {
    part.name: part
    for part in (
        Part("xc7z020", "7series", 53_200, Interval(0.136, 0.10, 0.20), _7Z020),
        Part(
            *("xck26", "ultrascale+", 117_120, Interval(0.302, 0.23, 0.45)),
            f"PL Static of {KV260.address} at 32 C, typical process; interval: a margin for process and temperature",
        ),
        Part("xczu3eg", "ultrascale+", 70_560),
        Part("xczu5ev", "ultrascale+", 117_120),
        Part("xczu7ev", "ultrascale+", 230_400),
        Part("xczu9eg", "ultrascale+", 274_080),
        Part("xcu50", "ultrascale+", 870_016),
        Part("xcu200", "ultrascale+", 1_182_240),
        Part("xcu250", "ultrascale+", 1_728_000),
        Part("xcu280", "ultrascale+", 1_303_680),
        Part("xcu55c", "ultrascale+", 1_303_680),
    )
}


def find(part: str) -> Part:
    """Return the device of an AMD part name such as "xc7z020clg400-1". Raises FabricError with those known."""
    for name, device in PARTS.items():
        rest = part.lower().removeprefix(name)
        # "xcu50" must not take the name of another device that only begins like it.
        if part.lower().startswith(name) and not rest[:1].isdigit():
            return device
    raise FabricError(f"part {part}: no static power and prices known; there are {', '.join(PARTS)}")


def core_volts(part: str) -> float:
    """Return the core supply of a part name: 1.0 V (7-series), 0.85 V, 0.72 V for a speed grade ending in LV."""
    if find(part).family == "7series":
        return 1.0
    grade = next((piece for piece in part.split("-")[1:] if piece[:1].isdigit()), "")
    return 0.72 if grade.upper().endswith("LV") else ULTRASCALE_PLUS_V


def prices(part: str) -> FabricCoefficients:
    """Return the default prices of a part name, scaled to its core voltage squared. Raises FabricError.

    Block RAM keeps its price: its supply, VCCBRAM, stays at 0.85 V.
    """
    device = find(part)
    table = dict(SERIES7 if device.family == "7series" else ULTRASCALE_PLUS)
    volts = core_volts(part)
    if device.family != "7series" and volts != ULTRASCALE_PLUS_V:
        squared = (volts / ULTRASCALE_PLUS_V) ** 2
        for name in set(table) - {"bram"}:
            scaled = table[name].scaled(Interval(squared, squared, squared), f"x ({volts} V / {ULTRASCALE_PLUS_V} V)^2")
            table[name] = dataclasses.replace(scaled, process=f"16 nm FinFET, {volts} V core")
    return FabricCoefficients(
        part=device.name,
        family=device.family,
        static=_static(device),
        rtl_to_gates=RTL_TO_GATES,
        glitch=GLITCH,
        **table,
    )


def _static(device: Part) -> FabricCoefficient:
    watts = device.static_w
    if watts is None:
        typical = device.luts * STATIC_UW_PER_LUT * 1e-6
        watts = Interval(typical, 0.7 * typical, 1.8 * typical)
    process = HPL28 if device.family == "7series" else "16 nm FinFET"
    return FabricCoefficient(**watts.to_json(), unit="W", process=process, source=device.source)
