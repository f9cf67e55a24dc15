"""``spikeclip quantize``: quantisation-aware fine-tuning and QONNX export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from spikeclip_fpga.quantize.baselines.qnn import QnnCLIP
    from spikeclip_fpga.quantize.qat import QatSpikeCLIP
    from spikeclip_fpga.quantize.quantizers import BitWidths

SUFFIX = ".qat.safetensors"
PROVENANCE: tuple[str, ...] = ("dataset", "text_tower")


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "quantize",
        run,
        "fine-tune with integer arithmetic and export to QONNX",
        "spikeclip quantize artifacts/tiny.float.safetensors --epochs 5\n"
        "  spikeclip quantize artifacts/tiny-ann.float.safetensors --activation-bits 3",
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
    verb.add_argument(
        "--activation-bits",
        type=int,
        help="bits of the ANN baseline's activations (default: 3, what 4 time steps carry); for an ann checkpoint only",
    )
    add_data(verb)
    add_teacher(verb)
    add_training(verb, epochs=5, lr=5e-4)
    verb.add_argument(
        "--out", type=Path, help="checkpoint (default: <checkpoint> with .qat for .float, and -qnn<bits> for -ann)"
    )


def _require_qat_name(out: Path) -> None:
    """The QONNX file's name comes from the checkpoint's; any other name would make one overwrite the other."""
    from spikeclip_fpga.model.config import ConfigError

    if not out.name.endswith(SUFFIX):
        raise ConfigError(f"{out}: expected a name ending in {SUFFIX}; give one with --out")


def _bits(args: argparse.Namespace) -> BitWidths:
    """Return the weight widths the options ask for."""
    from spikeclip_fpga.model.config import ConfigError
    from spikeclip_fpga.quantize.quantizers import BitWidths

    layers: dict[str, int] = {}
    for entry in args.layer_bits:
        layer, _, width = entry.partition("=")
        if not width.isdigit():
            raise ConfigError(f"--layer-bits: expected LAYER=BITS, got {entry!r}")
        layers[layer] = int(width)
    return BitWidths(hidden=args.bits, layers=layers)


def _default_out(checkpoint: Path, kind: str, activation_bits: int) -> Path:
    """Return the name made from the float checkpoint's: tiny.qat for tiny.float, tiny-qnn3.qat for tiny-ann."""
    if kind != "ann":
        return checkpoint.with_name(checkpoint.name.replace(".float.", ".qat."))
    head, _, tail = checkpoint.name.partition(".float.")
    return checkpoint.with_name(f"{head.removesuffix('-ann')}-qnn{activation_bits}.qat.{tail}")


def _fine_tune(args: argparse.Namespace) -> tuple[QatSpikeCLIP | QnnCLIP, dict[str, Any], Path]:
    """Quantise and fine-tune a float checkpoint, print the test accuracy; return network, meta data and file."""
    from spikeclip_fpga.model.baselines.ann import AnnCLIP
    from spikeclip_fpga.model.baselines.registry import kind_of, load_float
    from spikeclip_fpga.model.config import ConfigError
    from spikeclip_fpga.model.spikeclip import SpikeCLIP
    from spikeclip_fpga.model.train import accuracy, embed_images
    from spikeclip_fpga.model.trainer import distributed
    from spikeclip_fpga.quantize.baselines.qnn import ACTIVATION_BITS
    from spikeclip_fpga.quantize.baselines.train_qnn import train_qnn
    from spikeclip_fpga.quantize.train_qat import train_qat

    student, meta = load_float(args.checkpoint)
    kind = kind_of(meta)
    if not isinstance(student, SpikeCLIP | AnnCLIP):
        raise ConfigError(
            f"{args.checkpoint}: a {kind} is not quantised, it is the float baseline; "
            "give a spikeclip or an ann checkpoint"
        )
    if isinstance(student, SpikeCLIP) and args.activation_bits is not None:
        raise ConfigError(
            f"--activation-bits: {args.checkpoint} is a spiking network, whose activations are spikes; "
            "leave the option out, or give an ann checkpoint"
        )
    activation_bits = ACTIVATION_BITS if args.activation_bits is None else args.activation_bits
    bits = _bits(args)
    bits.require_layers(student.config)
    out = args.out or _default_out(args.checkpoint, kind, activation_bits)
    _require_qat_name(out)
    teacher, tower, _ = load_any_teacher(args.teacher, args.tower_weights)
    data = load_data(args, "train")
    vectors = captions(args, data, tower)
    config = training(args, bf16=False)
    net: QatSpikeCLIP | QnnCLIP
    if isinstance(student, AnnCLIP):
        net = train_qnn(student, data, teacher, vectors, bits, config, out, meta, activation_bits)
    else:
        net = train_qat(student, data, teacher, vectors, bits, config, out, meta)
    if distributed()[0] == 0:
        test = load_data(args, "test")
        found = accuracy(embed_images(net, test.images), vectors.numpy(), test.labels)
        print(f"{out}: {found:.2f} % of {len(test)} test images")
    return net, meta, out


def run(args: argparse.Namespace) -> int:
    """Train unless the checkpoint is quantised already; write checkpoint and, of a spiking network, QONNX."""
    from spikeclip_fpga.model.config import ConfigError
    from spikeclip_fpga.model.trainer import distributed
    from spikeclip_fpga.quantize.baselines.qnn import QnnCLIP
    from spikeclip_fpga.quantize.export import to_qonnx, write
    from spikeclip_fpga.quantize.qat import load_qat

    net: QatSpikeCLIP | QnnCLIP
    if args.checkpoint.name.endswith(SUFFIX):
        net, meta = load_qat(args.checkpoint)
        out = args.out or args.checkpoint
        _require_qat_name(out)
        if args.activation_bits is not None:
            raise ConfigError(f"--activation-bits: {args.checkpoint} is quantised already; leave the option out")
    else:
        net, meta, out = _fine_tune(args)
    if distributed()[0] == 0 and isinstance(net, QnnCLIP):
        print(f"{out}: no QONNX graph of an ANN; it is a baseline for accuracy and cost and not lowered further")
    elif distributed()[0] == 0:
        assert not isinstance(net, QnnCLIP)
        onnx_file = out.with_name(out.name.replace(SUFFIX, ".qonnx.onnx"))
        provenance = {key: str(meta[key]) for key in PROVENANCE if key in meta}
        write(to_qonnx(net, provenance), onnx_file)
        print(f"{onnx_file}: QONNX graph")
    return 0
