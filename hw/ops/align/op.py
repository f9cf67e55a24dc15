"""Align: currents onto the residual stream's grid, golden.align in align.sv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.ranges import signed_bits

from ... import beats
from .. import memory
from ..operator import LIB, OPS, Array, Operator, Resources, require, require_between, require_multiple

_CONSTANTS = "constants.mem"


@dataclass(frozen=True)
class Align(Operator):
    """Shift and bias per channel, ``pe`` of ``channels`` channels per beat.

    in_width, bias_width, out_width: bits of a current, bias, result (two's complement); see :meth:`fitted`.
    shift: what every channel shifts; extra_width: bits of what a channel shifts more, 0 for none.
    Raises ParameterError.
    """

    channels: int
    pe: int
    timesteps: int
    in_width: int
    bias_width: int
    shift: int
    extra_width: int
    out_width: int

    top: ClassVar[str] = "sc_align"
    sources: ClassVar = (OPS / "align" / "align.sv", LIB / "rom.sv")

    def __post_init__(self) -> None:
        require_multiple("align", {"channels": self.channels}, {"pe": self.pe})
        require_between("align", 1, 16, timesteps=self.timesteps)
        widths = {"in_width": self.in_width, "bias_width": self.bias_width, "out_width": self.out_width}
        require_between("align", 1, 48, **widths)
        require_between("align", 0, 47, shift=self.shift)
        require_between("align", 0, 5, extra_width=self.extra_width)

    @classmethod
    def fitted(cls, shift: Array, bias: Array, *, pe: int, timesteps: int, low: int, high: int) -> Align:
        """Return the operator for constants (C,) and currents in low to high, every width proven and no wider."""
        shift, bias = shift.astype(np.int64), bias.astype(np.int64)
        lowest, highest = int(((low << shift) + bias).min()), int(((high << shift) + bias).max())
        return cls(
            len(bias),
            pe,
            timesteps,
            signed_bits(low, high),
            signed_bits(int(bias.min()), int(bias.max())),
            int(shift.min()),
            int(shift.max() - shift.min()).bit_length(),
            signed_bits(lowest, highest),
        )

    @property
    def folds(self) -> int:
        """Return the beats of a position."""
        return self.channels // self.pe

    @property
    def rom_style(self) -> str:
        """Return where the constants are, block or distributed."""
        return memory.rom_style(self.folds, self.pe * (self.bias_width + self.extra_width))

    def parameters(self) -> dict[str, int | str]:
        """Return the RTL parameters."""
        return {
            "CHANNELS": self.channels,
            "PE": self.pe,
            "T": self.timesteps,
            "IN_WIDTH": self.in_width,
            "BIAS_WIDTH": self.bias_width,
            "SHIFT": self.shift,
            "EXTRA_WIDTH": self.extra_width,
            "OUT_WIDTH": self.out_width,
            "ROM_STYLE": self.rom_style,
            "CONSTANTS": _CONSTANTS,
        }

    def files(self, shift: Array, bias: Array) -> dict[str, str]:
        """Return the ROM file of shifts and biases (C,). Raises ParameterError if one does not fit its width."""
        for name, value in (("shift", shift), ("bias", bias)):
            require(value.shape == (self.channels,), f"align: {name}: expected ({self.channels},), got {value.shape}")
        extra = shift.astype(np.int64) - self.shift
        top = self.shift + (1 << self.extra_width) - 1
        require(
            int(extra.min()) >= 0 and int(extra.max()).bit_length() <= self.extra_width,
            f"align: shift: expected {self.shift} to {top}, got {int(shift.min())} to {int(shift.max())}",
        )
        needed = signed_bits(int(bias.min()), int(bias.max()))
        require(needed <= self.bias_width, f"align: bias needs {needed} bits, bias_width is {self.bias_width}")
        fields = (bias.astype(np.int64) << self.extra_width) | extra
        return {_CONSTANTS: beats.memory_lines(fields.reshape(-1, self.pe), self.bias_width + self.extra_width)}

    def input_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"in": self.pe * self.timesteps * self.in_width}

    def output_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"out": self.pe * self.timesteps * self.out_width}

    def initiation_interval(self) -> int:
        """Return the cycles per position: one per beat."""
        return self.folds

    def latency(self) -> int:
        """Return the cycles from a beat to its result."""
        return 2

    def resources(self, family: str = "xc7") -> Resources:
        """Return adders (0.92 LUT a bit; with the shift in front 1.17 for two bits of it, 1.69 for more) and ROM."""
        lanes, field = self.pe * self.timesteps, self.bias_width + self.extra_width
        bits = self.out_width - (self.shift if self.extra_width < 2 else 0)
        rate = 0.92 if self.extra_width < 2 else 1.17 if self.extra_width == 2 else 1.69
        counter = memory.address_bits(self.folds)
        lut = round(rate * lanes * bits + counter)
        ff = lanes * (self.in_width + self.out_width) + counter + 2
        if self.rom_style == "block":
            blocks, muxes = memory.block_ram(self.folds, self.pe * field)
            return Resources(lut + muxes, ff, blocks)
        return Resources(lut + memory.rom_luts(self.folds, self.pe * field), ff + self.pe * field)

    def to_beats(self, currents: Array) -> dict[str, Array]:
        """Return the input stream of currents (..., C*T)."""
        return {"in": beats.pack(currents.reshape(-1, self.pe * self.timesteps), self.in_width)}

    def from_beats(self, streams: dict[str, Array]) -> Array:
        """Return currents (positions, C*T) int64 from the output stream."""
        values = beats.unpack(streams["out"], self.out_width, self.pe * self.timesteps, signed=True)
        return values.reshape(-1, self.channels * self.timesteps)

    def golden(self, currents: Array, shift: Array, bias: Array) -> Array:
        """Return golden.align's currents (..., C*T)."""
        return golden.align(currents, shift, bias, timesteps=self.timesteps)
