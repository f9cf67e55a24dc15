"""The integer layers of a quantised ANN: what its hardware cost and activity are computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .errors import BaselineError

Array = np.ndarray
WEIGHTED = ("conv", "linear")
# First products of attention, and second ones.
FIRST, SECOND = ("attention_kv", "attention_qk"), ("attention_qkv", "attention_av")
OPS = (*WEIGHTED, "threshold", *FIRST, *SECOND)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer that multiplies, or (op threshold) compares the residual stream: integers in, then pool and quantiser.

    name: as in the spiking network (tokenizer.0, blocks.0.attention.q, blocks.0.attention.lif_in, readout.project).
    op: one of OPS; attention_kv and _qkv are K^T V and Q (K^T V), attention_qk and _av Q K^T and softmax(.) V.
    weight: (O, kh, kw, I) of ``weight_bits``, None without. inputs: (N, H, W, I) integers of ``input_bits`` as they
    enter the layer. pad: of a convolution. pool: kernel and stride of the max pool behind it, None for none.
    out_levels: thresholds per channel of the quantiser behind it, 2**bits - 1; 0 for none. thresholds:
    (O, out_levels) on the accumulators, None if not known. operand: second factor of a product, of ``operand_bits``;
    heads: of attention.
    """

    name: str
    op: str
    weight: Array | None
    weight_bits: int
    inputs: Array
    input_bits: int
    input_signed: bool = False
    pad: int = 0
    pool: int | None = None
    out_levels: int = 0
    thresholds: Array | None = None
    operand: Array | None = None
    operand_bits: int = 0
    operand_signed: bool = False
    heads: int = 1

    def __post_init__(self) -> None:
        if self.op not in OPS:
            raise BaselineError(f"{self.name}: op: expected one of {', '.join(OPS)}, got {self.op}")
        if self.inputs.ndim != 4:
            raise BaselineError(f"{self.name}: inputs: expected (N, H, W, I), got {self.inputs.shape}")
        low = -(1 << (self.input_bits - 1)) if self.input_signed else 0
        self._within("inputs", self.inputs, low, low + (1 << self.input_bits) - 1)
        if self.op not in WEIGHTED:
            return
        shape = None if self.weight is None else self.weight.shape
        if self.weight is None or self.weight.ndim != 4 or self.weight.shape[3] != self.inputs.shape[3]:
            raise BaselineError(
                f"{self.name}: weights: expected (O, kh, kw, {self.inputs.shape[3]}) for these inputs, got {shape}"
            )
        if min(self.weight_bits, self.input_bits) < 2:
            raise BaselineError(f"{self.name}: FINN's MVAU in RTL multiplies 2 bits or more; widen weights and inputs")
        # The DSP48E1 needs the symmetric range.
        top = (1 << (self.weight_bits - 1)) - 1
        self._within("weights", self.weight, -top, top)

    @classmethod
    def of(cls, other: Any) -> Layer:
        """Return an object with these fields (and more) as a Layer."""
        return cls(**{field.name: getattr(other, field.name) for field in fields(cls)})

    def _within(self, what: str, values: Array, low: int, high: int) -> None:
        if not np.issubdtype(values.dtype, np.integer):
            raise BaselineError(f"{self.name}: {what}: expected integers, got {values.dtype}")
        if values.size and (int(values.min()) < low or int(values.max()) > high):
            raise BaselineError(
                f"{self.name}: {what}: expected {low} to {high}, got {int(values.min())} to {int(values.max())}; "
                "quantise them to that range"
            )

    @property
    def kernel(self) -> int:
        """Return the side of the kernel, 1 without weights."""
        return 1 if self.weight is None else int(self.weight.shape[1])

    @property
    def matrix(self) -> Array:
        """Return the weights as (MH, MW) int64, a window's elements in the order (kh, kw, I)."""
        assert self.weight is not None
        return self.weight.reshape(len(self.weight), -1).astype(np.int64)

    @property
    def input_type(self) -> str:
        """Return QONNX's name of the inputs' type."""
        return f"{'INT' if self.input_signed else 'UINT'}{self.input_bits}"

    @property
    def out_bits(self) -> int:
        """Return the bits of the quantiser behind the layer, 0 for none."""
        return int(self.out_levels).bit_length()

    @property
    def out_size(self) -> tuple[int, int]:
        """Return height and width of the map of accumulators."""
        height, width = (int(n) + 2 * self.pad - self.kernel + 1 for n in self.inputs.shape[1:3])
        return height, width

    @property
    def multiplications(self) -> int:
        """Return the multiply-accumulates of a frame."""
        if self.op in WEIGHTED:
            return int(np.prod(self.out_size)) * self.matrix.size
        if self.op == "threshold":
            return 0
        tokens, channels = int(np.prod(self.inputs.shape[1:3])), int(self.inputs.shape[3])
        if self.op == "attention_av":  # inputs are the scores of all heads
            assert self.operand is not None
            return tokens * tokens * int(self.operand.shape[3])
        return tokens * channels * (tokens if self.op == "attention_qk" else channels // self.heads)

    def windows(self, frames: int | None = None) -> Array:
        """Return (N, H', W', MW) int64 windows of the first ``frames`` inputs, all unless given."""
        margin = ((0, 0), (self.pad, self.pad), (self.pad, self.pad), (0, 0))
        padded = np.pad(self.inputs[:frames], margin).astype(np.int64)
        view = np.lib.stride_tricks.sliding_window_view(padded, (self.kernel, self.kernel), axis=(1, 2))
        return view.transpose(0, 1, 2, 4, 5, 3).reshape(*view.shape[:3], -1)

    def accumulators(self, frames: int | None = None) -> Array:
        """Return what the quantiser reads, (N, H', W', O) int64: sums of products, or the inputs of a threshold.

        Of Q (K^T V) the operand is (N, heads, d, d).
        """
        if self.op in WEIGHTED:
            sums: Array = self.windows(frames) @ self.matrix.T
            return sums
        given = self.inputs[:frames].astype(np.int64)
        if self.op == "threshold":
            return given
        if self.op != "attention_qkv" or self.operand is None:
            raise BaselineError(f"{self.name}: no accumulators are known of {self.op}; ask those of attention_qkv")
        count, height, width, channels = given.shape
        queries = given.reshape(count, height * width, self.heads, -1).swapaxes(1, 2)
        out: Array = (queries @ self.operand[:frames].astype(np.int64)).swapaxes(1, 2)
        return out.reshape(count, height, width, channels)


def by_name(layers: Sequence[Layer]) -> dict[str, Layer]:
    """Return name -> layer. Raises BaselineError for two of one name."""
    found = {layer.name: layer for layer in layers}
    if len(found) < len(layers):
        raise BaselineError(f"layers: expected different names, got {', '.join(layer.name for layer in layers)}")
    return found
