"""``spikeclip classify``: images in, labels and scores out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .options import ARTIFACTS, add_verb


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "classify",
        run,
        "classify images zero-shot with an integer network",
        'spikeclip classify photos/ --labels "red dress,handbag,ankle boot"',
    )
    verb.add_argument("images", type=Path, nargs="+", help="image files, or folders of them")
    verb.add_argument(
        "--network",
        type=Path,
        default=ARTIFACTS / "tiny.int.safetensors",
        help="integer network (default: %(default)s)",
    )
    verb.add_argument(
        "--labels",
        default=str(ARTIFACTS / "labels.npz"),
        help="a labels.npz, or label names separated by commas, embedded now (default: %(default)s)",
    )
    verb.add_argument("--tower", default="minilm", help="text tower for label names given here (default: %(default)s)")
    verb.add_argument("--tower-weights", type=Path, help="folder or file with that tower's weights")
    verb.add_argument("--backend", default="golden", help="what computes: golden or fast (default: %(default)s)")
    verb.add_argument("--top", type=int, default=3, help="labels shown per image (default: %(default)s)")
    verb.add_argument(
        "--strict-size", action="store_true", help="refuse images that are not 32x32 instead of resizing them"
    )
    verb.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Classify and print."""
    from spikeclip_fpga.host.accelerator import open_accelerator
    from spikeclip_fpga.host.classify import classify
    from spikeclip_fpga.host.images import load_images

    accelerator = open_accelerator(args.backend, args.network)
    images, names = load_images(args.images, args.strict_size)
    labels = _labels(args)
    found = classify(accelerator, images, labels, args.top)
    if args.json:
        rows = [
            {"image": name, "labels": [{"label": m.label, "score": round(m.score, 6)} for m in matches]}
            for name, matches in zip(names, found, strict=True)
        ]
        print(json.dumps({"backend": accelerator.name, "network": str(args.network), "images": rows}, indent=2))
    else:
        width = max(len(name) for name in names)
        for name, matches in zip(names, found, strict=True):
            print(f"{name:<{width}}  " + "  ".join(f"{m.label} {m.score:.3f}" for m in matches))
    return 0


def _labels(args: argparse.Namespace) -> Any:
    from spikeclip_fpga.quantize.labelset import read_labels

    if args.labels.endswith(".npz"):
        return read_labels(Path(args.labels))
    from spikeclip_fpga.model.labels import label_set, templates
    from spikeclip_fpga.model.text_tower import text_tower

    from .labels import split_names

    return label_set(text_tower(args.tower, args.tower_weights), split_names(args.labels), templates("cifar10"))
