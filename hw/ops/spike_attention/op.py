"""SpikeAttention: Q (K^T V) on spike words, golden.attention in spike_attention.sv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.ranges import signed_bits

from ... import beats
from .. import memory
from ..operator import LIB, OPS, Array, Operator, Resources, require, require_between, require_multiple

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
    sources: ClassVar = (_FOLDER / "spike_attention.sv", LIB / "fifo.sv", LIB / "replay.sv")

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

    @property
    def _m_shape(self) -> tuple[int, int]:
        """Return depth and width of one of the two memories of K^T V."""
        return self.dim * self.head_dim // self.pe, self.pe * self.timesteps * self.tokens.bit_length()

    @property
    def _q_shape(self) -> tuple[int, int]:
        """Return depth and width of the memory of q."""
        return (self.tokens + 2) * self.folds, self.pe * self.timesteps

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
            "M_STYLE": memory.ram_style(*self._m_shape),
            "Q_STYLE": memory.ram_style(*self._q_shape),
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

    def resources(self, family: str = "xc7") -> Resources:
        """Return 1.52 LUT a bit of the counts and sums, 5.2 a bit of the address of M, and the memories."""
        words, chunks, rows = self.pe * self.timesteps, self.head_dim // self.pe, self.head_dim
        address = memory.address_bits(self._m_shape[0])
        lut = 1.52 * words * (self.tokens.bit_length() + self.out_width) + 5.2 * address + 85
        counter = memory.address_bits
        places = counter(self.tokens) + counter(chunks) + (counter(self.pe) if self.pe > 1 else 0)
        ff = 2 * (1 + address + places) + counter(rows) + address + 3 + words + self.timesteps + 7
        ff += words + 2 * counter(chunks + 1) + (chunks + 1).bit_length() + 1
        ff += memory.replay(chunks, rows, words)[1] + memory.replay(chunks, chunks, words)[1]
        ff += 3 * counter(self._q_shape[0]) + 1 + words * self.out_width
        blocks = 0
        for (depth, width), number in ((self._m_shape, 2), (self._q_shape, 1)):
            if memory.ram_style(depth, width) == "block":
                taken, muxes = memory.block_ram(depth, width, written=True)
                blocks, lut = blocks + number * taken, lut + number * muxes
            else:
                lut += number * memory.ram_luts(depth, width)
                ff += number * width
        return Resources(round(lut), ff, blocks)

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
