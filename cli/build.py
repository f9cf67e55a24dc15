"""``spikeclip build``: integers to RTL for a board."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .options import ARTIFACTS, add_data, add_verb, load_data


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "build",
        run,
        "turn the integer graph into a dataflow accelerator for a board and prove it in simulation",
        "spikeclip build --board pynq-z2 --preset tiny --fps 2500",
    )
    verb.add_argument(
        "--board", required=True, help="pynq-z2, zcu104, kv260, aup-zu3, u250 ... (`--board list` shows all)"
    )
    verb.add_argument("--preset", default="tiny", help="reads artifacts/<preset>.int.onnx (default: %(default)s)")
    verb.add_argument("--graph", type=Path, help="another integer graph, its .int.safetensors beside it")
    verb.add_argument("--fps", type=float, help="frames per second to reach (default: as fast as fits)")
    verb.add_argument("--clk-mhz", type=float, help="clock (default: the board's)")
    verb.add_argument(
        "--share", type=float, default=0.75, help="of LUT, block RAM and DSP that may be used (default: %(default)s)"
    )
    verb.add_argument("--folding", type=Path, help="FINN folding file to use instead of choosing PE and SIMD")
    add_data(verb)
    verb.add_argument("--images", type=int, default=4, help="test images simulated (default: %(default)s)")
    verb.add_argument(
        "--synth",
        action="store_true",
        help="count LUTs with Yosys on the whole network (minutes); without it, by the resource model",
    )
    verb.add_argument(
        "--estimate-only",
        action="store_true",
        help="end after folding and FINN's estimates: for networks too large to simulate whole",
    )
    verb.add_argument(
        "--finn-shell",
        action="store_true",
        help="on a Zynq, FINN's shell (its DMA is HLS: needs Vitis HLS) instead of this project's",
    )
    verb.add_argument("--fresh", action="store_true", help="start anew instead of going on where a build stopped")
    verb.add_argument("--json", action="store_true", help="print the report as JSON, the progress on stderr")
    verb.add_argument("--out", type=Path, help="folder (default: build/<preset>-<board>)")


def run(args: argparse.Namespace) -> int:
    """Build, print the table."""
    from spikeclip_fpga.hw import boards

    if args.board == "list":
        print(boards.table())
        return 0
    board = boards.find(args.board)
    from spikeclip_fpga.hw import build
    from spikeclip_fpga.hw.job import Job

    console = sys.stderr if args.json else sys.stdout
    job = Job(
        source=args.graph or ARTIFACTS / f"{args.preset}.int.onnx",
        board=board,
        out=args.out or Path("build") / f"{args.preset}-{board.name}",
        clk_mhz=args.clk_mhz or board.clk_mhz,
        fps=args.fps,
        share=args.share,
        images=load_data(args, "test").images[: max(1, args.images)],
        say=lambda line: print(line, file=console, flush=True),
        synthesise=args.synth,
        simulate=not args.estimate_only,
        finn_shell=args.finn_shell,
        folding=args.folding,
    )
    build.run(job, fresh=args.fresh)
    name = "build.json" if args.json else "build.txt"
    print((job.reports / name).read_text(), end="")
    print(f"{job.reports}: reports" + (f"; {job.rtl}: RTL" if job.simulate else ""), file=console)
    return 0
