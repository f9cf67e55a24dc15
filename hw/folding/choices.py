"""The legal foldings of a node, each with its cycles, resources and streams as the node itself tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto
from qonnx.custom_op.registry import getCustomOp

from ..ops.operator import ParameterError
from .costs import COUNTED, node_resources
from .errors import FoldingError

Array = np.ndarray

# What a node is folded by: attribute -> the attribute whose divisors it takes.
_DIVIDES: dict[str, dict[str, str]] = {
    "FMPadding_rtl": {"SIMD": "NumChannels"},
    "ConvolutionInputGenerator_rtl": {"SIMD": "IFMChannels"},
    "MVAU_rtl": {"PE": "MH", "SIMD": "MW"},
    "SpikeMVAU_rtl": {"PE": "MH", "SIMD": "MW"},
    "SpikeAttention_rtl": {"PE": "head_dim"},
    "SpikePool_rtl": {"PE": "NumChannels"},
    "LIF_rtl": {"PE": "NumChannels"},
    "Align_rtl": {"PE": "NumChannels"},
    "ResidualAdd_rtl": {"PE": "NumChannels"},
    "Fork_rtl": {"PE": "NumChannels"},
    "Readout_rtl": {"PE": "NumChannels"},
}
# Where a node with a ram_style is told to put its memory; "auto" would leave it to a rule that knows no board.
_MEMORIES = ("distributed", "block")
# The attributes that fold a node, in the order they are shown.
FOLDING = ("PE", "SIMD", "ram_style")


@dataclass(frozen=True, eq=False)
class Choices:
    """All foldings of a node, row by row.

    attributes: values by FOLDING's names, those the node has. cycles (n,): of a frame, by get_exp_cycles.
    resources (n, len(COUNTED)). inputs, outputs (n, streams): elements in a beat. bits_in, bits_out: of an
    element of each stream.
    """

    attributes: tuple[dict[str, int | str], ...]
    cycles: Array
    resources: Array
    inputs: Array
    outputs: Array
    bits_in: tuple[int, ...]
    bits_out: tuple[int, ...]

    def only(self, rows: Array) -> Choices:
        """Return the choices in ``rows`` (indices or a mask)."""
        at = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Choices(
            tuple(self.attributes[i] for i in at),
            self.cycles[at],
            self.resources[at],
            self.inputs[at],
            self.outputs[at],
            self.bits_in,
            self.bits_out,
        )


def divisors(number: int) -> list[int]:
    """Return the divisors of ``number`` in order."""
    return [n for n in range(1, number + 1) if number % n == 0]


def limits(node: Any) -> dict[str, tuple[str, int]]:
    """Return folding attribute -> (name, value) of what it must divide. Raises FoldingError for a foreign node."""
    raw = node.onnx_node
    if raw.op_type not in _DIVIDES:
        raise FoldingError(
            f"{raw.name}: no folding is known for {raw.op_type}; expected a graph specialised to RTL, nodes "
            f"{', '.join(sorted(_DIVIDES))}"
        )
    return {attribute: (name, _value(node, name)) for attribute, name in _DIVIDES[raw.op_type].items()}


def memories(node: Any) -> tuple[str, ...]:
    """Return the memory styles a node can be told, none if it cannot."""
    return _MEMORIES if "ram_style" in node.get_nodeattr_types() else ()


def refused(node: Any, attribute: str, value: int) -> str:
    """Return why ``value`` is no legal PE or SIMD of a node, empty if it is one."""
    name, whole = limits(node)[attribute]
    raw = node.onnx_node
    allowed = [n for n in divisors(whole) if not _overflows(raw.op_type, attribute, n, whole)]
    if value in allowed:
        return ""
    among = ", ".join(map(str, allowed))
    if _overflows(raw.op_type, attribute, value, whole):
        return (
            f"{raw.name}: {attribute} {value} is all of {name}, with which FINN's MVAU loses results when its "
            f"output waits; choose among {among}"
        )
    return f"{raw.name}: {attribute} {value} does not divide {name} {whole}; choose among {among}"


def choices(model: Any, node: NodeProto, part: str, known: dict[bytes, Choices]) -> Choices:
    """Return the foldings of ``node`` for ``part``; ``known`` keeps those of nodes of one kind and size."""
    key = _key(node)
    if key not in known:
        known[key] = _enumerate(model, node, part)
    return known[key]


def streams_of(model: Any, node: NodeProto) -> list[int]:
    """Return which inputs of ``node`` are streams, by index."""
    return [i for i, name in enumerate(node.input) if model.get_initializer(name) is None]


def _enumerate(model: Any, node: NodeProto, part: str) -> Choices:
    trial = NodeProto()
    trial.CopyFrom(node)
    inst = getCustomOp(trial)
    found = limits(inst)
    streams = streams_of(model, node)
    rows: list[tuple[dict[str, int | str], int, list[float], list[int], list[int]]] = []
    grid: list[dict[str, int | str]] = [{}]
    for attribute, (_, whole) in found.items():
        legal = [n for n in divisors(whole) if not _overflows(node.op_type, attribute, n, whole)]
        grid = [{**point, attribute: n} for point in grid for n in legal]
    for style in memories(inst)[:1]:
        grid = [{**point, "ram_style": style} for point in grid]
    for point in grid:
        _set(inst, point)
        try:
            cycles = int(inst.get_exp_cycles())
            inputs = [int(inst.get_folded_input_shape(i)[-1]) for i in streams]
            outputs = [int(inst.get_folded_output_shape(i)[-1]) for i in range(len(node.output))]
            rows.append((point, cycles, node_resources(inst, part), inputs, outputs))
            for style in memories(inst)[1:]:
                _set(inst, {"ram_style": style})
                rows.append(({**point, "ram_style": style}, cycles, node_resources(inst, part), inputs, outputs))
        except ParameterError:
            # Wider than the operator goes.
            continue
    if not rows:
        raise FoldingError(f"{node.name}: {node.op_type} takes none of the foldings {grid[0]} to {grid[-1]}")
    attributes, cycles_, resources, inputs_, outputs_ = zip(*rows, strict=True)
    return Choices(
        attributes,
        np.array(cycles_, np.int64),
        np.array(resources, np.float64).reshape(-1, len(COUNTED)),
        np.array(inputs_, np.int64).reshape(len(rows), -1),
        np.array(outputs_, np.int64).reshape(len(rows), -1),
        tuple(int(inst.get_input_datatype(i).bitwidth()) for i in streams),
        tuple(int(inst.get_output_datatype(i).bitwidth()) for i in range(len(node.output))),
    )


def _set(inst: Any, values: dict[str, int | str]) -> None:
    for name, value in values.items():
        inst.set_nodeattr(name, value)


def _value(node: Any, name: str) -> int:
    if name == "head_dim":
        return int(node.get_nodeattr("NumChannels") // node.get_nodeattr("heads"))
    return int(node.get_nodeattr(name))


def _overflows(op_type: str, attribute: str, value: int, whole: int) -> bool:
    # A whole vector in a beat: FINN's MVAU_rtl then overflows its output queue under long back-pressure.
    return op_type == "MVAU_rtl" and attribute == "SIMD" and value == whole


def _key(node: NodeProto) -> bytes:
    plain = NodeProto(op_type=node.op_type, domain=node.domain)
    attributes = [a for a in node.attribute if a.name not in FOLDING]
    plain.attribute.extend(sorted(attributes, key=lambda a: a.name))
    plain.input.extend("" for _ in node.input)
    plain.output.extend("" for _ in node.output)
    return bytes(plain.SerializeToString(deterministic=True))
