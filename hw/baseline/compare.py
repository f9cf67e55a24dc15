"""The price of a multiplication: FINN's MVAU on multi-bit activations beside SpikeMVAU on spike words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ops.spike_mvau.op import SpikeMvau
from .cost import BaselineCost
from .layers import Layer, by_name


@dataclass(frozen=True)
class Price:
    """A matrix at ``rate`` products a cycle (PE SIMD), on both units with the same weights and cycles of a frame.

    lut, ff, bram18, dsp: of FINN's MVAU with its weights. spike_lut, spike_ff, spike_bram18: of SpikeMVAU, which
    adds every weight to the sums of all of a word's time steps at once.
    """

    layer: str
    rate: int
    lut: int
    ff: int
    bram18: int
    dsp: int
    spike_lut: int
    spike_ff: int
    spike_bram18: int

    @property
    def lut_per_product(self) -> float:
        """Return MVAU's LUTs for a product a cycle."""
        return self.lut / self.rate

    @property
    def dsp_per_product(self) -> float:
        """Return MVAU's DSPs for a product a cycle."""
        return self.dsp / self.rate

    @property
    def spike_lut_per_product(self) -> float:
        """Return SpikeMVAU's LUTs for a weight a cycle, all of its time steps together."""
        return self.spike_lut / self.rate


def prices(layers: Sequence[Layer], cost: BaselineCost, timesteps: int = 4) -> list[Price]:
    """Return the price of every matrix of ``cost``, beside a SpikeMVAU of ``timesteps`` steps of its PE and SIMD."""
    known, found = by_name(layers), []
    for row in cost.rows:
        if row.op != "MVAU":
            continue
        assert row.PE is not None and row.SIMD is not None
        layer = known[row.layer]
        spike = SpikeMvau.fitted(
            layer.matrix, simd=row.SIMD, pe=row.PE, timesteps=timesteps, w_width=layer.weight_bits
        ).resources(cost.board.family)
        rate = row.PE * row.SIMD
        own = (row.lut, row.ff, row.bram18, row.dsp)
        found.append(Price(row.layer, rate, *own, spike.lut, spike.ff, spike.bram18))
    return found
