"""A folding as it was chosen: per node and in all, as FINN's folding file, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..boards import Board
from .choices import FOLDING
from .costs import COUNTED

_UNITS = {"lut": "LUT", "bram18": "block RAM (18 kb)", "dsp": "DSP", "uram": "URAM"}


@dataclass(frozen=True)
class NodeFolding:
    """A node, the layer it does, its PE, SIMD and ram_style (those it has), cycles of a frame, resources."""

    name: str
    layer: str
    op: str
    attributes: dict[str, int | str]
    cycles: int
    resources: dict[str, int]


@dataclass(frozen=True)
class Converter:
    """A width converter that FINN's InsertDWC will put on a stream: bits of a beat before and after."""

    source: str
    sink: str
    bits_in: int
    bits_out: int


@dataclass(frozen=True)
class Folding:
    """PE, SIMD and memories of every node for a board at a clock, and what they take.

    converters, fifos, totals: resources by name (block RAMs of 18 kb). The FIFOs' are an estimate made before
    simulation measures them; see :mod:`.streams`. share: of LUT, block RAM, DSP and URAM that may be used.
    bottleneck, faster: in words, which layer sets the rate, and what the next faster folding would take or why
    there is none.
    """

    board: Board
    clk_mhz: float
    share: float
    nodes: tuple[NodeFolding, ...]
    width_converters: tuple[Converter, ...]
    converters: dict[str, int]
    fifos: dict[str, int]
    totals: dict[str, int]
    bottleneck: str
    faster: str

    @property
    def cycles(self) -> int:
        """Return the cycles of a frame in the steady state: those of the slowest node."""
        return max(node.cycles for node in self.nodes)

    @property
    def frames_per_second(self) -> float:
        """Return the rate in the steady state."""
        return self.clk_mhz * 1e6 / self.cycles

    def used(self) -> dict[str, float]:
        """Return resource -> share of the board's that is used, of those it has."""
        return {name: n / self.board.totals[name] for name, n in self.totals.items() if self.board.totals[name]}

    def to_json(self) -> dict[str, Any]:
        """Return FINN's folding file: {"Defaults": {}, node: {"PE": .., "SIMD": ..}}, for ApplyConfig."""
        return {"Defaults": {}, **{node.name: dict(node.attributes) for node in self.nodes}}

    def apply(self, model: Any) -> Any:
        """Return ``model`` (a ModelWrapper) folded; its nodes' names must be those this folding was chosen for."""
        from finn.transformation.general import ApplyConfig

        return model.transform(ApplyConfig(self.to_json()))

    def explained(self) -> dict[str, Any]:
        """Return the rate, what limits it and what is used, for a report."""
        return {
            "frames_per_second": self.frames_per_second,
            "cycles_per_frame": self.cycles,
            "clk_mhz": self.clk_mhz,
            "why": self.bottleneck,
            "faster": self.faster,
            "share": self.share,
            "totals": self.totals,
            "used": {name: round(share, 4) for name, share in self.used().items()},
            "width_converters": {"count": len(self.width_converters), **self.converters},
            "fifos": {"kind": "estimate", **self.fifos},
        }

    def summary(self) -> list[str]:
        """Return what a person wants to know, line by line."""
        used = ", ".join(
            f"{self.totals[name]:,} {_UNITS[name]} ({share:.0%})"
            for name, share in self.used().items()
            if self.totals[name]
        )
        return [
            self.bottleneck,
            self.faster,
            f"{used} of {self.board.name}, estimated; {len(self.width_converters)} width converters take "
            f"{self.converters['lut']:,} LUT, FIFOs some {self.fifos['lut']:,} LUT and {self.fifos['bram18']:,} "
            "block RAM",
        ]

    def table(self) -> str:
        """Return the nodes as the table a person reads."""
        head = ("layer", "op", *FOLDING[:2], "cycles", *(_UNITS[name].split(" (")[0] for name in COUNTED), "memory")
        rows = [head]
        for node in self.nodes:
            folded = tuple(str(node.attributes.get(name, "")) for name in FOLDING)
            counts = tuple(f"{node.resources[name]:,}" for name in COUNTED)
            rows.append((node.layer, node.op, *folded[:2], f"{node.cycles:,}", *counts, folded[2]))
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        left = (0, 1, len(head) - 1)
        return "\n".join(
            "  ".join(
                v.ljust(w) if i in left else v.rjust(w) for i, (v, w) in enumerate(zip(r, widths, strict=True))
            ).rstrip()
            for r in rows
        )
