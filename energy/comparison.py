"""One row for each network: theory, memory-aware estimate, estimate of this hardware, and measurement, in nJ per image.

    rows = [four(spikeclip(network, counts), fabric, measured), four(ann("qnn3", config, bits)), ...]
    print(table(rows))

The four are of different kinds and not interchangeable; each says its kind, its variant and what it leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from spikeclip_fpga.quantize.network import IntNetwork

from . import baselines, memory_aware
from .coefficients import Coefficients
from .counters import CountError, Counts
from .measured import Measured, NotMeasured
from .memory_aware import ARITHMETICS, PACKINGS
from .twins import TwinKind, twin_of

NetworkKind = Literal["spikeclip", "scratchclip", "qnn3"]
NAMES: dict[NetworkKind, str] = {
    "spikeclip": "SpikeCLIP",
    "scratchclip": "ScratchCLIP (float32 ANN)",
    "qnn3": "3-bit quantised ANN",
}
NOT_ESTIMATED, NOT_MEASURED = "not estimated", "not measured"
KINDS = {
    "theory": "theory, the papers' operations at the papers' float32 prices; memory costs nothing",
    "theory_width": "theory, the same operations at integer prices of their widths; memory costs nothing",
    "memory_aware": "memory-aware estimate: operations and accesses to 45 nm SRAM",
    "fabric": "activity-based estimate of this hardware's dynamic energy, from simulation",
    "measured": "measurement of a board, dynamic energy: what working adds to its configured idle",
}
# What a row shows of the memory-aware estimates: the same hardware structure for all, operands of their own widths.
_SHOWN = {"spikeclip": "time_parallel, packed, width", "ann": "dataflow, packed, width"}


@dataclass(frozen=True)
class Energy:
    """One figure. value_nj None: there is none, and the note says why. low_nj, high_nj: its interval, or None."""

    kind: str
    variant: str
    value_nj: float | None
    low_nj: float | None
    high_nj: float | None
    note: str


@dataclass(frozen=True)
class Estimates:
    """What shapes and counts give of one network, nJ per image.

    theory, attention: by pricing (baselines.PRICINGS), the papers' sum and what it leaves out. memory_aware: by
    "placement, packing, arithmetic"; parts: the same by part (memory_aware.PARTS).
    """

    network: NetworkKind
    theory: Mapping[str, float]
    attention: Mapping[str, float]
    memory_aware: Mapping[str, float]
    parts: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Row:
    """The energies of one network in nJ: ``variants`` all memory-aware estimates, ``parts`` of what they are sums.

    ``theories`` are all theories.
    """

    network: NetworkKind
    name: str
    theory: Energy
    theory_width: Energy
    memory_aware: Energy
    fabric: Energy
    measured: Energy
    variants: dict[str, float]
    parts: dict[str, dict[str, float]]
    theories: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def spikeclip(network: IntNetwork, counts: Counts, coefficients: Coefficients | None = None) -> Estimates:
    """Return SpikeCLIP's estimates for an average counted image. Raises CountError without images."""
    variants = {
        f"{placement}, {packing}, {arithmetic}": memory_aware.estimate(
            network, counts, placement, packing, coefficients, arithmetic
        )
        for placement in ("time_serial", "time_parallel")
        for packing in PACKINGS
        for arithmetic in ARITHMETICS
    }
    return _estimates("spikeclip", baselines.spiking_operations(network, counts), variants, coefficients)


def ann(
    kind: TwinKind,
    config: Mapping[str, Any],
    bits: Mapping[str, Any] | None = None,
    coefficients: Coefficients | None = None,
) -> Estimates:
    """Return an ANN's estimates from a ModelConfig's JSON object and a table of bit widths (twins.twin_of)."""
    twin = twin_of(kind, config, bits)
    variants = {
        f"{placement}, {packing}, {arithmetic}": memory_aware.estimate_twin(
            twin, placement, packing, coefficients, arithmetic
        )
        for placement in memory_aware.TWIN_PLACEMENTS
        for packing in PACKINGS
        for arithmetic in ARITHMETICS
    }
    return _estimates(kind, baselines.twin_operations(twin), variants, coefficients)


