"""Theory of SpikeCLIP and the two ANNs side by side, with the papers' coefficients and with integer ones.

The papers price ANN and SNN as float32: 4.6 pJ a multiply-accumulate, 0.9 pJ an accumulate. A quantised ANN needs
neither, so every operation is priced three ways:
  float32  the papers': E_AC an addition that a spike causes, E_MAC a multiply-accumulate
  int32    additions of 32 bits, multiplications of the widths of their operands (arithmetic.py)
  width    additions of the width of their sums as well
ScratchCLIP is float32 in all three. What the papers' sum leaves out, attention, is given apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from spikeclip_fpga.quantize.network import IntNetwork

from . import theory
from .arithmetic import add_pj, multiply_pj, sum_bits
from .coefficients import Coefficients
from .counters import Counts
from .layers import ATTENTION, Layer, read_network
from .twins import Twin
from .work import Model

Pricing = Literal["float32", "int32", "width"]
PRICINGS: tuple[Pricing, ...] = ("float32", "int32", "width")


@dataclass(frozen=True)
class Operations:
    """One layer's operations per image, ``count`` of them.

    accumulate: additions that spikes cause, else multiply-accumulates.  flops: of one dense step.
    Widths in bits: of a weight or attention's other operand, of an input, of a sum.
    """

    name: str
    op: str
    flops: int
    count: Fraction
    accumulate: bool
    weight_bits: int
    input_bits: int
    sum_bits: int
    floating: bool = False

    @property
    def in_papers_sum(self) -> bool:
        """Whether (F.4) covers it: attention it does not."""
        return self.op not in ATTENTION

    def one_pj(self, pricing: Pricing, coefficients: Coefficients) -> Fraction:
        """Return the energy in pJ of one operation."""
        if pricing == "float32" or self.floating:
            return coefficients.e_ac.exact if self.accumulate else coefficients.e_mac.exact
        added = coefficients.e_add_32.exact if pricing == "int32" else add_pj(self.sum_bits, coefficients)
        return added if self.accumulate else added + multiply_pj(self.weight_bits, self.input_bits, coefficients)

    def energy_pj(self, pricing: Pricing, coefficients: Coefficients) -> Fraction:
        """Return the energy in pJ of all of them."""
        return self.count * self.one_pj(pricing, coefficients)


def spiking_operations(network: IntNetwork, counts: Counts) -> tuple[Operations, ...]:
    """Return SpikeCLIP's operations for an average counted image: (F.3), and attention's additions as counted.

    A spike of K adds d of V's, a spike of Q adds d sums. Raises CountError without images.
    """
    read = read_network(network)
    model = Model(network, read, counts, potential_accesses=2)
    sops = {layer.name: layer.operations for layer in theory.estimate(read, counts).layers}
    found = []
    for layer in read.layers:
        weight_bits = model.weight_bits(layer)
        if layer.op == "SpikeAttention":
            depth = layer.in_shape[2] // layer.heads
            spikes = counts.spikes[layer.sources[0]] + counts.spikes[layer.sources[1]]
            count = Fraction(spikes * depth, counts.images)
            found.append(Operations(layer.name, layer.op, layer.flops, count, True, 1, 1, model.sum_bits(layer)))
            continue
        input_bits = {"Conv": 8, "Readout": model.readout_bits(layer) if layer.op == "Readout" else 0}.get(layer.op, 1)
        bits = (weight_bits, input_bits, sum_bits(weight_bits, input_bits, _fan_in(layer)))
        found.append(Operations(layer.name, layer.op, layer.flops, sops[layer.name], layer.spiking, *bits))
    return tuple(found)


def twin_operations(twin: Twin) -> tuple[Operations, ...]:
    """Return an ANN's multiply-accumulates of one pass, per image."""
    return tuple(
        Operations(
            *(layer.name, layer.op, layer.flops, Fraction(layer.flops), False),
            *(twin.operand_bits(layer), twin.input_bits(layer), twin.sum_bits(layer), twin.floating),
        )
        for layer in twin.layers
    )


def energy_pj(
    operations: Sequence[Operations], pricing: Pricing, coefficients: Coefficients | None = None
) -> tuple[Fraction, Fraction]:
    """Return pJ per image of the papers' sum, and of the attention that it leaves out."""
    given = coefficients or Coefficients()
    parts = [(row.in_papers_sum, row.energy_pj(pricing, given)) for row in operations]
    summed, attention = (sum((pj for covered, pj in parts if covered is one), Fraction()) for one in (True, False))
    return summed, attention


def _fan_in(layer: Layer) -> int:
    return layer.kernel**2 * layer.in_shape[2]
