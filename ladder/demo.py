"""The demonstration: climb the ladder with the shipped network, print a table, write report and pictures."""

from __future__ import annotations

import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from spikeclip_fpga.model.data import load
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.labelset import read_labels

from .levels import Findings, Say, Sizes, climb

PACKAGES = ("torch", "brevitas", "qonnx", "onnx", "onnxruntime", "finn-plus", "numpy")


class MismatchError(RuntimeError):
    """Two levels that must be equal are not; the message says which and by how much."""


def run_demo(artifacts: Path, preset: str, out: Path, sizes: Sizes, data_root: Path | None, say: Say) -> dict[str, Any]:
    """Run the demo on Fashion-MNIST's test set and return what ``out``/report.json holds.

    Raises MismatchError after the report is written if any count of mismatches is not 0.
    """
    begin = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    data = load("fashion-mnist", "test", data_root)
    labels = read_labels(artifacts / "labels.npz")
    found = climb(artifacts, preset, out, data, labels, sizes, say)
    report = {
        "preset": preset,
        "dataset": data.name,
        **found.to_json(),
        "seconds": round(time.perf_counter() - begin, 1),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in PACKAGES}},
    }
    partial = out / "report.json.part"
    partial.write_text(json.dumps(report, indent=2) + "\n")
    partial.replace(out / "report.json")
    _draw(out, preset, data, labels.names, found, sizes)
    wrong = {k: v for k, v in found.mismatches.items() if v}
    if wrong:
        raise MismatchError(f"{out / 'report.json'}: expected 0 differing embedding elements, got {wrong}")
    return report


def _draw(out: Path, preset: str, data: Any, names: tuple[str, ...], found: Findings, sizes: Sizes) -> None:
    from . import plots

    net = network.load(out / f"{preset}.int.safetensors")
    plots.spike_raster(net, data.images[0], f"{names[data.labels[0]]}", out / "spike_raster.png")
    plots.confusion(data.labels[: sizes.all_images], found.predictions, names, out / "confusion.png")
    plots.firing_rates(found.firing_rate_by_layer, out / "firing_rate.png")


def table(report: dict[str, Any]) -> str:
    """Return the report as the table a person reads."""
    rows = [("level", "images", "accuracy %", "images/s", "differs from the level above")]
    compared = {
        "qonnx": "qat_vs_qonnx",
        "integer": "qonnx_vs_integer",
        "golden": "golden_vs_fast",
        "hw": "integer_vs_hw",
        "rtl": "hw_vs_rtl",
    }
    for level, count in report["n_images_by_level"].items():
        share = report["accuracy"].get(level)
        differs = "(quantised)" if level == "qat" else ""
        if level in compared:
            differs = f"{report['mismatches'][compared[level]]} elements"
        rows.append(
            (
                level,
                str(count),
                f"{share:.2f}" if share is not None else "",
                f"{report['images_per_second_by_level'][level]:,.{0 if level != 'rtl' else 1}f}",
                differs,
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(w) if i in (0, 4) else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    lines.append(
        f"firing rate {100 * report['firing_rate']:.1f} %, "
        f"{report['synaptic_operations']:,} additions of a weight per image"
    )
    rtl = report["rtl"]
    lines.append(
        f"RTL: {rtl['cycles_per_frame']:,} cycles a frame, latency {rtl['latency_cycles']:,}: "
        f"{rtl['frames_per_second']:,.0f} frames/s on {rtl['board']} at {rtl['clk_mhz']:g} MHz, simulated"
    )
    lines.append(f"QAT against integers on all images: {report['mismatches']['qat_vs_integer']} elements differ")
    return "\n".join(lines)
