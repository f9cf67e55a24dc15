"""``spikeclip classify``: images in, labels and scores out."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .backends import add_bundle, add_rtl, opened
from .camera import add_camera, check_source, classify_camera
from .options import ARTIFACTS, add_verb

if TYPE_CHECKING:
    from spikeclip_fpga.host.bundle import Bundle
    from spikeclip_fpga.quantize.labelset import LabelSet

NETWORK, LABELS = ARTIFACTS / "tiny.int.safetensors", ARTIFACTS / "labels.npz"


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "classify",
        run,
        "classify images zero-shot with a bundle or an integer network",
        'spikeclip classify photos/ --labels "red dress,handbag,ankle boot"',
    )
    verb.add_argument("images", type=Path, nargs="*", help="image files, or folders of them")
    add_camera(verb)
    verb.add_argument("--network", type=Path, help=f"integer network without a bundle (default: {NETWORK})")
    add_bundle(verb)
    add_rtl(verb)
    verb.add_argument(
        "--labels",
        help=f"a labels.npz, or label names separated by commas, embedded now (default: the bundle's, or {LABELS})",
    )
    verb.add_argument(
        "--tower", help="text tower for label names given here (default: that of the bundle's labels, or minilm)"
    )
    verb.add_argument("--tower-weights", type=Path, help="folder or file with that tower's weights")
    verb.add_argument("--top", type=int, default=3, help="labels shown per image (default: %(default)s)")
    verb.add_argument(
        "--strict-size", action="store_true", help="refuse images that are not 32x32 instead of resizing them"
    )
    verb.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Classify and print."""
    from spikeclip_fpga.host.bundle import BundleError, open_bundle
    from spikeclip_fpga.host.classify import classify
    from spikeclip_fpga.host.images import load_images
    from spikeclip_fpga.host.kinds import backend_kind

    check_source(args)
    bundle = None
    if args.bundle is not None:
        if args.network is not None:
            raise BundleError(f"--network {args.network}: the bundle has its own network; give --bundle or --network")
        bundle = open_bundle(args.bundle, board=args.board)
    elif args.board is not None:
        raise BundleError(f"--board {args.board}: only a bundle is made for a board; give --bundle too")
    labels = _labels(args, bundle)
    network = args.network or NETWORK
    source = {"network": str(network)} if bundle is None else {"bundle": bundle.name, "board": bundle.board}
    if args.camera is None:
        images, names = load_images(args.images, args.strict_size)
    with opened(args, bundle or network) as accelerator:
        if args.camera is not None:
            kind = backend_kind(accelerator.name, built=bundle is not None and bundle.built)
            return classify_camera(args, accelerator, labels, kind, source)
        found = classify(accelerator, images, labels, args.top)
        name = accelerator.name
    kind = backend_kind(name, built=bundle is not None and bundle.built)
    if args.json:
        rows = [
            {"image": image, "labels": [{"label": m.label, "score": round(m.score, 6)} for m in matches]}
            for image, matches in zip(names, found, strict=True)
        ]
        said = {"backend": name, "kind": kind.kind, "emulated": kind.emulated, **source, "images": rows}
        print(json.dumps(said, indent=2))
    else:
        width = max(len(image) for image in names)
        for image, matches in zip(names, found, strict=True):
            print(f"{image:<{width}}  " + "  ".join(f"{m.label} {m.score:.3f}" for m in matches))
        if bundle is not None:
            print(f"{bundle.name}; {name}: {kind.text}", file=sys.stderr)
    return 0


def _labels(args: argparse.Namespace, bundle: Bundle | None) -> LabelSet:
    from spikeclip_fpga.quantize.labelset import read_labels

    if args.labels is None:
        return read_labels(LABELS) if bundle is None else bundle.labels
    if args.labels.endswith(".npz"):
        return read_labels(Path(args.labels))
    from spikeclip_fpga.model.labels import label_set, templates
    from spikeclip_fpga.model.text_tower import text_tower

    from .labels import split_names

    tower = args.tower or ("minilm" if bundle is None else bundle.labels.tower)
    prompts = templates("cifar10") if bundle is None else bundle.labels.templates
    return label_set(text_tower(tower, args.tower_weights), split_names(args.labels), prompts)
