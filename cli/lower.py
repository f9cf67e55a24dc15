"""``spikeclip lower``: QONNX to integers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .options import ARTIFACTS, add_data, add_verb, load_data


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "lower",
        run,
        "lower a QONNX graph to integers, checking every pass",
        "spikeclip lower artifacts/tiny.qonnx.onnx",
    )
    verb.add_argument(
        "graph", type=Path, nargs="?", default=ARTIFACTS / "tiny.qonnx.onnx", help="QONNX graph (default: %(default)s)"
    )
    add_data(verb)
    verb.add_argument(
        "--check", type=int, default=4, help="test images compared after every pass (default: %(default)s)"
    )
    verb.add_argument("--out", type=Path, help="integer graph (default: <graph> with .int for .qonnx)")


def run(args: argparse.Namespace) -> int:
    """Lower, check, write the ONNX graph and the same network for numpy."""
    from spikeclip_fpga.quantize.lower import lower_file

    images = load_data(args, "test").images[: max(1, args.check)]
    out = args.out or args.graph.with_name(args.graph.name.replace(".qonnx.", ".int."))
    for name in lower_file(args.graph, out, images):
        print(f"  {name}: {len(images)} images, 0 mismatches")
    print(f"{out}\n{out.with_suffix('.safetensors')}: integer network")
    return 0
