"""SpikeMVAU: spike words to currents, golden.spike_linear in spike_mvau.sv."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.ranges import signed_bits

from ... import beats
from .. import memory
from ..operator import LIB, OPS, Array, Operator, Resources, require, require_between, require_multiple
from .cost import gated_sum

_WEIGHTS = "weights.mem"


@dataclass(frozen=True)
class SpikeMvau(Operator):
    """A matrix (mh, mw) of ``w_width``-bit weights times vectors of ``mw`` spike words.

    simd: words per input beat. pe: output channels per output beat. acc_width: bits that hold every
    accumulator; see :meth:`fitted`. levels: adders between two registers, 0 for none. rom: where weights are,
    block, distributed or auto (by the rule of :mod:`hw.ops.memory`). Raises ParameterError.
    """

    mw: int
    mh: int
    simd: int
    pe: int
    timesteps: int
    w_width: int
    acc_width: int
    levels: int = 2
    rom: str = "auto"

    top: ClassVar[str] = "sc_spike_mvau"
    sources: ClassVar = (
        OPS / "spike_mvau" / "spike_mvau.sv",
        *(LIB / f"{name}.sv" for name in ("replay", "rom", "gated_sum", "add3")),
    )

    def __post_init__(self) -> None:
        require_multiple("spike_mvau", {"mw": self.mw}, {"simd": self.simd})
        require_multiple("spike_mvau", {"mh": self.mh}, {"pe": self.pe})
        require_between("spike_mvau", 1, 16, timesteps=self.timesteps)
        require_between("spike_mvau", 2, 8, w_width=self.w_width)
        require_between("spike_mvau", 1, 48, acc_width=self.acc_width)
        require_between("spike_mvau", 0, 16, levels=self.levels)
        styles = ("auto", "block", "distributed")
        require(self.rom in styles, f"spike_mvau: rom: expected one of {', '.join(styles)}, got {self.rom}")

    @classmethod
    def fitted(
        cls,
        weight: Array,
        *,
        simd: int,
        pe: int,
        timesteps: int,
        w_width: int | None = None,
        levels: int = 2,
        rom: str = "auto",
    ) -> SpikeMvau:
        """Return the operator for weight (M, ...), with the narrowest weights (or ``w_width``) and accumulators."""
        flat = weight.reshape(len(weight), -1).astype(np.int64)
        low, high = np.minimum(flat, 0).sum(1).min(), np.maximum(flat, 0).sum(1).max()
        needed = max(2, signed_bits(int(flat.min()), int(flat.max())))
        acc_width = signed_bits(int(low), int(high))
        return cls(flat.shape[1], len(flat), simd, pe, timesteps, w_width or needed, acc_width, levels, rom)

    @property
    def sf(self) -> int:
        """Return the input beats of a vector, SF."""
        return self.mw // self.simd

    @property
    def nf(self) -> int:
        """Return the output beats of a vector, NF."""
        return self.mh // self.pe

    @property
    def rom_style(self) -> str:
        """Return where the weights are, block or distributed."""
        width = self.pe * self.simd * self.w_width
        return memory.rom_style(self.sf * self.nf, width) if self.rom == "auto" else self.rom

    def parameters(self) -> dict[str, int | str]:
        """Return the RTL parameters."""
        return {
            "MW": self.mw,
            "MH": self.mh,
            "SIMD": self.simd,
            "PE": self.pe,
            "T": self.timesteps,
            "W_WIDTH": self.w_width,
            "ACC_WIDTH": self.acc_width,
            "LEVELS": self.levels,
            "ROM_STYLE": self.rom_style,
            "WEIGHTS": _WEIGHTS,
        }

    def files(self, weight: Array) -> dict[str, str]:
        """Return the ROM file of weight (M, C), or (M, k, k, C) of a convolution.

        Raises ParameterError if the shape is another, a weight does not fit, or a sum can leave acc_width.
        """
        flat = weight.reshape(len(weight), -1).astype(np.int64)
        require(
            flat.shape == (self.mh, self.mw), f"spike_mvau: weight: expected ({self.mh}, {self.mw}), got {flat.shape}"
        )
        fit = SpikeMvau.fitted(flat, simd=self.simd, pe=self.pe, timesteps=self.timesteps)
        require(fit.w_width <= self.w_width, f"spike_mvau: weights need {fit.w_width} bits, w_width is {self.w_width}")
        require(
            fit.acc_width <= self.acc_width,
            f"spike_mvau: accumulators need {fit.acc_width} bits, acc_width is {self.acc_width}",
        )
        # (NF, PE, SF, SIMD) -> one line per (NF, SF)
        lines = flat.reshape(self.nf, self.pe, self.sf, self.simd).transpose(0, 2, 1, 3)
        return {_WEIGHTS: beats.memory_lines(lines.reshape(self.nf * self.sf, -1), self.w_width)}

    def input_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"in": self.simd * self.timesteps}

    def output_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"out": self.pe * self.timesteps * self.acc_width}

    def initiation_interval(self) -> int:
        """Return the cycles per vector, SF NF."""
        return self.sf * self.nf

    def latency(self) -> int:
        """Return the cycles from a vector's first beat to its first output."""
        stages = math.ceil(math.log2(self.simd)) // self.levels if self.levels else 0
        return self.sf + 1 + stages + (self.nf > 1)

    def resources(self, family: str = "xc7") -> Resources:
        """Return sums and accumulators of every channel and step, replay memory, weights and counters.

        1.17 LUT a bit of the sums, 0.85 of the accumulators (their lowest and highest bits are simpler) and 1.4
        of the counters, fitted to Yosys over T 1 to 16, weights of 2 to 8 bits, SIMD 1 to 32, PE 1 to 4.
        """
        stages = math.ceil(math.log2(self.simd)) // self.levels if self.levels else 0
        sums, kept = gated_sum(self.simd, self.w_width, stages)
        lanes, depth, width = self.pe * self.timesteps, self.sf * self.nf, self.pe * self.simd * self.w_width
        ram, counters = memory.replay(self.sf, self.nf, self.simd * self.timesteps)
        counters += memory.address_bits(depth) + memory.address_bits(self.sf)
        lut = round(lanes * (1.17 * sums + 0.85 * self.acc_width) + 1.4 * counters + ram)
        ff = lanes * (kept + self.acc_width) + counters + self.simd * self.timesteps + 3 * (stages + 1) + 1
        if self.rom_style == "block":
            blocks, muxes = memory.block_ram(depth, width)
            return Resources(lut + muxes, ff, blocks)
        return Resources(lut + memory.rom_luts(depth, width), ff + min(width, 1 << min(depth, 16)))

    def to_beats(self, words: Array) -> dict[str, Array]:
        """Return the input stream of words (..., MW)."""
        return {"in": beats.pack(words.reshape(-1, self.simd), self.timesteps)}

    def from_beats(self, streams: dict[str, Array]) -> Array:
        """Return currents (vectors, MH*T) int64 from the output stream."""
        fields = self.pe * self.timesteps
        return beats.unpack(streams["out"], self.acc_width, fields, signed=True).reshape(-1, self.mh * self.timesteps)

    def golden(self, words: Array, weight: Array) -> Array:
        """Return golden.spike_linear's currents (..., M*T)."""
        return golden.spike_linear(words, weight.reshape(len(weight), -1), timesteps=self.timesteps)
