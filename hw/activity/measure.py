"""Switching activity of a finished build on images: simulate, count in the steady state, write activity.json.

    content = measure_activity(Path("build/tiny-pynq-z2"), images, Stimulus("fashion-mnist", "test", (0, 1, 2, 3)))
    write(content, Path("activity.json"))

The images go in back to back, again and again; the window begins and ends with the last beat of a frame's result, is
as long as all images together and lies where the pipeline is full. Every node then works on every image once within
it, whatever the pipeline's depth.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..simulate import Model, Run, build
from ..stream_layout import StreamLayout
from .netnames import nets
from .nodes import ActivityError, Counts, accesses, count
from .resources import NodeInfo, node_infos

FORMAT, SCHEMA = "spikeclip-fpga/activity", 1
NOTES = (
    "zero-delay simulation: a net changes at most once a cycle, glitches are not seen",
    "bits and toggles are those of the RTL's nets, each once, where a process or an expression gives its value; "
    "benchmarks/activity.py compares alpha with that of a netlist's cells",
    "left out: the clock and its buffers, contents of memories and shift registers in LUTs, FIFO fill counters that "
    "synthesis removes, whatever lies around the accelerator (DMA, interconnect, processor)",
    "an array of four elements or more counts as a memory",
    "block RAM: cycles with a port's enable high, times the block RAMs of that memory; FINN's weight streamer reads "
    "in every cycle",
    "DSP: cycles in which FINN's MVAU feeds its DSPs, times their number; the nets inside a DSP are left out",
)
_MEMORIES = (".mem", ".dat")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Stimulus:
    """Where images come from: data set, split, their indices in it; how they are offered."""

    data: str
    split: str
    images: tuple[int, ...]
    how: str = "back to back, repeated; one window of all images in the steady state"


def measure_activity(
    folder: Path,
    images: np.ndarray,
    stimulus: Stimulus,
    *,
    frames: int | None = None,
    saif: Path | None = None,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Return what activity.json holds, of the finished build in ``folder`` on (N, H, W, C) uint8 images.

    frames: to count, N unless given; a multiple of N keeps the images equally weighted. saif: keep the SAIF file
    there. Raises ActivityError for a folder that is no finished build, RtlError, BuildError, SimulationError.
    """
    if images.dtype != np.uint8 or not len(images):
        raise ActivityError(f"images: expected one or more of uint8, got {images.dtype} {images.shape}")
    counted = len(images) if frames is None else frames
    if counted < 1:
        raise ActivityError(f"frames: expected 1 or more, got {counted}")
    report, rtl = _report(folder), folder / "rtl"
    layout = StreamLayout.read(rtl)
    sources = _sources(rtl)
    infos, kind = node_infos(folder, report["part"])
    say(f"{layout.top}: compiling the simulation that counts (minutes for a large network, cached)")
    model = build(layout.top, sources, trace="saif", strict=False, includes=[rtl])
    names = nets(layout.top, sources, includes=[rtl])
    period_ps = round(1e6 / report["clk_mhz"])
    with tempfile.TemporaryDirectory() as scratch:
        path = saif or Path(scratch) / "activity.saif"
        cycles = _simulate(model, layout, rtl, images, counted, path, period_ps, say)
        say(f"reading {path.stat().st_size / 1e6:.0f} MB of counts")
        verilog = (rtl / f"{layout.top}.v").read_text()
        counts, duration = count(path, layout.top, {n: i.op for n, i in infos.items()}, verilog, names)
    if duration != cycles * period_ps:
        raise ActivityError(f"{layout.top}: expected {cycles} cycles counted, got {duration / period_ps:g}")
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "subject": {name: report[name] for name in ("network", "network_sha256", "board", "part")}
        | {"family": "7series" if report["part"].startswith("xc7") else "ultrascale+", "clk_mhz": report["clk_mhz"]},
        "stimulus": {
            "data": stimulus.data,
            "split": stimulus.split,
            "images": list(stimulus.images),
            "how": stimulus.how,
        },
        "frames": counted,
        "cycles_per_frame": cycles / counted,
        "netlist": {"kind": kind},
        "nodes": [_node(infos[name], counts[name], counted, cycles, period_ps) for name in infos],
        "notes": list(NOTES),
    }


