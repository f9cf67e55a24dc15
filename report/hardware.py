"""The accelerator: cycles and resources by node and stage, and what limits its rate."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spikeclip_fpga.hw.boards import ZYNQ, BoardError, find
from spikeclip_fpga.hw.shell.hwh import DMA_PARAMETERS
from spikeclip_fpga.quantize.network import IntNetwork
from spikeclip_fpga.quantize.ranges import signed_bits

from .schema import ReportError, read_json
from .subject import Subject

RESOURCES = ("lut", "bram18", "dsp")
MATRIX = ("MVAU", "SpikeMVAU")
_PIXEL_BITS = 8
_STREAMS = {"StreamingFIFO": "FIFOs between layers"}
_REMEDY = "make it with `spikeclip build`"


def read_build(path: Path, subject: Subject) -> dict[str, Any]:
    """Return the section from ``path``, a build.json; raise ReportError if it is of another network."""
    build = read_json(path, "", _REMEDY)
    try:
        return _section(build, path, subject)
    except (KeyError, TypeError) as error:
        raise ReportError(f"{path}: not a build.json of this version ({error!r}); {_REMEDY}") from error


def _section(build: dict[str, Any], path: Path, subject: Subject) -> dict[str, Any]:
    if build["network_sha256"] != subject.digest:
        given = f"{subject.preset}.int.safetensors is {subject.digest[:12]}"
        raise ReportError(
            f"{path}: of network {build['network_sha256'][:12]}, but {given}; build it again with --fresh"
        )
    rtl = build.get("rtl")
    proof = path.with_name("hardware_graph.json")
    graph = read_json(proof, "", _REMEDY)["images"] if proof.is_file() else None
    cycles = rtl["cycles_per_frame"] if rtl else build["bottleneck"]["cycles"]
    rows, fps = build["layers"], float(build["frames_per_second"])
    return {
        "source": path.as_posix(),
        **{name: build[name] for name in ("network", "network_sha256", "board", "part", "clk_mhz", "mismatches")},
        "frames_per_second": fps,
        "cycles_per_frame": cycles,
        "cycles_by_nodes": build["bottleneck"]["cycles"],
        "latency_cycles": rtl["latency_cycles"] if rtl else None,
        "latency_ms": rtl["latency_cycles"] / build["clk_mhz"] / 1000 if rtl else None,
        "timing_kind": "simulated" if rtl else "estimate",
        "rtl_images": rtl["images"] if rtl else None,
        # The same images as the RTL's: a build proves both with one set.
        "hw_images": graph if graph is not None else (rtl["images"] if rtl else None),
        "why": build["bottleneck"]["why"],
        "faster": build["bottleneck"].get("faster"),
        "next": build["next"],
        "resources": {
            "kind": "estimate",
            "how": build["resources"]["kind"],
            **{name: build["resources"][name] for name in ("total", "part", "percent")},
        },
        "stages": stages(rows),
        "nodes": [_node(row, cycles) for row in rows],
        "limits": limits(rows, build, subject.network),
        "roofline": roofline(rows, fps, build["clk_mhz"], subject.network),
    }


def _node(row: dict[str, Any], cycles: int) -> dict[str, Any]:
    names = ("layer", "op", "operations", "PE", "SIMD", "cycles", *RESOURCES, "fifo_depth")
    taken = row.get("cycles") or 0
    return {**{name: row.get(name) for name in names}, "busy": taken / cycles if taken else None}


def stage(layer: str) -> str:
    """Return the part of the network a node belongs to: blocks.0.attention.q.linear -> blocks.0.attention."""
    parts = layer.split(".")
    if parts[0] == "blocks":
        return ".".join(parts[:3]) if len(parts) > 2 and parts[2] in ("attention", "mlp") else "residual stream"
    if parts[0] == "tokenizer":
        return ".".join(parts[:2])
    return "residual stream" if parts[0] == "Tokens" else parts[0]


def stages(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return resources by stage, in the network's order; a width converter counts to the node it feeds."""
    found: dict[str, dict[str, int]] = {}
    waiting: list[dict[str, Any]] = []
    for row in rows:
        if row["op"] == "StreamingDataWidthConverter":
            waiting.append(row)
            continue
        name = _STREAMS.get(row["op"]) or stage(row["layer"])
        for one in (*waiting, row):
            sums = found.setdefault(name, dict.fromkeys((*RESOURCES, "nodes"), 0))
            for resource in RESOURCES:
                sums[resource] += int(one.get(resource) or 0)
            sums["nodes"] += 1
        waiting = []
    for one in waiting:
        sums = found.setdefault("width converters", dict.fromkeys((*RESOURCES, "nodes"), 0))
        for resource in RESOURCES:
            sums[resource] += int(one.get(resource) or 0)
        sums["nodes"] += 1
    return [{"stage": name, **sums} for name, sums in found.items()]


