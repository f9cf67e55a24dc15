"""SpikeAttention: Q (K^T V) on spike words, golden.attention in spike_attention.sv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.ranges import signed_bits

from ... import beats
from ..operator import LIB, OPS, Array, Operator, require, require_between, require_multiple

_FOLDER = OPS / "spike_attention"


@dataclass(frozen=True)
class SpikeAttention(Operator):
    """Attention over ``tokens`` tokens of ``dim`` channels in ``heads`` heads, ``pe`` channels per beat.

    pe divides the channels of a head. out_width: bits of a count, unsigned; see :meth:`fitted`.
    Raises ParameterError.
    """

    dim: int
    heads: int
    tokens: int
    timesteps: int
    pe: int
    out_width: int

    top: ClassVar[str] = "sc_spike_attention"
    sources: ClassVar = (_FOLDER / "spike_attention.sv", _FOLDER / "fifo.sv", LIB / "replay.sv")

    def __post_init__(self) -> None:
        require_between("spike_attention", 2, 8192, dim=self.dim)
        require_multiple("spike_attention", {"dim": self.dim}, {"heads": self.heads})
        require_multiple("spike_attention", {"head_dim": self.head_dim}, {"pe": self.pe})
        require_between("spike_attention", 1, 16, timesteps=self.timesteps)
        require_between("spike_attention", 1, 65536, tokens=self.tokens)
        most = self.tokens * self.head_dim
        require(
            most.bit_length() <= self.out_width <= 48,
            f"spike_attention: out_width: expected {most.bit_length()} to 48 for counts up to {most}, "
            f"got {self.out_width}",
        )

    @classmethod
    def fitted(cls, *, dim: int, heads: int, tokens: int, timesteps: int, pe: int) -> SpikeAttention:
        """Return the operator whose counts fit a signed number of out_width bits, as sc_lif takes them."""
        require_multiple("spike_attention", {"dim": dim}, {"heads": heads})
        return cls(dim, heads, tokens, timesteps, pe, signed_bits(0, tokens * (dim // heads)))

    @property
    def head_dim(self) -> int:
        """Return the channels of a head, d."""
        return self.dim // self.heads

    @property
    def folds(self) -> int:
        """Return the beats of a token."""
        return self.dim // self.pe

    def memory_bits(self) -> dict[str, int]:
        """Return memory -> bits: K^T V of two frames, q of a frame and two tokens, words of a head."""
        head = self.head_dim * self.timesteps
        return {
            "ktv": 2 * self.dim * head * self.tokens.bit_length(),
            "q": (self.tokens + 2) * self.dim * self.timesteps,
            "head": 3 * head,
        }

    def parameters(self) -> dict[str, int | str]:
        """Return the RTL parameters."""
        return {
            "DIM": self.dim,
            "HEADS": self.heads,
            "TOKENS": self.tokens,
            "T": self.timesteps,
            "PE": self.pe,
            "OUT_WIDTH": self.out_width,
        }

    def input_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return dict.fromkeys(("q", "k", "v"), self.pe * self.timesteps)

    def output_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"out": self.pe * self.timesteps * self.out_width}

    def initiation_interval(self) -> int:
        """Return the cycles per frame: every token, every channel of k with every chunk of v."""
        return self.tokens * self.dim * self.head_dim // self.pe

    def latency(self) -> int:
        """Return the cycles from a frame's first beats to its first output."""
        return self.initiation_interval() + self.head_dim + 3

    def to_beats(self, q: Array, k: Array, v: Array) -> dict[str, Array]:
        """Return the input streams of words (B, N, D)."""
        words = {"q": q, "k": k, "v": v}
        return {name: beats.pack(value.reshape(-1, self.pe), self.timesteps) for name, value in words.items()}

    def from_beats(self, streams: dict[str, Array]) -> Array:
        """Return counts (B, N, D*T) int64 from the output stream."""
        counts = beats.unpack(streams["out"], self.out_width, self.pe * self.timesteps, signed=False)
        return counts.reshape(-1, self.tokens, self.dim * self.timesteps)

    def golden(self, q: Array, k: Array, v: Array) -> Array:
        """Return golden.attention's counts (B, N, D*T)."""
        return golden.attention(q, k, v, heads=self.heads, timesteps=self.timesteps)
