"""ResidualAdd: the sum of two streams, golden.add in residual_add.sv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spikeclip_fpga.quantize import golden

from ... import beats
from ..operator import OPS, Array, Operator, Resources, require, require_between, require_multiple


@dataclass(frozen=True)
class ResidualAdd(Operator):
    """The sum of two streams of ``channels`` channels, ``pe`` of them per beat.

    a_width, b_width, out_width: bits of the operands and of every sum, which the caller proves; a bit more
    than the wider operand always suffices. Raises ParameterError.
    """

    channels: int
    pe: int
    timesteps: int
    a_width: int
    b_width: int
    out_width: int

    top: ClassVar[str] = "sc_residual_add"
    sources: ClassVar = (OPS / "residual_add" / "residual_add.sv",)

    def __post_init__(self) -> None:
        require_multiple("residual_add", {"channels": self.channels}, {"pe": self.pe})
        require_between("residual_add", 1, 16, timesteps=self.timesteps)
        require_between("residual_add", 1, 48, a_width=self.a_width, b_width=self.b_width, out_width=self.out_width)
        narrow = min(self.a_width, self.b_width)
        require(self.out_width >= narrow, f"residual_add: out_width: expected {narrow} or more, got {self.out_width}")

    @property
    def folds(self) -> int:
        """Return the beats of a position."""
        return self.channels // self.pe

    @property
    def lanes(self) -> int:
        """Return the integers in a beat."""
        return self.pe * self.timesteps

    def parameters(self) -> dict[str, int | str]:
        """Return the RTL parameters."""
        widths = {"A_WIDTH": self.a_width, "B_WIDTH": self.b_width, "OUT_WIDTH": self.out_width}
        return {"LANES": self.lanes, **widths}

    def input_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"a": self.lanes * self.a_width, "b": self.lanes * self.b_width}

    def output_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"out": self.lanes * self.out_width}

    def initiation_interval(self) -> int:
        """Return the cycles per position: one per beat."""
        return self.folds

    def latency(self) -> int:
        """Return the cycles from the later of two beats to their sum."""
        return 2

    def resources(self, family: str = "xc7") -> Resources:
        """Return the LUTs of one adder per lane, 0.93 a bit (its lowest are shared), and its registers."""
        lut = round(0.93 * self.lanes * self.out_width + 3)
        return Resources(lut, self.lanes * (self.a_width + self.b_width + self.out_width) + 3)

    def to_beats(self, a: Array, b: Array) -> dict[str, Array]:
        """Return the input streams of a and b (..., C*T)."""
        return {
            "a": beats.pack(a.reshape(-1, self.lanes), self.a_width),
            "b": beats.pack(b.reshape(-1, self.lanes), self.b_width),
        }

    def from_beats(self, streams: dict[str, Array]) -> Array:
        """Return sums (positions, C*T) int64 from the output stream."""
        values = beats.unpack(streams["out"], self.out_width, self.lanes, signed=True)
        return values.reshape(-1, self.channels * self.timesteps)

    def golden(self, a: Array, b: Array) -> Array:
        """Return golden.add's sums (..., C*T)."""
        return golden.add(a, b)
