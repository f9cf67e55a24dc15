"""Energy with memory counted, after Lemaire et al. 2022, for this network's shapes and two placements of state.

An access to a memory of n bits costs sram_base + sram_per_bit n (coefficients.py). Arithmetic is int32.

time_serial, Lemaire's event-driven layer. For theta spikes in, fan-outs summing to A additions, n neurons:
  inputs   theta reads of an event                  weights  A reads
  state    A updates (read and write back), then T n reads and writes to leak, fire and reset
  params   2 T n reads, threshold and bias          outputs  theta_out writes of an event
  compute  A + 2 T n + theta_out adds (bias and leak, reset), T n multiplies (leak)
  address  2 multiply-adds and k^2 M adds an event in a convolution, M adds in a linear layer
Event queues hold one event for each neuron. A sum that a pool or the residual stream takes, instead of a neuron,
is read and cleared T times. Lemaire updates neurons that no spike reaches once per image; a leak touches all of
them at every step, so T n.

time_parallel, this project's hardware: one word of T bits per neuron, dense. Membranes and accumulators are
registers: state is only what max-pools, the residual stream and attention buffer. A weight is read once for all
T steps, whether or not its input has spikes; every tap adds at every step; addresses are counters.

ann, Lemaire's formal layer: the twin without neurons or steps, with the same weights and 8-bit activations.

Each datum is one access (``datum``, Lemaire), or only its share of a full word of sram_word bits (``packed``,
as if rows of neighbours were always read together: a lower bound).

Arithmetic is ``int32``, as Lemaire has it, or of the widths that the operands have (``width``, arithmetic.py);
addresses stay int32. The ANNs of twins.py are estimated from their shapes: ``formal`` (ann.py), and ``dataflow``
(dataflow.py), which moves data as time_parallel does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from spikeclip_fpga.quantize.network import IntNetwork

from . import ann, dataflow, time_parallel, time_serial
from .arithmetic import add_pj, multiply_pj
from .coefficients import Coefficients
from .counters import CountError, Counts
from .layers import read_network
from .twins import Twin
from .work import MEMORY, Model, Work

Placement = Literal["time_serial", "time_parallel", "ann"]
TwinPlacement = Literal["formal", "dataflow"]
Packing = Literal["datum", "packed"]
Arithmetic = Literal["int32", "width"]
PLACEMENTS: tuple[Placement, ...] = ("time_serial", "time_parallel", "ann")
TWIN_PLACEMENTS: tuple[TwinPlacement, ...] = ("formal", "dataflow")
PACKINGS: tuple[Packing, ...] = ("datum", "packed")
ARITHMETICS: tuple[Arithmetic, ...] = ("int32", "width")
PARTS = (*MEMORY, "compute", "address")
_ROOMS: dict[Placement, ModuleType] = {"time_serial": time_serial, "time_parallel": time_parallel, "ann": ann}


@dataclass(frozen=True)
class NodeEnergy:
    """Energy of one node, pJ per image, by part (PARTS)."""

    name: str
    op: str
    parts: dict[str, float]

    @property
    def energy_pj(self) -> float:
        """Sum of the parts."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class MemoryAware:
    """An estimate: its placement, how data are packed, and each node's energy."""

    placement: Placement | TwinPlacement
    packing: Packing
    nodes: tuple[NodeEnergy, ...]
    arithmetic: Arithmetic = "int32"

    @property
    def parts(self) -> dict[str, float]:
        """Energy by part over all nodes, pJ per image."""
        return {part: sum(node.parts[part] for node in self.nodes) for part in PARTS}

    @property
    def energy_pj(self) -> float:
        """Energy of all nodes, pJ per image."""
        return sum(node.energy_pj for node in self.nodes)


def estimate(
    network: IntNetwork,
    counts: Counts,
    placement: Placement,
    packing: Packing = "datum",
    coefficients: Coefficients | None = None,
    arithmetic: Arithmetic = "int32",
) -> MemoryAware:
    """Return the memory-aware energy of an average counted image.

    Raises CountError without images, or for an unknown placement, packing or arithmetic.
    """
    _require(placement, PLACEMENTS, packing, arithmetic)
    given = coefficients or Coefficients()
    nodes = work(network, counts, placement, given.potential_accesses.value)
    return MemoryAware(
        placement, packing, tuple(_price(node, packing, given, arithmetic) for node in nodes), arithmetic
    )


def estimate_twin(
    twin: Twin,
    placement: TwinPlacement,
    packing: Packing = "datum",
    coefficients: Coefficients | None = None,
    arithmetic: Arithmetic = "int32",
) -> MemoryAware:
    """Return the memory-aware energy of one pass of an ANN. Raises CountError for an unknown choice."""
    _require(placement, TWIN_PLACEMENTS, packing, arithmetic)
    given = coefficients or Coefficients()
    nodes = ann.formal(twin) if placement == "formal" else dataflow.work(twin)
    return MemoryAware(
        placement, packing, tuple(_price(node, packing, given, arithmetic) for node in nodes), arithmetic
    )


def _require(placement: str, placements: tuple[str, ...], packing: str, arithmetic: str) -> None:
    if placement not in placements or packing not in PACKINGS:
        raise CountError(
            f"memory-aware: expected {', '.join(placements)}; datum or packed; got {placement!r}, {packing!r}"
        )
    if arithmetic not in ARITHMETICS:
        raise CountError(f"memory-aware: arithmetic: expected int32 or width, got {arithmetic!r}")


def work(network: IntNetwork, counts: Counts, placement: Placement, potential_accesses: float = 2) -> list[Work]:
    """Return what every node does for an average image."""
    if counts.images < 1:
        raise CountError("memory-aware: counts of no images; give at least one")
    model = Model(network, read_network(network), counts, potential_accesses)
    nodes: list[Work] = _ROOMS[placement].work(model)
    return nodes


def _price(node: Work, packing: Packing, coefficients: Coefficients, arithmetic: Arithmetic) -> NodeEnergy:
    address_add, address_multiply = coefficients.e_add.value, coefficients.e_mul.value
    if node.floating:
        add, multiply = coefficients.e_fadd.value, coefficients.e_fmul.value
    elif arithmetic == "width":
        add = float(add_pj(node.add_bits, coefficients))
        multiply = float(multiply_pj(*node.multiply_bits, coefficients))
    else:
        add, multiply = address_add, address_multiply
    word = coefficients.sram_word.value
    parts = dict.fromkeys(PARTS, 0.0)
    for access in node.accesses:
        share = access.datum_bits / word
        words = share if packing == "packed" else math.ceil(share)
        parts[access.part] += access.count * words * coefficients.sram_access_pj(access.memory_bits)
    parts["compute"] = node.adds * add + node.multiplies * multiply
    parts["address"] = node.address_adds * address_add + node.address_multiplies * address_multiply
    return NodeEnergy(node.name, node.op, parts)
