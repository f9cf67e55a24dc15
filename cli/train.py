"""``spikeclip train``: distil a float SpikeCLIP, or a baseline it is compared with, from a teacher."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .options import add_data, add_teacher, add_training, add_verb, captions, load_any_teacher, load_data, training

NETWORKS = ("spikeclip", "scratchclip", "ann")
OF_TIME = ("timesteps", "readout", "reset", "beta")


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "train",
        run,
        "distil a SpikeCLIP image encoder (or a baseline): alignment pre-training, then dual-loss fine-tuning",
        "spikeclip train --preset tiny --epochs 20 --out artifacts/tiny.float.safetensors\n"
        "  spikeclip train --network scratchclip\n"
        "  torchrun --nproc_per_node 2 -m spikeclip_fpga.cli.main train --preset tiny",
    )
    verb.add_argument("--preset", default="tiny", help="tiny, small or base (default: %(default)s)")
    verb.add_argument(
        "--network",
        choices=NETWORKS,
        default="spikeclip",
        help="spikeclip; without spikes: scratchclip, the papers' Transformer twin; ann, the same topology with ReLU "
        "(default: %(default)s)",
    )
    verb.add_argument("--timesteps", type=int, help="T, 1 to 16 (default: the preset's 4)")
    verb.add_argument(
        "--readout", choices=("tdw", "mean", "ad", "ar"), help="weights over time (default: the preset's tdw)"
    )
    verb.add_argument("--pool-order", choices=("current", "spike"), help="pool before or after the neuron")
    verb.add_argument(
        "--reset", choices=("subtract", "zero"), help="reset after a spike (default: subtract, as in the papers)"
    )
    verb.add_argument("--beta", type=float, help="membrane decay (default: 0.9)")
    add_data(verb)
    add_teacher(verb)
    add_training(verb, epochs=20, lr=3e-3)
    verb.add_argument(
        "--align-share", type=float, default=0.4, help="share of the steps that only align (default: %(default)s)"
    )
    verb.add_argument(
        "--alpha", type=float, default=1.0, help="weight of cross-entropy beside KL, eq. 6 (default: %(default)s)"
    )
    verb.add_argument(
        "--out", type=Path, help="checkpoint (default: artifacts/<preset>[-scratchclip|-ann].float.safetensors)"
    )


def _refuse_time(args: argparse.Namespace) -> None:
    """Raise ConfigError if an option about time or spikes is given for a network that has neither."""
    from spikeclip_fpga.model.config import ConfigError

    given = [name for name in OF_TIME if getattr(args, name) is not None]
    if args.network != "spikeclip" and given:
        raise ConfigError(
            f"--{given[0]}: {args.network} has no time steps and no spiking neurons; "
            "leave the option out, or train --network spikeclip"
        )


def run(args: argparse.Namespace) -> int:
    """Train, write, and report the test accuracy."""
    from spikeclip_fpga.model.config import preset
    from spikeclip_fpga.model.train import accuracy, embed_images, train_student
    from spikeclip_fpga.model.trainer import distributed

    _refuse_time(args)
    teacher, tower, digest = load_any_teacher(args.teacher, args.tower_weights)
    chosen = ("timesteps", "readout", "pool_order", "reset", "beta")
    changes = {k: getattr(args, k) for k in chosen if getattr(args, k) is not None}
    model = preset(args.preset, embed_dim=teacher.embed_dim, **changes)
    suffix = "" if args.network == "spikeclip" else f"-{args.network}"
    out = args.out or Path("artifacts") / f"{model.preset}{suffix}.float.safetensors"
    data = load_data(args, "train")
    vectors = captions(args, data, tower)
    meta = {"text_tower": tower, "teacher_sha256": digest}
    config = training(args, bf16=True)
    net = train_student(data, teacher, vectors, model, config, out, args.align_share, args.alpha, meta, args.network)
    if distributed()[0] == 0:
        test = load_data(args, "test")
        found = accuracy(embed_images(net, test.images), vectors.numpy(), test.labels)
        print(f"{out}: {found:.2f} % of {len(test)} test images (float32)")
    return 0
