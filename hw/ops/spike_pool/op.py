"""SpikePool: windows to their maximum, golden.or_pool and golden.max_pool in spike_pool.sv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from spikeclip_fpga.quantize import golden

from ... import beats
from .. import memory
from ..operator import OPS, Array, Operator, Resources, require, require_between, require_multiple


@dataclass(frozen=True)
class SpikePool(Operator):
    """Pooling of maps (height, width) of ``channels`` channels, ``pe`` of them per beat.

    mode: "or" on spike words (in_width 1), "max" on signed currents of ``in_width`` bits. timesteps: values
    per channel, 1 for a static map. kernel, stride, pad as in golden.max_pool. Raises ParameterError.
    """

    channels: int
    pe: int
    timesteps: int
    height: int
    width: int
    mode: str = "or"
    in_width: int = 1
    kernel: int = 2
    stride: int = 2
    pad: int = 0

    top: ClassVar[str] = "sc_spike_pool"
    sources: ClassVar = (OPS / "spike_pool" / "spike_pool.sv",)

    def __post_init__(self) -> None:
        require_multiple("spike_pool", {"channels": self.channels}, {"pe": self.pe})
        require_between("spike_pool", 1, 16, timesteps=self.timesteps, kernel=self.kernel, stride=self.stride)
        require(self.mode in ("or", "max"), f"spike_pool: mode: expected or or max, got {self.mode}")
        require_between("spike_pool", 1, 48 if self.mode == "max" else 1, in_width=self.in_width)
        require_between("spike_pool", 0, self.kernel - 1, pad=self.pad)
        require_between("spike_pool", max(1, self.kernel - 2 * self.pad), 4096, height=self.height, width=self.width)

    @property
    def folds(self) -> int:
        """Return the output beats of a position."""
        return self.channels // self.pe

    @property
    def output_size(self) -> tuple[int, int]:
        """Return height and width of the pooled map."""
        rows, columns = ((size + 2 * self.pad - self.kernel) // self.stride + 1 for size in (self.height, self.width))
        return rows, columns

    def parameters(self) -> dict[str, int | str]:
        """Return the RTL parameters."""
        return {
            "CHANNELS": self.channels,
            "PE": self.pe,
            "T": self.timesteps,
            "IN_WIDTH": self.in_width,
            "MAXIMUM": int(self.mode == "max"),
            "KERNEL": self.kernel,
            "STRIDE": self.stride,
            "PAD": self.pad,
            "MAP_HEIGHT": self.height,
            "MAP_WIDTH": self.width,
        }

    def input_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"in": self.pe * self.timesteps * self.in_width}

    def output_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"out": self.pe * self.timesteps * self.in_width}

    def initiation_interval(self) -> int:
        """Return the cycles per output position: one per window beat of every fold."""
        return self.folds * self.kernel**2

    def latency(self) -> int:
        """Return the cycles from a window's first beat to its maximum."""
        return self.kernel**2

    def resources(self, family: str = "xc7") -> Resources:
        """Return the gates or comparisons of every value, the place in the window, and on the map with padding."""
        values, place = self.pe * self.timesteps, memory.address_bits(self.kernel)
        sizes = (self.folds, self.height + 2 * self.pad, self.width + 2 * self.pad)
        masked = self.mode == "max" and self.pad > 0
        mask = sum(memory.address_bits(n) for n in sizes) if masked else 0
        lut = (0.68 * self.in_width if self.mode == "max" else 1.0) * values + 2 * mask + 5
        return Resources(round(lut), values * self.in_width + 2 * place + 2 + mask)

    def to_beats(self, maps: Array) -> dict[str, Array]:
        """Return the input stream of maps (B, H, W, C) words or (B, H, W, C*T) currents.

        Padded with 0 and in the order of FINN's sliding window generator with depthwise 1:
        (B, H', W', C/PE, k, k, PE*T).
        """
        margin = ((0, 0), (self.pad, self.pad), (self.pad, self.pad), (0, 0))
        padded = np.pad(maps, margin).astype(np.int64)
        view = np.lib.stride_tricks.sliding_window_view(padded, (self.kernel, self.kernel), axis=(1, 2))
        windows = view[:, :: self.stride, :: self.stride]  # (B, H', W', X, k, k)
        split = windows.reshape(*windows.shape[:3], self.folds, -1, self.kernel**2).swapaxes(-1, -2)
        return {"in": beats.pack(split.reshape(-1, split.shape[-1]), self._field_width)}

    def from_beats(self, streams: dict[str, Array]) -> Array:
        """Return maps (B, H', W', C) uint16 words or (B, H', W', C*T) int64 currents from the output stream."""
        fields = self.pe if self.mode == "or" else self.pe * self.timesteps
        values = beats.unpack(streams["out"], self._field_width, fields, signed=self.mode == "max")
        maps = values.reshape(-1, *self.output_size, self.folds * fields)
        return maps.astype(np.uint16) if self.mode == "or" else maps

    @property
    def _field_width(self) -> int:
        return self.timesteps if self.mode == "or" else self.in_width

    def golden(self, maps: Array) -> Array:
        """Return golden.or_pool's words or golden.max_pool's currents."""
        pool = golden.or_pool if self.mode == "or" else golden.max_pool
        return pool(maps, kernel=self.kernel, stride=self.stride, pad=self.pad)
