"""What every node of a build is and takes: from Yosys' counts where they are, else from the resource model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .nodes import ActivityError

_STEP = "step_report"


@dataclass(frozen=True)
class NodeInfo:
    """A node: layer "" for what FINN inserted; ff None if only the simulation tells; memory -> block RAMs."""

    name: str
    layer: str
    op: str
    lut: int
    ff: int | None
    bram18: int
    dsp: int
    blocks: dict[str, int]


def node_infos(folder: Path, part: str) -> tuple[dict[str, NodeInfo], str]:
    """Return node -> info in the graph's order, and how the resources were found. Raises ActivityError."""
    import onnx
    from qonnx.custom_op.registry import getCustomOp

    from .. import finn_env
    from ..folding.costs import COUNTED, node_resources
    from ..passes.graph import layer_of

    path = folder / "intermediate_models" / f"{_STEP}.onnx"
    if not path.is_file():
        raise ActivityError(f"{path}: no such file; run `spikeclip build` to its end")
    finn_env.prepare(folder / "finn")
    graph = onnx.load(path).graph
    counted = _synthesised(folder)
    infos = {}
    for node in graph.node:
        inst = getCustomOp(node)
        used = counted.get(node.name)
        if counted and used is None:
            raise ActivityError(f"{node.name}: not in report/synthesis.json; build again with --fresh --synth")
        if used is None:
            used = dict(zip(COUNTED, map(round, node_resources(inst, part)), strict=True))
        op = node.op_type.removesuffix("_rtl")
        infos[node.name] = NodeInfo(
            node.name,
            layer_of(node),
            op,
            used["lut"],
            used.get("ff"),
            used["bram18"],
            used["dsp"],
            _blocks(inst, op, used["bram18"]),
        )
    kind = "Yosys, LUT pairs packed" if counted else "model; flip-flops are the simulation's register bits"
    return infos, kind


def _synthesised(folder: Path) -> dict[str, dict[str, int]]:
    path = folder / "report" / "synthesis.json"
    if not path.is_file():
        return {}
    try:
        nodes: dict[str, dict[str, int]] = json.loads(path.read_text())["nodes"]
    except (ValueError, KeyError, TypeError) as error:
        raise ActivityError(f"{path}: cannot be read ({error}); build again with --synth") from error
    return nodes


def _blocks(inst: Any, op: str, total: int) -> dict[str, int]:
    """Return memory -> block RAMs; attention has two banks of counts, of which one access takes one, and queries."""
    if op != "SpikeAttention":
        return {"all": total}
    from ..ops import memory

    sizes = inst.operator().parameters()
    depth, width = (sizes["TOKENS"] + 2) * sizes["DIM"] // sizes["PE"], sizes["PE"] * sizes["T"]  # of u_q_buffer
    queries = memory.block_ram(depth, width, written=True)[0] if memory.ram_style(depth, width) == "block" else 0
    return {"queries": min(queries, total), "counts": (total - min(queries, total)) // 2}
