"""One result of theory and memory-aware estimates: as JSON, and as a table of text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from spikeclip_fpga.quantize.network import IntNetwork

from . import comparison, memory_aware, papers, theory
from .break_even import break_evens
from .coefficients import Coefficients
from .counters import Counts, FormulaError, formula_error, total
from .layers import Network, read_network
from .measured import NOT_MEASURED, Measured, NotMeasured
from .memory_aware import PACKINGS
from .subject import Subject
from .twins import KINDS, twin_of

FORMAT, SCHEMA = "spikeclip-fpga/energy-estimates", 1
KIND = "theory and estimates from counted spikes; nothing in this report was measured on hardware"
KIND_MEASURED = "theory and estimates from counted spikes; only what is called measured was measured on hardware"


def report(
    network: IntNetwork,
    classes: Mapping[str, Counts],
    data_set: str,
    coefficients: Coefficients | None = None,
    subject: Subject | None = None,
    measured: Measured | NotMeasured | None = None,
) -> dict[str, Any]:
    """Return the estimates of ``network`` for counted images as a JSON object; energies in nJ per image.

    classes: counts by class, as measure_classes returns them; their sum is the data set. subject: what it is of,
    null in the report if not given. measured: of read_measurement. Raises CountError without images.
    """
    given = coefficients or Coefficients()
    read, whole = read_network(network), total(list(classes.values()))
    first = theory.estimate(read, whole, given)
    repeated = theory.estimate(read, whole, given, first_layer_steps=read.timesteps)
    errors = [formula_error(layer, whole) for layer in read.layers if layer.spiking]
    memory = [
        _memory(memory_aware.estimate(network, whole, placement, packing, given))
        for placement in memory_aware.PLACEMENTS
        for packing in PACKINGS
    ]
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "kind": KIND_MEASURED if isinstance(measured, Measured) else KIND,
        "subject": None if subject is None else subject.to_json(),
        "data_set": data_set,
        "images": whole.images,
        "timesteps": read.timesteps,
        "theory": _theory(first)
        | {"reduction_summed_first_layer_each_step": float(repeated.summed), "layers": _layers(first)},
        "formula_error": _errors(errors, whole.images),
        "classes": {name: _theory(theory.estimate(read, counts, given)) for name, counts in classes.items()},
        "memory_aware": memory,
        "comparison": _comparison(network, whole, given, measured),
        "measured": measured.to_json() if isinstance(measured, Measured) else NOT_MEASURED,
        "papers": _papers(read, given),
        "coefficients": given.to_json(),
    }


def _nj(picojoules: Fraction | float) -> float:
    return float(picojoules) / 1000


def _theory(found: theory.Theory) -> dict[str, Any]:
    return {
        "images": found.images,
        "firing_rate": float(found.mean_rate),
        "sops": float(found.sops),
        "macs": float(found.macs),
        "energy_nj": _nj(found.energy_pj),
        "ann_energy_nj": _nj(found.ann_energy_pj),
        "reduction_closed_form": float(found.closed),
        "reduction_summed": float(found.summed),
        "difference_from_weighting": float(found.weighting),
        "difference_from_dense_layers": float(found.dense_layers),
    }


def _layers(found: theory.Theory) -> list[dict[str, Any]]:
    return [
        {
            "name": layer.name,
            "op": layer.op,
            "flops": layer.flops,
            "input_firing_rate": None if layer.rate is None else float(layer.rate),
            "operations": float(layer.operations),
            "energy_nj": _nj(layer.energy_pj),
            "ann_energy_nj": _nj(layer.ann_energy_pj),
        }
        for layer in found.layers
    ]


def _errors(errors: list[FormulaError], images: int) -> dict[str, Any]:
    formula = sum((e.formula for e in errors), Fraction())
    events = sum(e.events for e in errors)
    return {
        "sops_formula": float(formula / images),
        "sops_events": events / images,
        "relative": float((formula - events) / events) if events else 0.0,
        "layers": [
            {
                "name": e.name,
                "sops_formula": float(e.formula / images),
                "sops_events": e.events / images,
                "from_borders": float(e.borders / images),
                "from_positions": float(e.positions / images),
                "relative": e.relative,
            }
            for e in errors
        ],
    }


def _memory(found: memory_aware.MemoryAware) -> dict[str, Any]:
    return {
        "placement": found.placement,
        "packing": found.packing,
        "energy_nj": _nj(found.energy_pj),
        "parts_nj": {part: _nj(value) for part, value in found.parts.items()},
        "nodes": [
            {"name": n.name, "op": n.op, "energy_nj": _nj(n.energy_pj), **{p: _nj(v) for p, v in n.parts.items()}}
            for n in found.nodes
        ],
    }


def _comparison(
    network: IntNetwork, counts: Counts, given: Coefficients, measured: Measured | NotMeasured | None
) -> dict[str, Any]:
    """Return one row for SpikeCLIP and each ANN of its topology, and where they break even."""
    config, bits = json.loads(network.meta["config"]), json.loads(network.meta.get("bits", "{}"))
    rows = [comparison.four(comparison.spikeclip(network, counts, given), measured=measured)]
    rows += [comparison.four(comparison.ann(kind, config, bits, given)) for kind in KINDS]
    spikes = sum(counts.additions.values()) > 0
    return {
        "rows": [row.to_json() for row in rows],
        "text": comparison.table(rows),
        "break_even": [break_evens(network, counts, twin_of(kind, config, bits), given) for kind in KINDS if spikes],
    }


def _papers(read: Network, given: Coefficients) -> dict[str, Any]:
    rows = [papers.reproduce(column, given) for column in papers.TABLE]
    implied = papers.implied_flops(rows)
    this = sum(layer.flops for layer in read.layers if layer.op != "SpikeAttention")
    return {
        "table": [
            {
                "data_set": row.published.data_set,
                "firing_rate_percent": float(row.published.rate_percent),
                "published_energy_mj": float(row.published.energy_mj),
                "energy_by_shapes_mj": float(papers.energy_by_shapes_mj(row.published, given)),
                "published_reduction_percent": float(row.published.reduction_percent),
                "exact_percent": float(row.exact),
                "rounded_percent": float(row.rounded),
                "truncated_percent": float(row.truncated),
                "difference_points": float(row.difference),
                "explained_by_rounding": row.if_rounded,
                "explained_by_truncation": row.if_truncated,
                "implied_flops": [float(bound) for bound in row.flops],
            }
            for row in rows
        ],
        "implied_flops": None if implied is None else [float(bound) for bound in implied],
        "flops_of_their_network": papers.flops(papers.NETWORK),
        "flops_of_this_network": this,
    }
