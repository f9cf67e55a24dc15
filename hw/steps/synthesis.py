"""Yosys on every node of the accelerator; the top module holds nothing but wires, so their sum is the whole."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from .. import stock_resources
from ..finn_rtl import collect, has_weight_streamer, node_sources, weight_streamer
from ..job import Job
from ..netlist import Usage
from ..stitch import FIFO
from ..synth import synthesise as run_yosys


def synthesise(model: ModelWrapper, job: Job) -> ModelWrapper:
    """Write report/synthesis.json: what every node and the whole take; raises SynthesisError.

    Two nodes at a time; results are cached by content, so that a second run has only what changed to do.
    """
    begin = time.perf_counter()
    nodes = list(model.graph.node)
    workers = min(len(nodes), os.cpu_count() or 1)
    used: dict[str, Usage] = {}
    estimated = []
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(lambda node: _usage(node, job), nodes)
        for i, (node, (usage, measured)) in enumerate(zip(nodes, results, strict=True), 1):
            used[node.name] = usage
            estimated += [] if measured else [node.name]
            if i % 20 == 0 or i == len(nodes):
                job.say(f"  {i} of {len(nodes)} nodes, {time.perf_counter() - begin:.0f} s")
    total = Usage()
    for usage in used.values():
        total = total.plus(usage)
    job.write(
        "synthesis",
        {
            "kind": "Yosys after synthesis, node by node; no placement, no routing",
            "family": job.board.family,
            "total": asdict(total),
            "estimated_nodes": estimated,
            "estimated_lut": sum(used[name].lut for name in estimated),
            "nodes": {name: _short(usage) for name, usage in used.items()},
        },
    )
    job.say(
        f"  {total.lut:,} LUT (pairs packed; {total.lut_raw:,} raw), {total.ff:,} FF, {total.bram18} block RAM "
        f"(18 kb), {total.dsp} DSP; {sum(used[name].lut for name in estimated):,} LUT of them estimated "
        f"({len(estimated)} FIFOs of shift registers)"
    )
    return model


def _short(usage: Usage) -> dict[str, int]:
    return {name: value for name, value in asdict(usage).items() if name != "cells"}


def _usage(node: NodeProto, job: Job) -> tuple[Usage, bool]:
    """Return what a node takes and whether Yosys measured it.

    Yosys does not recognise the shift registers of a shallow FIFO and would take a register a bit.
    """
    inst: Any = getCustomOp(node)
    if node.op_type == FIFO and int(inst.get_nodeattr("depth")) <= stock_resources.SHIFT_DEPTH:
        fit = stock_resources.fifo(int(inst.get_nodeattr("depth")), int(inst.get_instream_width()))
        return Usage(lut=fit.lut, lut_raw=fit.lut, lut_memory=fit.lut, ff=fit.ff), False
    tops = [str(inst.get_nodeattr("gen_top_module"))]
    tops += [weight_streamer(inst)] if has_weight_streamer(inst) else []
    total = Usage()
    folder = job.out / "synthesis" / node.name
    made = collect({tops[0]: node_sources(inst)}, folder)
    for top in tops:
        netlist = run_yosys(
            *(top, _needed(made.sources, top, tops), {}, made.files),
            family=job.board.family,
            dsp=node.op_type == "MVAU_rtl",
            includes=made.includes,
        )
        total = total.plus(netlist.usage)
    return total, True


def _needed(sources: tuple[Path, ...], top: str, tops: list[str]) -> list[Path]:
    """Return the sources without the other tops."""
    return [path for path in sources if path.stem not in tops or path.stem == top]
