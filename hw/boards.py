"""Boards a network can be built for: FINN's name and part, what the part holds, how its power is measured.

    boards.find("pynq-z2").lut

Parts and totals are FINN's (finn.util.basic.part_map, finn.util.platforms; for Alveo what the shell leaves),
and a test compares them; FINN has no totals of the KV260, whose are those of its data sheet (K26).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from .ops.operator import family_of

ZYNQ, ALVEO = "vivado_zynq", "vitis_alveo"
# Sensors outside the board, in its supply: the PYNQ-Z1 and Z2 have no power rails to read.
_OUTSIDE = ("ina219", "ina226", "meter")


class BoardError(ValueError):
    """A board there is not; one line with those there are."""


@dataclass(frozen=True)
class Board:
    """A board: FINN's name of it, AMD part, totals of the part, default clock, shell, host and power.

    bram36: 36 kb block RAMs. shell: FINN's ShellFlowType. memory_gb: of the processor that runs the host's
    program, None if that is a PC. power: sources that can measure it, the board's own first; a meter or an
    INA on I2C stands in the supply.
    """

    name: str
    finn_name: str
    part: str
    lut: int
    bram36: int
    dsp: int
    uram: int
    clk_mhz: float
    shell: str
    memory_gb: float | None
    power: tuple[str, ...]

    @property
    def family(self) -> str:
        """Return the family of the resource model, xc7 or xcup."""
        return family_of(self.part)

    @property
    def totals(self) -> dict[str, int]:
        """Return resource -> how many the part has, block RAMs in units of 18 kb."""
        return {"lut": self.lut, "bram18": 2 * self.bram36, "dsp": self.dsp, "uram": self.uram}


_Z7020 = (53_200, 140, 220, 0, 100.0, ZYNQ, 0.5, _OUTSIDE)

BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        Board("pynq-z2", "Pynq-Z2", "xc7z020clg400-1", *_Z7020),
        Board("pynq-z1", "Pynq-Z1", "xc7z020clg400-1", *_Z7020),
        Board("aup-zu3", "AUP-ZU3_8GB", "xczu3eg-sfvc784-2-e", 71_000, 206, 360, 0, 200.0, ZYNQ, 8, _OUTSIDE),
        Board("kv260", "KV260_SOM", "xck26-sfvc784-2LV-c", 117_120, 144, 1248, 64, 200.0, ZYNQ, 4, ("hwmon", "meter")),
        Board("zcu104", "ZCU104", "xczu7ev-ffvc1156-2-e", 230_000, 305, 1728, 92, 200.0, ZYNQ, 2, ("pmbus", "meter")),
        Board("zcu102", "ZCU102", "xczu9eg-ffvb1156-2-e", 274_000, 912, 2520, 0, 200.0, ZYNQ, 4, ("pmbus", "meter")),
        Board("u50", "U50", "xcu50-fsvh2104-2L-e", 742_560, 1128, 5352, 608, 200.0, ALVEO, None, ("xrt",)),
        Board("u200", "U200", "xcu200-fsgd2104-2-e", 971_520, 1848, 5856, 800, 200.0, ALVEO, None, ("xrt",)),
        Board("u250", "U250", "xcu250-figd2104-2L-e", 1_500_000, 2304, 11_520, 1280, 200.0, ALVEO, None, ("xrt",)),
        Board("u280", "U280", "xcu280-fsvh2892-2L-e", 1_163_520, 1752, 8496, 960, 200.0, ALVEO, None, ("xrt",)),
        Board("u55c", "U55C", "xcu55c-fsvh2892-2L-e", 1_131_000, 1776, 8304, 960, 200.0, ALVEO, None, ("xrt",)),
    )
}


def find(name: str) -> Board:
    """Return the board called ``name``, in any case and with FINN's spelling too. Raises BoardError."""
    wanted = name.strip().lower().replace("_", "-")
    for board in BOARDS.values():
        if wanted in (board.name, board.finn_name.lower().replace("_", "-")):
            return board
    near = difflib.get_close_matches(wanted, BOARDS, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise BoardError(f"{name}: no such board; there are {', '.join(BOARDS)}{meant}")


def table() -> str:
    """Return all boards as the table a person reads."""
    head = ("board", "part", "LUT", "BRAM36", "DSP", "URAM", "MHz", "shell", "host RAM", "power")
    rows: list[tuple[str, ...]] = [head]
    for board in BOARDS.values():
        numbers = (board.lut, board.bram36, board.dsp, board.uram)
        memory = "PC" if board.memory_gb is None else f"{board.memory_gb:g} GB"
        texts = tuple(f"{n:,}" for n in numbers)
        rows.append((board.name, board.part, *texts, f"{board.clk_mhz:g}", board.shell, memory, ", ".join(board.power)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    right = range(2, 7)
    return "\n".join(
        "  ".join(
            v.rjust(w) if i in right else v.ljust(w) for i, (v, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