def write(content: dict[str, Any], path: Path) -> Path:
    """Write activity.json in one piece and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)
    return path


def key(folder: Path, images: np.ndarray, frames: int | None) -> str:
    """Return a digest of all that decides the counts of a build on images. Raises ActivityError, RtlError."""
    report, rtl = _report(folder), folder / "rtl"
    digest = hashlib.sha256(repr((report["network_sha256"], report["clk_mhz"], images.shape, frames)).encode())
    own = [*Path(__file__).parent.glob("*.py"), *(Path(__file__).parents[1] / "sim").iterdir()]
    synthesis = folder / "report" / "synthesis.json"
    inputs = [*_sources(rtl), *(p for p in rtl.iterdir() if p.suffix in _MEMORIES), *own]
    for path in sorted([*inputs, *([synthesis] if synthesis.is_file() else [])]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update(images.tobytes())
    return digest.hexdigest()


def _report(folder: Path) -> dict[str, Any]:
    path = folder / "report" / "build.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        for name in ("network", "network_sha256", "board", "part", "clk_mhz"):
            content[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ActivityError(f"{path}: not of a finished build ({error}); run `spikeclip build`") from error
    return content


def _sources(rtl: Path) -> list[Path]:
    listing = rtl / "sources.f"
    if not listing.is_file():
        raise ActivityError(f"{listing}: no such file; activity needs the RTL: build without --estimate-only")
    found = [rtl / name for name in listing.read_text().split()]
    for path in found:
        if not path.is_file():
            raise ActivityError(f"{path}: missing, but listed in sources.f; run `spikeclip build --fresh`")
    return found


def _simulate(
    model: Model,
    layout: StreamLayout,
    rtl: Path,
    images: np.ndarray,
    counted: int,
    path: Path,
    period_ps: int,
    say: Say,
) -> int:
    """Write the SAIF file of ``counted`` frames in the steady state and return its cycles.

    Once without counting, to learn when frames leave; the second run is the same cycle by cycle.
    """
    source, sink = layout.source, layout.sink
    pixels = source.to_beats(images.astype(np.int16) + source.low).reshape(len(images), source.frame_beats, -1)
    memories = {p.name: p.read_text() for p in sorted(rtl.iterdir()) if p.suffix in _MEMORIES}

    def run(frames: int, trace: Path | None, window: tuple[int, int] | None) -> Run:
        data = pixels[np.arange(frames) % len(images)].reshape(frames * source.frame_beats, -1)
        # Registers start at zero, as an FPGA's do.
        with model.open(memories, seed=0, trace=trace) as simulation:
            return simulation.run(
                {source.port: data},
                {sink.port: frames * sink.frame_beats},
                watchdog=layout.patience_cycles,
                window=window,
                period_ps=period_ps,
                hold=True,
            )

    first = run(2, None, None)
    interval = int(first.frame_intervals(sink.port, sink.frame_beats)[-1])
    depth = -(-int(first.moved[sink.port][sink.frame_beats - 1]) // max(interval, 1))
    frames = counted + 2 * depth + 2
    free = run(frames, None, None)
    ends = free.moved[sink.port][sink.frame_beats - 1 :: sink.frame_beats]
    begin, end = int(ends[depth]) + 1, int(ends[depth + counted]) + 1
    # The last image must not have gone in before the window ends, else the front of the pipeline is empty.
    if free.moved[source.port][-1] < end:
        raise ActivityError(f"{layout.top}: the pipeline ran dry at cycle {free.moved[source.port][-1]} of {end}")
    say(f"counting {counted} frames, cycles {begin:,} to {end:,} of {free.simulated:,}")
    run(frames, path, (begin, end))
    return end - begin


def _node(info: NodeInfo, counts: Counts, frames: int, cycles: int, period_ps: int) -> dict[str, Any]:
    idle = counts.dsp_idle
    if info.dsp and idle is None:
        raise ActivityError(f"{info.name}: {info.dsp} DSPs, and no signal that tells when they rest")
    active = 0.0 if idle is None else cycles - idle / period_ps
    return {
        "name": info.name,
        "layer": info.layer or None,
        "op": info.op,
        "lut": info.lut,
        "ff": counts.register_bits if info.ff is None else info.ff,
        "bram18": info.bram18,
        "dsp": info.dsp,
        "bits": counts.bits,
        "toggles_per_frame": counts.toggles / frames,
        "register_bits": counts.register_bits,
        "register_toggles_per_frame": counts.register_toggles / frames,
        "bram_accesses_per_frame": accesses(info.op, counts, info.blocks, cycles, period_ps) / frames,
        "dsp_operations_per_frame": info.dsp * active / frames,
    }


def summary(content: dict[str, Any]) -> Sequence[str]:
    """Return lines for people: the nodes with the most changes, the operators' shares, and the whole."""
    nodes, cycles = content["nodes"], content["cycles_per_frame"]
    total = sum(node["toggles_per_frame"] for node in nodes)
    bits = sum(node["bits"] for node in nodes)
    lines = [
        f"{node['layer'] or node['name']:<36} {node['op']:<26} {node['bits']:>7,} bits "
        f"{node['toggles_per_frame']:>14,.0f} changes a frame, alpha {_alpha(node, cycles):.3f}"
        for node in sorted(nodes, key=lambda node: -node["toggles_per_frame"])[:10]
    ]
    shares: dict[str, float] = {}
    for node in nodes:
        shares[node["op"]] = shares.get(node["op"], 0.0) + node["toggles_per_frame"] / max(total, 1)
    ordered = sorted(shares.items(), key=lambda share: -share[1])
    return [
        *lines,
        "of all changes: " + ", ".join(f"{op} {100 * share:.1f} %" for op, share in ordered),
        f"{len(nodes)} nodes, {bits:,} bits, {total:,.0f} changes a frame of {cycles:,.0f} cycles, "
        f"alpha {total / bits / cycles:.4f}",
    ]


def _alpha(node: dict[str, Any], cycles: float) -> float:
    return float(node["toggles_per_frame"] / (node["bits"] * cycles)) if node["bits"] else 0.0