def limits(rows: list[dict[str, Any]], build: dict[str, Any], net: IntNetwork) -> list[dict[str, Any]]:
    """Return what could limit the rate, each with the frames per second it allows, lowest first."""
    clk = build["clk_mhz"] * 1e6
    found = []
    for row in rows:
        if row.get("cycles") and row["op"] in (*MATRIX, "SpikeAttention"):
            how = f"{row['layer']}: {row['cycles']:,} cycles a frame"
            found.append({"name": row["layer"], "how": how, "frames_per_second": clk / row["cycles"], "where": "node"})
    others = [row for row in rows if row.get("cycles") and row["op"] not in (*MATRIX, "SpikeAttention")]
    if others:
        slow = max(others, key=lambda row: int(row["cycles"]))
        how = f"{slow['layer']}: {slow['cycles']:,} cycles, most of the nodes without multiplications or sums"
        found.append({"name": slow["layer"], "how": how, "frames_per_second": clk / slow["cycles"], "where": "node"})
    for name, how, bits, width in _streams(rows, build, net):
        rate = clk * width / bits
        found.append({"name": name, "how": how, "frames_per_second": rate, "where": "stream"})
    return sorted(found, key=lambda limit: float(limit["frames_per_second"]))


def _streams(rows: list[dict[str, Any]], build: dict[str, Any], net: IntNetwork) -> Iterable[tuple[str, str, int, int]]:
    """Yield name, explanation, bits of a frame and bits a clock of what enters and leaves the accelerator."""
    image, embedding = image_bits(net), 32 * net.embed_dim
    beat = _PIXEL_BITS * int(rows[0].get("SIMD") or 1)
    yield "input stream", f"image, {image:,} bits, {beat} a clock into the first node", image, beat
    try:
        if find(build["board"]).shell != ZYNQ:
            return
    except BoardError:
        return
    read, write = (int(DMA_PARAMETERS[f"c_m_axi_{way}_data_width"]) for way in ("mm2s", "s2mm"))
    yield "DMA, reading", f"image, {image:,} bits, {read} a clock on AXI, bursts without gaps", image, read
    yield (
        "DMA, writing",
        f"embedding, {embedding:,} bits, {write} a clock on AXI, bursts without gaps",
        embedding,
        write,
    )


def image_bits(net: IntNetwork) -> int:
    """Return the bits of one image."""
    config = json.loads(net.meta["config"])
    return _PIXEL_BITS * int(config["in_channels"]) * int(config["image_size"]) ** 2


def roofline(rows: list[dict[str, Any]], fps: float, clk_mhz: float, net: IntNetwork) -> dict[str, Any]:
    """Return operations a second against operations a bit, by matrix node and for the whole accelerator.

    An operation is one weight added, or multiplied and added, for one step, spike or not. Bits of a node: those of
    its input, each once, and of its weights, each as often as it is read on the chip. Bits of the whole: the image's.
    """
    steps = int(json.loads(net.meta["config"])["timesteps"])
    constants = {node.name: [net.constants[i] for i in node.inputs if i in net.constants] for node in net.nodes}
    weights = {name: matrix for name, held in constants.items() for matrix in held if matrix.ndim > 1}
    points = []
    for row in rows:
        if row["op"] not in MATRIX:
            continue
        weight = _weight(row["layer"], weights)
        if weight is None:
            continue
        at_once = steps if row["op"] == "SpikeMVAU" else 1
        outputs, taps = weight.shape[0], weight[0].size
        width = signed_bits(int(weight.min()), int(weight.max()))
        positions = row["operations"] // (outputs * taps * at_once)
        in_bits = positions * taps * (steps if row["op"] == "SpikeMVAU" else _PIXEL_BITS)
        weight_bits = row["PE"] * row["SIMD"] * width * row["cycles"]
        per_cycle = row["PE"] * row["SIMD"] * at_once
        points.append(
            {
                **{"layer": row["layer"], "operations": row["operations"], "operations_per_cycle": per_cycle},
                **{"weight_bits": width, "input_bits_per_frame": in_bits, "weight_bits_per_frame": weight_bits},
                "operations_per_bit": row["operations"] / (in_bits + weight_bits),
                "operations_per_second": row["operations"] * fps,
                "ceiling_per_second": per_cycle * clk_mhz * 1e6,
            }
        )
    operations, image = sum(p["operations"] for p in points), image_bits(net)
    beat = _PIXEL_BITS * int(rows[0].get("SIMD") or 1)
    dma = int(DMA_PARAMETERS["c_m_axi_mm2s_data_width"])
    return {
        "points": points,
        "whole": {
            "operations": operations,
            "image_bits": image,
            "operations_per_bit": operations / image,
            "operations_per_second": operations * fps,
            "ceiling_per_second": sum(p["ceiling_per_second"] for p in points),
            "input_bits_per_second": beat * clk_mhz * 1e6,
            "dma_bits_per_second": dma * clk_mhz * 1e6,
            "input_bits_per_clock": beat,
            "dma_bits_per_clock": dma,
        },
    }


def _weight(layer: str, weights: dict[str, Any]) -> Any:
    """Return the weights of a node: under its own name, or that of the integer node it is a part of."""
    return weights.get(layer, weights.get(layer.removesuffix(".projection")))
