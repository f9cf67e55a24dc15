"""Bundles for tests: the shipped network with the report of an invented build."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

from spikeclip_fpga.host.bundle import MANIFEST, Bundle, pack_bundle

ROOT = Path(__file__).parents[2]
NETWORK = ROOT / "artifacts/tiny.int.safetensors"
LABELS = ROOT / "artifacts/labels.npz"


def make_build(folder: Path, **changes: Any) -> Path:
    """Return ``folder`` looking like one that `spikeclip build` wrote; ``changes`` go into build.json."""
    report = {
        "network": "tiny",
        "board": "pynq-z2",
        "part": "xc7z020clg400-1",
        "clk_mhz": 100.0,
        "mismatches": {"integer_vs_hw": 0, "hw_vs_rtl": 0},
        "rtl": {"cycles_per_frame": 40_000, "latency_cycles": 90_000, "images": 4},
        **changes,
    }
    (folder / "report").mkdir(parents=True)
    (folder / "report/build.json").write_text(json.dumps(report))
    (folder / "report/build.txt").write_text("a table\n")
    return folder


def pack(build: Path, out: Path, **changes: Any) -> Bundle:
    """Pack with settings that any test may change."""
    settings: dict[str, Any] = {
        "network_file": NETWORK,
        "labels_file": LABELS,
        "git_commit": "0123abc",
        "created": date(2025, 1, 31),
        "tool_versions": {"verilator": "5.48.0"},
        **changes,
    }
    return pack_bundle(build, out, **settings)


def copied(bundle: Path, to: Path) -> Path:
    """Return a copy that a test may damage."""
    shutil.copytree(bundle, to)
    return to


def edit(folder: Path, *keys: str, value: Any) -> None:
    """Set a key of the manifest; ``...`` removes it."""
    path = folder / MANIFEST
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    path.write_text(json.dumps(content))
