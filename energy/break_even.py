"""The firing rate at which SpikeCLIP and an ANN cost the same, in theory and with memory counted.

All layers' rates are scaled by one factor; what does not depend on spikes stays. Both kinds of estimates are linear
in that factor, so the break-even is exact for each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from spikeclip_fpga.quantize.network import IntNetwork

from . import memory_aware
from .baselines import PRICINGS, Operations, Pricing, energy_pj, spiking_operations, twin_operations
from .coefficients import Coefficients
from .counters import CountError, Counts, firing_rate
from .layers import read_network
from .memory_aware import ARITHMETICS, PACKINGS, TWIN_PLACEMENTS
from .twins import Twin


@dataclass(frozen=True)
class BreakEven:
    """Where SpikeCLIP and an ANN cost the same.

    factor: on every layer's firing rate; rate: the mean rate times it. A rate above 1 is one no network can
    reach, SpikeCLIP always wins; None: it never does, what does not depend on spikes costs more already.
    """

    factor: Fraction | None
    rate: Fraction | None


def break_even(silent: Fraction, now: Fraction, other: Fraction, mean_rate: Fraction) -> BreakEven:
    """Return where silent + factor (now - silent) = other; energies of any one unit, ``now`` at ``mean_rate``.

    Raises CountError if spikes cost nothing: then no rate decides.
    """
    if now <= silent:
        raise CountError(
            f"break-even: expected energy that grows with spikes, got {float(silent):g} without and {float(now):g} with"
        )
    if other < silent:
        return BreakEven(None, None)
    factor = (other - silent) / (now - silent)
    return BreakEven(factor, factor * mean_rate)


def break_even_theory(
    spiking: Sequence[Operations],
    other: Sequence[Operations],
    mean_rate: Fraction,
    pricing: Pricing,
    coefficients: Coefficients | None = None,
) -> BreakEven:
    """Return the break-even of the papers' sums: all firing rates scaled by one factor, layers fed by numbers stay."""
    given = coefficients or Coefficients()
    dense = [row for row in spiking if not row.accumulate]
    silent, now, ann = (energy_pj(rows, pricing, given)[0] for rows in (dense, spiking, other))
    return break_even(silent, now, ann, mean_rate)


def break_even_operation(
    spiking: Sequence[Operations],
    other: Sequence[Operations],
    timesteps: int,
    pricing: Pricing,
    coefficients: Coefficients | None = None,
) -> Fraction:
    """Return the one firing rate at which the layers fed by spikes cost what the ANN's same layers do.

    T rate sum(FLOPs e_add) = sum(FLOPs e_mac): from coefficients and shapes alone. Raises CountError without
    layers of the same names.
    """
    given = coefficients or Coefficients()
    same = {row.name.removesuffix(".linear").removesuffix(".conv"): row for row in other}
    layers = [row for row in spiking if row.accumulate and row.in_papers_sum]
    names = [row.name.removesuffix(".linear").removesuffix(".conv") for row in layers]
    missing = [name for name in names if name not in same]
    if missing or not layers:
        raise CountError(f"break-even: layer {missing[:1] or 'fed by spikes'}: not in both; give networks of one shape")
    added = sum((row.flops * row.one_pj(pricing, given) for row in layers), Fraction())
    multiplied = sum((same[name].flops * same[name].one_pj(pricing, given) for name in names), Fraction())
    return multiplied / (timesteps * added)


def break_even_memory(
    network: IntNetwork,
    counts: Counts,
    twin: Twin,
    placement: memory_aware.TwinPlacement,
    packing: memory_aware.Packing,
    arithmetic: memory_aware.Arithmetic,
    coefficients: Coefficients | None = None,
) -> BreakEven:
    """Return the break-even of the event-driven, time-serial placement and an ANN; the time-parallel one has none.

    Time-parallel words move and add the same with spikes and without.
    """
    silent = Counts(counts.images, dict.fromkeys(counts.spikes, 0), dict.fromkeys(counts.additions, 0))
    read = read_network(network)
    without, now = (
        memory_aware.estimate(network, each, "time_serial", packing, coefficients, arithmetic).energy_pj
        for each in (silent, counts)
    )
    other = memory_aware.estimate_twin(twin, placement, packing, coefficients, arithmetic).energy_pj
    rate = firing_rate(read.neurons, counts, read.timesteps)
    return break_even(Fraction(without), Fraction(now), Fraction(other), rate)


def break_evens(
    network: IntNetwork, counts: Counts, twin: Twin, coefficients: Coefficients | None = None
) -> dict[str, Any]:
    """Return all of them against one ANN as a JSON object; rates are shares, null where SpikeCLIP never wins.

    Raises CountError for counts without images or spikes.
    """
    read = read_network(network)
    rate = firing_rate(read.neurons, counts, read.timesteps)
    spiking, other = spiking_operations(network, counts), twin_operations(twin)
    found = []
    for pricing in PRICINGS:
        row = {"estimate": "theory", "variant": pricing}
        found.append(row | _json(break_even_theory(spiking, other, rate, pricing, coefficients)))
        same = break_even_operation(spiking, other, read.timesteps, pricing, coefficients)
        found[-1]["rate_of_spiking_layers"] = float(same)
    for placement in TWIN_PLACEMENTS:
        for packing in PACKINGS:
            for arithmetic in ARITHMETICS:
                one = break_even_memory(network, counts, twin, placement, packing, arithmetic, coefficients)
                variant = f"time_serial against {placement}, {packing}, {arithmetic}"
                found.append({"estimate": "memory_aware", "variant": variant} | _json(one))
    return {"against": twin.kind, "firing_rate": float(rate), "rows": found}


def _json(found: BreakEven) -> dict[str, Any]:
    factor, rate = (None if value is None else float(value) for value in (found.factor, found.rate))
    return {"factor": factor, "rate": rate}
