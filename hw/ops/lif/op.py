"""LIF: currents to spike words, golden.lif in lif.sv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.ranges import membrane, signed_bits

from ... import beats
from .. import memory
from ..operator import LIB, OPS, Array, Operator, Resources, require, require_between, require_multiple

_CONSTANTS = "constants.mem"


@dataclass(frozen=True)
class Lif(Operator):
    """LIF neurons of ``channels`` channels, ``pe`` of them per beat.

    in_width, threshold_width, bias_width: bits of a current, threshold, bias (two's complement).
    membrane_width: bits that hold every membrane; see :meth:`fitted`. The rest as in golden.lif.
    Raises ParameterError.
    """

    channels: int
    pe: int
    timesteps: int
    in_width: int
    threshold_width: int
    bias_width: int
    membrane_width: int
    frac_bits: int = 4
    leak_k: int = 29
    leak_n: int = 5
    reset: str = "subtract"
    broadcast: bool = False

    top: ClassVar[str] = "sc_lif"
    sources: ClassVar = (OPS / "lif" / "lif.sv", *(LIB / f"{name}.sv" for name in ("rom", "scale_floor", "add3")))

    def __post_init__(self) -> None:
        require_multiple("lif", {"channels": self.channels}, {"pe": self.pe})
        require_between("lif", 1, 16, timesteps=self.timesteps)
        widths = {"in_width": self.in_width, "threshold_width": self.threshold_width}
        widths |= {"bias_width": self.bias_width, "membrane_width": self.membrane_width}
        require_between("lif", 1, 48, **widths)
        require_between("lif", 0, 16, frac_bits=self.frac_bits, leak_n=self.leak_n)
        require_between("lif", 0, 1 << self.leak_n, leak_k=self.leak_k)
        require(self.reset in ("subtract", "zero"), f"lif: reset: expected subtract or zero, got {self.reset}")

    @classmethod
    def fitted(
        cls,
        threshold: Array,
        bias: Array,
        *,
        pe: int,
        timesteps: int,
        low: int,
        high: int,
        frac_bits: int = 4,
        leak_k: int = 29,
        leak_n: int = 5,
        reset: str = "subtract",
        broadcast: bool = False,
    ) -> Lif:
        """Return the operator for constants (C,) and currents in low to high, every width proven and no wider."""
        base = np.zeros(len(bias), np.int64)
        lowest, highest = membrane(
            (base + (low << frac_bits)) + bias,
            (base + (high << frac_bits)) + bias,
            threshold.astype(np.int64),
            timesteps=timesteps,
            leak_k=leak_k,
            leak_n=leak_n,
            subtract=reset == "subtract",
        )
        return cls(
            len(bias),
            pe,
            timesteps,
            signed_bits(low, high),
            signed_bits(int(threshold.min()), int(threshold.max())),
            signed_bits(int(bias.min()), int(bias.max())),
            signed_bits(lowest, highest),
            frac_bits,
            leak_k,
            leak_n,
            reset,
            broadcast,
        )

    @property
    def folds(self) -> int:
        """Return the beats of a position."""
        return self.channels // self.pe

    @property
    def input_steps(self) -> int:
        """Return the currents per channel in a beat."""
        return 1 if self.broadcast else self.timesteps

    @property
    def rom_style(self) -> str:
        """Return where the constants are, block or distributed."""
        return memory.rom_style(self.folds, self.pe * (self.bias_width + self.threshold_width))

    def parameters(self) -> dict[str, int | str]:
        """Return the RTL parameters."""
        return {
            "CHANNELS": self.channels,
            "PE": self.pe,
            "T": self.timesteps,
            "IN_WIDTH": self.in_width,
            "THRESHOLD_WIDTH": self.threshold_width,
            "BIAS_WIDTH": self.bias_width,
            "MEM_WIDTH": self.membrane_width,
            "FRAC_BITS": self.frac_bits,
            "LEAK_K": self.leak_k,
            "LEAK_N": self.leak_n,
            "RESET_ZERO": int(self.reset == "zero"),
            "BROADCAST": int(self.broadcast),
            "ROM_STYLE": self.rom_style,
            "CONSTANTS": _CONSTANTS,
        }

    def files(self, threshold: Array, bias: Array) -> dict[str, str]:
        """Return the ROM file of thresholds and biases (C,). Raises ParameterError if one does not fit its width."""
        for name, value, width in (("threshold", threshold, self.threshold_width), ("bias", bias, self.bias_width)):
            require(value.shape == (self.channels,), f"lif: {name}: expected ({self.channels},), got {value.shape}")
            needed = signed_bits(int(value.min()), int(value.max()))
            require(needed <= width, f"lif: {name} needs {needed} bits, {name}_width is {width}")
        mask = (1 << self.threshold_width) - 1
        fields = (bias.astype(np.int64) << self.threshold_width) | (threshold.astype(np.int64) & mask)
        return {_CONSTANTS: beats.memory_lines(fields.reshape(-1, self.pe), self.bias_width + self.threshold_width)}

    def input_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"in": self.pe * self.input_steps * self.in_width}

    def output_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"out": self.pe * self.timesteps}

    def initiation_interval(self) -> int:
        """Return the cycles per position: one per beat."""
        return self.folds

    def latency(self) -> int:
        """Return the cycles from a beat to its spikes."""
        return 2 * self.timesteps + 1

    def resources(self, family: str = "xc7") -> Resources:
        """Return the drives, and for every step membrane, comparison and leak, delays and constants.

        0.65 LUT a bit of a drive, 1.06 of a membrane's addition, of a comparison and of every two digits of
        leak_k but the first, fitted to Yosys over T 1 to 16, currents of 9 to 13 bits, both resets.
        """
        drives, later, wide = self.input_steps, self.timesteps - 1, self.membrane_width
        compared = max(wide, self.threshold_width)
        leaks = (bin(3 * self.leak_k ^ self.leak_k).count("1")) // 2  # digits of the non-adjacent form, by two
        logic = 0.65 * drives * (wide - self.frac_bits)
        logic += 1.06 * (self.timesteps * compared + later * wide * (1 + leaks))
        delayed = 0 if self.broadcast else wide * max(0, later - 1) / 2 + later / 2  # shift registers, by two
        field = self.bias_width + self.threshold_width
        kept = drives * (self.in_width + wide - self.frac_bits) + self.frac_bits + self.timesteps
        kept += (2 * later + 1) * self.threshold_width + 2 * later * wide
        kept += wide * max(0, 2 * later - 1) if self.broadcast else wide * (later > 0)
        lut, ff = self.pe * (logic + delayed), self.pe * kept + memory.address_bits(self.folds) + 2 * self.timesteps + 1
        if self.rom_style == "block":
            blocks, muxes = memory.block_ram(self.folds, self.pe * field)
            return Resources(round(lut) + muxes, ff, blocks)
        return Resources(round(lut) + memory.rom_luts(self.folds, self.pe * field), ff + self.pe * field)

    def to_beats(self, currents: Array) -> dict[str, Array]:
        """Return the input stream of currents (..., C*T), or (..., C) with broadcast."""
        return {"in": beats.pack(currents.reshape(-1, self.pe * self.input_steps), self.in_width)}

    def from_beats(self, streams: dict[str, Array]) -> Array:
        """Return words (positions, C) from the output stream."""
        words = beats.unpack(streams["out"], self.timesteps, self.pe, signed=False)
        return words.reshape(-1, self.channels).astype(np.uint16)

    def golden(self, currents: Array, threshold: Array, bias: Array) -> Array:
        """Return golden.lif's words (..., C); raises golden.RangeError if the membrane's width is too small."""
        return golden.lif(
            currents,
            threshold,
            bias,
            timesteps=self.timesteps,
            broadcast=int(self.broadcast),
            frac_bits=self.frac_bits,
            leak_k=self.leak_k,
            leak_n=self.leak_n,
            reset=self.reset,
            membrane_bits=self.membrane_width,
        )
