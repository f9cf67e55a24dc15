"""One table of the accelerator: per layer its work, folding, cycles, resources, FIFO and firing rate."""

from __future__ import annotations

import hashlib
from typing import Any

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from ..fifos import bottleneck
from ..folding.costs import COUNTED, node_resources
from ..job import Job
from ..passes.graph import layer_of
from ..stitch import FIFO
from .bitstream import vivado
from .shell import folder, script

_COLUMNS = ("layer", "op", "operations", "PE", "SIMD", "cycles", *COUNTED, "fifo_depth", "firing_rate")


def report(model: ModelWrapper, job: Job) -> ModelWrapper:
    """Write report/build.json and report/build.txt."""
    synthesised = job.read("synthesis")["nodes"] if job.simulate and job.synthesise else {}
    rows = [_row(model, node, job, synthesised.get(node.name)) for node in model.graph.node if node.op_type != FIFO]
    rows += _between(model, job, synthesised)
    total = _sum(rows)
    part = {name: count for name, count in job.board.totals.items() if count}
    graph, folding = job.read("hardware_graph"), job.read("folding_explained")
    content: dict[str, Any] = {
        "network": job.name,
        "network_sha256": hashlib.sha256(job.source.with_suffix(".safetensors").read_bytes()).hexdigest(),
        "board": job.board.name,
        "part": job.board.part,
        "clk_mhz": job.clk_mhz,
        "mismatches": dict(graph["mismatches"]),
        "frames_per_second": folding["frames_per_second"],
        "bottleneck": {"cycles": bottleneck(model), **folding},
        "resources": {
            "kind": "Yosys, LUT pairs packed" if synthesised else "model",
            "total": total,
            "part": part,
            "percent": {name: round(100 * total[name] / count, 1) for name, count in part.items()},
        },
        "layers": rows,
        "next": next_step(job),
    }
    if job.simulate:
        rtl = job.read("rtl")
        content["mismatches"] |= rtl["mismatches"]
        content["rtl"] = {k: rtl[k] for k in ("cycles_per_frame", "latency_cycles", "model_cycles_per_frame", "images")}
        content["frames_per_second"] = rtl["frames_per_second"]
    job.write("build", content)
    (job.reports / "build.txt").write_text(table(content))
    return model


def _between(model: ModelWrapper, job: Job, synthesised: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of what stands between the layers: FIFOs, and converters that are not in the graph yet."""
    if not job.simulate:
        folding = job.read("folding_explained")
        converters = folding["width_converters"]
        return [
            {
                "layer": f"{converters['count']} width converters",
                "op": "StreamingDataWidthConverter",
                **_sum([converters]),
            },
            {"layer": "FIFOs, estimated", "op": "StreamingFIFO", **_sum([folding["fifos"]])},
        ]
    fifos = [_resources(node, job, synthesised.get(node.name)) for node in model.graph.node if node.op_type == FIFO]
    return [{"layer": f"{len(fifos)} FIFOs", "op": "StreamingFIFO", **_sum(fifos)}]


def next_step(job: Job) -> str:
    """Return in one line what comes after RTL, simulation and reports."""
    if not job.simulate:
        return "leave out --estimate-only to make the RTL and prove it in simulation"
    if not job.has_own_shell:
        return (
            f"an image for {job.board.name} needs Vivado and Vitis (shell {job.board.shell}): repeat this command "
            "where they are, and the build goes on with FINN's step_create_stitched_ip, step_prepare_synthesis and "
            "step_synthesize_bitfile; not tried by this project"
        )
    if vivado():
        return f"Vivado makes {folder(job) / 'accelerator.bit'} from {script(job)}"
    return (
        f"a bitstream needs Vivado, which is not on this machine; where it is, with {job.out} copied there (this "
        f"project has not tried the script in Vivado yet): vivado -mode batch -source {script(job)}"
    )


def _row(model: ModelWrapper, node: NodeProto, job: Job, used: dict[str, int] | None) -> dict[str, Any]:
    op = getCustomOp(node)
    attributes = op.get_nodeattr_types()
    counts = op.get_op_and_param_counts()
    depths = [
        int(getCustomOp(reader).get_nodeattr("depth"))
        for name in node.output
        for reader in model.find_consumers(name)
        if reader.op_type == FIFO
    ]
    layer = layer_of(node)
    return {
        "layer": layer or node.name,
        "op": node.op_type.removesuffix("_rtl"),
        "operations": sum(n for name, n in counts.items() if name.startswith("op_")),
        "PE": op.get_nodeattr("PE") if "PE" in attributes else None,
        "SIMD": op.get_nodeattr("SIMD") if "SIMD" in attributes else None,
        "cycles": int(op.get_exp_cycles()),
        **_resources(node, job, used),
        "fifo_depth": max(depths, default=None),
        "firing_rate": job.firing_rates.get(layer),
    }


def _resources(node: NodeProto, job: Job, used: dict[str, int] | None) -> dict[str, int]:
    if used is not None:
        return {name: used[name] for name in COUNTED}
    return dict(zip(COUNTED, map(round, node_resources(getCustomOp(node), job.board.part)), strict=True))


def _sum(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {name: sum(int(row.get(name) or 0) for row in rows) for name in COUNTED}


def table(content: dict[str, Any]) -> str:
    """Return the report as the table a person reads."""

    def cell(row: dict[str, Any], name: str) -> str:
        value = row.get(name)
        if value is None:
            return ""
        return (
            f"{100 * value:.1f} %" if name == "firing_rate" else f"{value:,}" if isinstance(value, int) else str(value)
        )

    lines = [_COLUMNS, *(tuple(cell(row, name) for name in _COLUMNS) for row in content["layers"])]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    text = [
        "  ".join(
            v.ljust(w) if i < 2 else v.rjust(w) for i, (v, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    text.insert(1, "  ".join("-" * w for w in widths))
    resources = content["resources"]
    for name, share in resources["percent"].items():
        text.append(
            f"{name}: {resources['total'][name]:,} of {resources['part'][name]:,} ({share} %), {resources['kind']}"
        )
    rate = f"{content['frames_per_second']:,.0f} frames/s at {content['clk_mhz']:g} MHz"
    if "rtl" in content:
        rtl = content["rtl"]
        text.append(
            f"{rtl['cycles_per_frame']:,} cycles a frame (model {rtl['model_cycles_per_frame']:,}), latency "
            f"{rtl['latency_cycles']:,} cycles: {rate}, simulated"
        )
    else:
        text.append(f"{content['bottleneck']['cycles']:,} cycles a frame: {rate}, by the nodes' own counts")
    text.append(f"next: {content['next']}")
    return "\n".join(text) + "\n"
