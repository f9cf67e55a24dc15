"""``spikeclip labels``: embed label names once, for the host."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .options import ARTIFACTS, add_data, add_verb, load_data


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "labels",
        run,
        "embed label names with a text tower and write labels.npz",
        'spikeclip labels --names "red dress,handbag,ankle boot" --out my-labels.npz',
    )
    add_data(verb)
    verb.add_argument("--names", help="label names of your own, separated by commas, instead of the data set's")
    verb.add_argument(
        "--tower", default="minilm", help="text tower: minilm, clip or open_clip:<model> (default: %(default)s)"
    )
    verb.add_argument("--tower-weights", type=Path, help="folder or file with the text tower's weights")
    verb.add_argument("--out", type=Path, default=ARTIFACTS / "labels.npz", help="file to write (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Embed and write."""
    from spikeclip_fpga.model.labels import class_names, label_set, templates
    from spikeclip_fpga.model.text_tower import text_tower
    from spikeclip_fpga.quantize.labelset import write_labels

    names = split_names(args.names) if args.names else class_names(args.data, load_data(args, "test").class_names)
    labels = label_set(text_tower(args.tower, args.tower_weights), names, templates(args.data))
    write_labels(args.out, labels)
    print(
        f"{args.out}: {len(labels)} labels of {labels.dim} dimensions from {labels.tower}, "
        f"{len(labels.templates)} prompts each"
    )
    return 0


def split_names(text: str) -> tuple[str, ...]:
    """Return the names of a comma-separated list; raise LabelError if there is none."""
    from spikeclip_fpga.quantize.labelset import LabelError

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise LabelError(f"label names: expected names separated by commas, got {text!r}")
    return names
