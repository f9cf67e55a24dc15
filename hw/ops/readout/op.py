"""Readout: words of a frame to z, the first line of golden.readout, in readout.sv."""

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

_WEIGHTS = "weights.mem"
_LEVELS = 2  # adders between two registers, as in readout.sv


@dataclass(frozen=True)
class Readout(Operator):
    """Token sum and time-dependent weights over ``tokens`` tokens of ``channels`` channels, ``pe`` per beat.

    w_width, acc_width, out_width: bits of a time weight, sum, z (two's complement); see :meth:`fitted`.
    Raises ParameterError.
    """

    channels: int
    pe: int
    timesteps: int
    tokens: int
    w_width: int
    acc_width: int
    shift: int
    out_width: int

    top: ClassVar[str] = "sc_readout"
    sources: ClassVar = (OPS / "readout" / "readout.sv", LIB / "adder_tree.sv")

    def __post_init__(self) -> None:
        require_multiple("readout", {"channels": self.channels}, {"pe": self.pe})
        require_between("readout", 1, 16, timesteps=self.timesteps)
        require_between("readout", 1, 65536, tokens=self.tokens)
        require_between("readout", 1, 24, w_width=self.w_width)
        require_between("readout", 1, 48, acc_width=self.acc_width)
        require_between("readout", 0, self.acc_width - 1, shift=self.shift)
        require_between("readout", 1, self.acc_width - self.shift, out_width=self.out_width)

    @classmethod
    def fitted(cls, time_weight: Array, *, channels: int, pe: int, tokens: int, shift: int) -> Readout:
        """Return the operator for time weights (T,), every width proven and no wider."""
        weight, half = time_weight.astype(np.int64), (1 << shift) >> 1
        low, high = (int(tokens * sign(weight, 0).sum()) + half for sign in (np.minimum, np.maximum))
        out_width = signed_bits(low >> shift, high >> shift)
        return cls(
            channels,
            pe,
            len(weight),
            tokens,
            signed_bits(int(weight.min()), int(weight.max())),
            max(signed_bits(low, high), out_width + shift),
            shift,
            out_width,
        )

    @property
    def folds(self) -> int:
        """Return the beats of a token."""
        return self.channels // self.pe

    def parameters(self) -> dict[str, int | str]:
        """Return the RTL parameters."""
        return {
            "CHANNELS": self.channels,
            "PE": self.pe,
            "T": self.timesteps,
            "TOKENS": self.tokens,
            "W_WIDTH": self.w_width,
            "ACC_WIDTH": self.acc_width,
            "SHIFT": self.shift,
            "OUT_WIDTH": self.out_width,
            "WEIGHTS": _WEIGHTS,
        }

    def files(self, time_weight: Array) -> dict[str, str]:
        """Return the ROM file of time weights (T,).

        Raises ParameterError if the shape is another, a weight does not fit, or a sum can leave its width.
        """
        expected = (self.timesteps,)
        require(time_weight.shape == expected, f"readout: time_weight: expected {expected}, got {time_weight.shape}")
        fit = Readout.fitted(time_weight, channels=self.channels, pe=self.pe, tokens=self.tokens, shift=self.shift)
        for name in ("w_width", "acc_width", "out_width"):
            needed, given = getattr(fit, name), getattr(self, name)
            require(needed <= given, f"readout: time_weight needs {name} {needed}, {name} is {given}")
        return {_WEIGHTS: beats.memory_lines(time_weight.astype(np.int64)[None, :], self.w_width)}

    def input_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"in": self.pe * self.timesteps}

    def output_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"out": self.pe * self.out_width}

    def initiation_interval(self) -> int:
        """Return the cycles per frame: one per beat."""
        return self.tokens * self.folds

    def latency(self) -> int:
        """Return the cycles from a frame's first beat to the first of z: all tokens but the last, and the stages."""
        stages = 1 + math.ceil(math.log2(self.timesteps)) // _LEVELS
        return (self.tokens - 1) * self.folds + stages + 1

    def resources(self, family: str = "xc7") -> Resources:
        """Return accumulators in LUT RAM, their adders, those of the steps and the counters.

        0.76 LUT a bit of the accumulator and 0.45 of the weights, fitted to Yosys; since the weights are constants
        it depends on them, by some 20 %.
        """
        counters = memory.address_bits(self.folds) + memory.address_bits(self.tokens)
        steps = self.timesteps * self.w_width
        logic = 0.76 * self.acc_width + 0.45 * (steps - self.w_width)
        lut = self.pe * (memory.ram_luts(self.folds, self.acc_width) + logic) + 1.2 * counters
        return Resources(round(lut), round(self.pe * (0.65 * self.out_width + 0.5 * steps) + 1.9 * counters))

    def to_beats(self, words: Array) -> dict[str, Array]:
        """Return the input stream of words (B, N, D)."""
        return {"in": beats.pack(words.reshape(-1, self.pe), self.timesteps)}

    def from_beats(self, streams: dict[str, Array]) -> Array:
        """Return z (frames, D) int64 from the output stream."""
        return beats.unpack(streams["out"], self.out_width, self.pe, signed=True).reshape(-1, self.channels)

    def golden(self, words: Array, time_weight: Array) -> Array:
        """Return z (B, D): golden.readout with a projection that changes nothing."""
        identity, zero = np.eye(self.channels, dtype=np.int64), np.zeros(self.channels, np.int64)
        return golden.readout(words, time_weight, identity, zero, timesteps=self.timesteps, shift=self.shift)
