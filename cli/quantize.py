"""``spikeclip quantize``: quantisation-aware fine-tuning and QONNX export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .options import (
    ARTIFACTS,
    add_data,
    add_teacher,
    add_training,
    add_verb,
    captions,
    load_any_teacher,
    load_data,
    training,
)

SUFFIX = ".qat.safetensors"
PROVENANCE: tuple[str, ...] = ("dataset", "text_tower")


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "quantize",
        run,
        "fine-tune with integer arithmetic and export to QONNX",
        "spikeclip quantize artifacts/tiny.float.safetensors --epochs 5",
    )
    verb.add_argument(
        "checkpoint",
        type=Path,
        nargs="?",
        default=ARTIFACTS / "tiny.float.safetensors",
        help="float checkpoint, or a .qat one to export it (default: %(default)s)",
    )
    verb.add_argument(
        "--bits", type=int, default=4, help="weight bits of the spiking layers, 2 to 8 (default: %(default)s)"
    )
    verb.add_argument(
        "--layer-bits",
        action="append",
        default=[],
        metavar="LAYER=BITS",
        help="another width for one layer, e.g. blocks.0.mlp.fc2=6",
    )
    add_data(verb)
    add_teacher(verb)
    add_training(verb, epochs=5, lr=5e-4)
    verb.add_argument("--out", type=Path, help="checkpoint (default: <checkpoint> with .qat for .float)")


def _require_qat_name(out: Path) -> None:
    """The QONNX file's name comes from the checkpoint's; any other name would make one overwrite the other."""
    from spikeclip_fpga.model.config import ConfigError

    if not out.name.endswith(SUFFIX):
        raise ConfigError(f"{out}: expected a name ending in {SUFFIX}; give one with --out")


def run(args: argparse.Namespace) -> int:
    """Train unless the checkpoint is quantised already; write checkpoint and QONNX."""
    from spikeclip_fpga.model.config import ConfigError
    from spikeclip_fpga.model.train import accuracy, embed_images, load_student
    from spikeclip_fpga.model.trainer import distributed
    from spikeclip_fpga.quantize.export import to_qonnx, write
    from spikeclip_fpga.quantize.qat import load_qat
    from spikeclip_fpga.quantize.quantizers import BitWidths
    from spikeclip_fpga.quantize.train_qat import train_qat

    if args.checkpoint.name.endswith(SUFFIX):
        net, meta = load_qat(args.checkpoint)
        out = args.out or args.checkpoint
        _require_qat_name(out)
    else:
        student, meta = load_student(args.checkpoint)
        layers: dict[str, int] = {}
        for entry in args.layer_bits:
            layer, _, width = entry.partition("=")
            if not width.isdigit():
                raise ConfigError(f"--layer-bits: expected LAYER=BITS, got {entry!r}")
            layers[layer] = int(width)
        bits = BitWidths(hidden=args.bits, layers=layers)
        bits.require_layers(student.config)
        out = args.out or args.checkpoint.with_name(args.checkpoint.name.replace(".float.", ".qat."))
        _require_qat_name(out)
        teacher, tower, _ = load_any_teacher(args.teacher, args.tower_weights)
        data = load_data(args, "train")
        vectors = captions(args, data, tower)
        net = train_qat(
            student,
            data,
            teacher,
            vectors,
            bits,
            training(args, bf16=False),
            out,
            meta,
        )
        if distributed()[0] == 0:
            test = load_data(args, "test")
            found = accuracy(embed_images(net, test.images), vectors.numpy(), test.labels)
            print(f"{out}: {found:.2f} % of {len(test)} test images")
    if distributed()[0] == 0:
        onnx_file = out.with_name(out.name.replace(SUFFIX, ".qonnx.onnx"))
        provenance = {key: str(meta[key]) for key in PROVENANCE if key in meta}
        write(to_qonnx(net, provenance), onnx_file)
        print(f"{onnx_file}: QONNX graph")
    return 0