def four(
    estimates: Estimates,
    fabric: Mapping[str, Any] | None = None,
    measured: Measured | NotMeasured | None = None,
    memory_variant: str | None = None,
    network_sha256: str | None = None,
) -> Row:
    """Return the row of a network.

    fabric: energy.fabric's estimate as JSON, None where there is none; network_sha256: of the network it must be of.
    memory_variant: the memory-aware estimate to show, by default that of hardware built alike.
    Raises CountError for an unknown variant, and for a fabric estimate that is none or of another network.
    """
    kind = estimates.network
    shown = memory_variant or _SHOWN["spikeclip" if kind == "spikeclip" else "ann"]
    if shown not in estimates.memory_aware:
        raise CountError(f"memory-aware: expected one of {'; '.join(estimates.memory_aware)}, got {shown!r}")
    low, high = min(estimates.memory_aware.values()), max(estimates.memory_aware.values())
    return Row(
        kind,
        NAMES[kind],
        _theory(estimates, "theory", "float32"),
        _theory(estimates, "theory_width", "width"),
        Energy(
            *(KINDS["memory_aware"], shown, estimates.memory_aware[shown], None, None),
            note=f"no interval: other placements, packings and arithmetic give {low:,.0f} to {high:,.0f} nJ",
        ),
        _fabric(fabric, network_sha256),
        _measured(measured),
        dict(estimates.memory_aware),
        {variant: dict(parts) for variant, parts in estimates.parts.items()},
        dict(estimates.theory),
    )


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text: microjoules an image, then what each column is."""
    columns = ("theory", "theory_width", "memory_aware", "fabric", "measured")
    heads = ("theory", "theory, widths", "memory-aware", "this hardware", "measured")
    width, wide = max(len(row.name) for row in rows), 26
    lines = [f"{'uJ an image':{width}}" + "".join(f"{head:>{wide}}" for head in heads)]
    for row in rows:
        cells = [_cell(getattr(row, column), column) for column in columns]
        lines.append(f"{row.name:{width}}" + "".join(f"{cell:>{wide}}" for cell in cells))
    lines += [f"[{head}] {KINDS[column]}" for head, column in zip(heads, columns, strict=True)]
    lines += [f"{row.name}: memory-aware {row.memory_aware.variant}; {row.memory_aware.note}" for row in rows]
    return "\n".join(lines)


def _cell(energy: Energy, column: str) -> str:
    if energy.value_nj is None:
        return NOT_MEASURED if column == "measured" else NOT_ESTIMATED
    text = f"{energy.value_nj / 1000:,.3f}"
    if energy.low_nj is None or energy.high_nj is None:
        return text
    return f"{text} [{energy.low_nj / 1000:,.3g}, {energy.high_nj / 1000:,.3g}]"


def _estimates(
    kind: NetworkKind,
    operations: Sequence[baselines.Operations],
    variants: Mapping[str, memory_aware.MemoryAware],
    coefficients: Coefficients | None,
) -> Estimates:
    priced = {pricing: baselines.energy_pj(operations, pricing, coefficients) for pricing in baselines.PRICINGS}
    summed, attention = ({str(name): _nj(float(pj[part])) for name, pj in priced.items()} for part in (0, 1))
    totals = {variant: _nj(found.energy_pj) for variant, found in variants.items()}
    parts = {variant: {part: _nj(pj) for part, pj in found.parts.items()} for variant, found in variants.items()}
    return Estimates(kind, summed, attention, totals, parts)


def _theory(estimates: Estimates, column: str, pricing: str) -> Energy:
    note = f"attention, which the papers' sum leaves out, would add {estimates.attention[pricing]:,.1f} nJ"
    return Energy(KINDS[column], pricing, estimates.theory[pricing], None, None, note)


def _fabric(found: Mapping[str, Any] | None, network_sha256: str | None) -> Energy:
    if found is None:
        return Energy(KINDS["fabric"], NOT_ESTIMATED, None, None, None, "no activity of this network was simulated")
    try:
        value, low, high = (float(found["dynamic_nj"][key]) for key in ("value", "low", "high"))
        of, clk_mhz, static = found["subject"]["network_sha256"], float(found["clk_mhz"]), found["static_nj"]["value"]
        board, images = found["subject"]["board"], len(found["stimulus"]["images"])
        note = (
            f"{board}, activity of {images} images; static power would add {float(static):,.0f} nJ at {clk_mhz:g} MHz"
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CountError(
            f"fabric estimate: expected energy.fabric's to_json(), got {found!s:.80} ({type(error).__name__}: {error})"
        ) from error
    if network_sha256 is not None and of != network_sha256:
        raise CountError(
            f"fabric estimate: subject: network_sha256: expected {network_sha256}, got {of}; simulate this network"
        )
    if not 0 <= low <= value <= high < float("inf"):
        raise CountError(f"fabric estimate: expected 0 <= low <= value <= high nJ, got {low:g}, {value:g}, {high:g}")
    return Energy(KINDS["fabric"], "dynamic", value, low, high, note)


def _measured(found: Measured | NotMeasured | None) -> Energy:
    if not isinstance(found, Measured):
        why = "no accelerator of this network was measured" if found is None else found.reason
        return Energy(KINDS["measured"], NOT_MEASURED, None, None, None, why)
    part, total = found.dynamic, found.total
    notes = [
        f"total {total.value_nj:,.0f} nJ [{total.low_nj:,.0f}, {total.high_nj:,.0f}]",
        f"at {found.boundary}, by {found.sensor} at {found.rate_hz:.4g} Hz",
        f"configured idle {found.configured_idle_w:.4g} W, active {found.active_w:.4g} W",
        f"{found.images_per_second:.4g} images/s, the first {found.batch} images over and over",
        *found.notes,
    ]
    return Energy(KINDS["measured"], "dynamic", part.value_nj, part.low_nj, part.high_nj, "; ".join(notes))


def _nj(picojoules: float) -> float:
    return float(picojoules) / 1000
