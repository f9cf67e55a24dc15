"""``spikeclip sweep``: accuracy against energy over time steps and weight bits."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .options import ARTIFACTS, add_data, add_teacher, add_verb, captions, load_any_teacher, load_data


def _numbers(text: str) -> tuple[int, ...]:
    """Return the whole numbers of a list such as 1,2,4,8."""
    return tuple(int(part) for part in text.split(","))


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "sweep",
        run,
        "train and count a grid of time steps and weight bits: accuracy against energy",
        "spikeclip sweep --timesteps 1,2,4,8 --bits 2,3,4,8 --float-epochs 3 --qat-epochs 0.5",
    )
    verb.add_argument("--preset", default="tiny", help="tiny, small or base (default: %(default)s)")
    verb.add_argument("--timesteps", type=_numbers, default=(1, 2, 4, 8), help="values of T (default: 1,2,4,8)")
    verb.add_argument(
        "--bits", type=_numbers, default=(2, 3, 4, 8), help="weight bits of the spiking layers (default: 2,3,4,8)"
    )
    verb.add_argument(
        "--float-epochs", type=float, default=3, help="epochs for each T, in float (default: %(default)s)"
    )
    verb.add_argument(
        "--qat-epochs", type=float, default=0.5, help="epochs for each point after it (default: %(default)s)"
    )
    verb.add_argument("--seed", type=int, default=0, help="everything random follows from it (default: %(default)s)")
    add_data(verb)
    add_teacher(verb)
    verb.add_argument(
        "--work",
        type=Path,
        default=Path("build/sweep"),
        help="folder of the checkpoints; what is there is not trained again (default: %(default)s)",
    )
    verb.add_argument("--out", type=Path, default=ARTIFACTS / "sweep.json", help="result (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Train what is missing, evaluate, write."""
    from spikeclip_fpga.model.config import preset
    from spikeclip_fpga.report.sweep import Settings, sweep

    settings = Settings(
        timesteps=args.timesteps,
        bits=args.bits,
        float_epochs=args.float_epochs,
        qat_epochs=args.qat_epochs,
        seed=args.seed,
    )
    teacher, tower, digest = load_any_teacher(args.teacher, args.tower_weights)
    model = preset(args.preset, embed_dim=teacher.embed_dim)
    train, test = load_data(args, "train"), load_data(args, "test")
    vectors = captions(args, train, tower)
    meta = {"text_tower": tower, "teacher_sha256": digest}
    found = sweep(model, settings, train, test, teacher, vectors, args.work, lambda line: print(line, flush=True), meta)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    partial = args.out.with_name(f"{args.out.name}.part")
    partial.write_text(json.dumps(found, indent=1) + "\n")
    partial.replace(args.out)
    print(f"{args.out}: {len(found['points'])} points ({found['seconds']:.0f} s)")
    return 0
