"""The papers' table of energy, reproduced from their firing rates, and what its millijoules imply.

Published numbers have two decimals; what they stand for is an interval. All arithmetic is rational.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .coefficients import Coefficients
from .layers import layers_of_config
from .theory import closed_form, uniform

TIMESTEPS = 4
DIGIT = Fraction(1, 100)
# The papers' image encoder, Spikingformer-4-384, as a ModelConfig's fields that give shapes.
NETWORK: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 3,
    "conv_channels": (48, 96, 192, 384, 384),
    "pool_after": (0, 0, 1, 1, 0),
    "pool_kernel": 3,
    "depth": 4,
    "heads": 12,
    "mlp_ratio": 4,
    "embed_dim": 512,
}


@dataclass(frozen=True)
class Published:
    """One column of the table: SpikeCLIP (2025) table 7, ICLR 2024 submission table 5. Percent and mJ."""

    data_set: str
    rate_percent: Fraction
    energy_mj: Fraction
    reduction_percent: Fraction


TABLE = tuple(
    Published(name, Fraction(rate), Fraction(energy), Fraction(reduction))
    for name, rate, energy, reduction in (
        ("CIFAR10", "27.26", "3.17", "78.66"),
        ("CIFAR100", "28.98", "3.37", "77.31"),
        ("Flowers102", "29.30", "3.41", "77.06"),
        ("Caltech101", "27.97", "3.25", "78.10"),
        ("OxfordIIITPet", "27.93", "3.25", "78.13"),
        ("STL10", "27.56", "3.21", "78.42"),
    )
)


@dataclass(frozen=True)
class Reproduced:
    """A column recomputed by (F.5). Percent and percentage points.

    rounded, truncated: ``exact`` cut to the published two decimals.  if_rounded, if_truncated: whether some
    firing rate that rounds to the published one gives the published reduction, when that was cut so.
    flops: bounds of the multiply-accumulates per step that the published energy implies, (F.1) with (F.3).
    """

    published: Published
    exact: Fraction
    rounded: Fraction
    truncated: Fraction
    if_rounded: bool
    if_truncated: bool
    flops: tuple[Fraction, Fraction]

    @property
    def difference(self) -> Fraction:
        """Recomputed less published, both of two decimals, in percentage points."""
        return self.rounded - self.published.reduction_percent


def reproduce(published: Published, coefficients: Coefficients | None = None) -> Reproduced:
    """Return what (F.5), (F.1) and (F.3) make of a published firing rate and energy."""
    given = coefficients or Coefficients()
    half, shown = DIGIT / 2, published.reduction_percent
    rates = [(published.rate_percent + offset) / 100 for offset in (-half, half)]
    exact = 100 * closed_form(published.rate_percent / 100, TIMESTEPS, given)
    high, low = (100 * closed_form(rate, TIMESTEPS, given) for rate in rates)
    per_flop_mj = [given.e_ac.exact * TIMESTEPS * rate / 10**9 for rate in rates]
    return Reproduced(
        published=published,
        exact=exact,
        rounded=(exact + half) // DIGIT * DIGIT,
        truncated=exact // DIGIT * DIGIT,
        if_rounded=low < shown + half and high >= shown - half,
        if_truncated=low < shown + DIGIT and high >= shown,
        flops=((published.energy_mj - half) / per_flop_mj[1], (published.energy_mj + half) / per_flop_mj[0]),
    )


def energy_by_shapes_mj(published: Published, coefficients: Coefficients | None = None) -> Fraction:
    """Return, in mJ, what the papers' equations give for their network's own shapes at a published firing rate."""
    found = uniform(layers_of_config(NETWORK), published.rate_percent / 100, TIMESTEPS, coefficients)
    return found.energy_pj / 10**9


def implied_flops(table: Sequence[Reproduced]) -> tuple[Fraction, Fraction] | None:
    """Return bounds of the one operation count that explains every column's energy, None if there is none."""
    low, high = max(row.flops[0] for row in table), min(row.flops[1] for row in table)
    return (low, high) if low <= high else None


def flops(config: dict[str, Any]) -> dict[str, int]:
    """Return multiply-accumulates of one step of a configuration, by kind; ``papers`` is the sum (F.4) covers."""
    layers = layers_of_config(config)
    kinds = {
        "first convolution": ("Conv",),
        "spiking layers": ("SpikeConv", "SpikeLinear"),
        "projection": ("Readout",),
        "attention": ("SpikeAttention",),
    }
    found = {kind: sum(layer.flops for layer in layers if layer.op in ops) for kind, ops in kinds.items()}
    return found | {"papers": sum(found.values()) - found["attention"]}
