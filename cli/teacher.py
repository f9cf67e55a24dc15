"""``spikeclip teacher``: train the stand-in for CLIP."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .options import ARTIFACTS, add_data, add_training, add_verb, load_data, training


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "teacher",
        run,
        "train the mini-CLIP teacher: an image tower against a frozen text tower",
        "spikeclip teacher --epochs 14 --out artifacts/teacher.safetensors",
    )
    add_data(verb)
    add_training(verb, epochs=14, lr=3e-3, weight_decay=0.02)
    verb.add_argument("--width", type=int, default=48, help="channels of the first stage (default: %(default)s)")
    verb.add_argument(
        "--tower", default="minilm", help="text tower: minilm, clip or open_clip:<model> (default: %(default)s)"
    )
    verb.add_argument("--tower-weights", type=Path, help="folder or file with the text tower's weights")
    verb.add_argument(
        "--out", type=Path, default=ARTIFACTS / "teacher.safetensors", help="checkpoint (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Train, write, and report the test accuracy."""
    from spikeclip_fpga.model.labels import class_names, embed_labels, templates
    from spikeclip_fpga.model.teacher import embed_all, train_teacher
    from spikeclip_fpga.model.text_tower import text_tower
    from spikeclip_fpga.model.train import accuracy

    data, tower = load_data(args, "train"), text_tower(args.tower, args.tower_weights)
    teacher = train_teacher(data, tower, training(args, bf16=True), args.out, args.width)
    test = load_data(args, "test")
    vectors = embed_labels(tower, class_names(test.name, test.class_names), templates(test.name))
    found = accuracy(embed_all(teacher, test.images).numpy(), vectors, test.labels)
    print(f"{args.out}: {found:.2f} % of {len(test)} test images")
    return 0
