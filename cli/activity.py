"""``spikeclip activity``: what switches in a build's accelerator on real images, counted in simulation."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .options import add_data, add_verb, load_data


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "activity",
        run,
        "count what switches in a build's accelerator on real images, for the estimate of its energy",
        "spikeclip activity build/tiny-pynq-z2 --images 4",
    )
    verb.add_argument("build", type=Path, metavar="BUILD_FOLDER", help="of a finished `spikeclip build`")
    verb.add_argument("--images", type=int, default=4, help="first test images offered (default: %(default)s)")
    verb.add_argument("--frames", type=int, help="frames counted (default: every image once)")
    verb.add_argument("--out", type=Path, help="file to write (default: BUILD_FOLDER/report/activity.json)")
    verb.add_argument(
        "--saif", type=Path, help="keep the counts of every net here; Vivado's script takes vivado/activity.saif"
    )
    verb.add_argument("--fresh", action="store_true", help="count again even if the file is of the same inputs")
    add_data(verb)


def run(args: argparse.Namespace) -> int:
    """Count, write activity.json, print the nodes that switch most."""
    from spikeclip_fpga.hw.activity.measure import Stimulus, key, measure_activity, summary, write
    from spikeclip_fpga.hw.activity.nodes import ActivityError

    if args.images < 1 or (args.frames is not None and args.frames < 1):
        raise ActivityError(f"--images {args.images}, --frames {args.frames}: expected 1 or more")
    if args.saif is not None and args.saif.suffix != ".saif":
        raise ActivityError(f"--saif {args.saif}: expected a name that ends in .saif")
    path = args.out or args.build / "report" / "activity.json"
    data = load_data(args, "test")
    images = data.images[: args.images]
    digest = key(args.build, images, args.frames)
    # A SAIF file does not say what it was counted on: one that is asked for is counted now.
    content = None if args.fresh or args.saif is not None else _known(path, digest)
    if content is None:
        stimulus = Stimulus(data.name, "test", tuple(range(len(images))))
        content = measure_activity(
            args.build,
            images,
            stimulus,
            frames=args.frames,
            saif=args.saif,
            say=lambda line: print(line, flush=True),
        )
        write({**content, "key": digest}, path)
        done = "written"
    else:
        done = "nothing to do, it is of these inputs"
    print("\n".join(summary(content)))
    print(f"{path}: {done}" + (f"; {args.saif}: every net" if args.saif else ""))
    return 0


def _known(path: Path, digest: str) -> dict[str, Any] | None:
    """Return an earlier result of the same inputs, or nothing."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if content.get("key") == digest else None
