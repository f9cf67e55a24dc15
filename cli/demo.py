"""``spikeclip demo``: the shipped network on every level of the ladder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .options import ARTIFACTS, add_verb


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "demo",
        run,
        "run the shipped network at every level on Fashion-MNIST and compare them",
        "spikeclip demo --out build/demo",
    )
    verb.add_argument(
        "--artifacts", type=Path, default=ARTIFACTS, help="folder of the trained checkpoints (default: %(default)s)"
    )
    verb.add_argument("--preset", default="tiny", help="which of them (default: %(default)s)")
    verb.add_argument("--data-root", type=Path, help="folder that holds Fashion-MNIST")
    verb.add_argument("--images", type=int, default=10_000, help="images at the fast levels (default: %(default)s)")
    verb.add_argument("--qonnx-images", type=int, default=200, help="images executed in qonnx (default: %(default)s)")
    verb.add_argument("--golden-images", type=int, default=1_000, help="images through numpy (default: %(default)s)")
    verb.add_argument("--rtl-images", type=int, default=4, help="images simulated as RTL (default: %(default)s)")
    verb.add_argument("--out", type=Path, default=Path("build/demo"), help="report and pictures (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Climb, write, print."""
    from spikeclip_fpga.ladder.demo import run_demo, table
    from spikeclip_fpga.ladder.levels import Sizes

    console = sys.stdout
    sizes = Sizes(args.images, args.qonnx_images, args.golden_images, max(1, args.rtl_images))
    report = run_demo(
        args.artifacts, args.preset, args.out, sizes, args.data_root, lambda line: print(line, file=console, flush=True)
    )
    print()
    print(table(report))
    print(f"{args.out / 'report.json'}, {args.out}/*.png  ({report['seconds']:.0f} s)")
    return 0
