"""Options that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeclip_fpga.model.data import ImageSet
    from spikeclip_fpga.model.teacher import Teacher
    from spikeclip_fpga.model.trainer import TrainConfig

ARTIFACTS = Path("artifacts")


def add_verb(verbs: Any, name: str, run: Any, summary: str, example: str) -> argparse.ArgumentParser:
    """Return the parser of a verb whose help ends in an example."""
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.set_defaults(run=run)
    return verb


def add_data(verb: argparse.ArgumentParser) -> None:
    """Add --data and --data-root."""
    verb.add_argument(
        "--data", default="fashion-mnist", help="data set (default: %(default)s; `folder` for your own images)"
    )
    verb.add_argument(
        "--data-root", type=Path, help="folder that holds the data set; without it, it is fetched if it can be"
    )


def add_training(verb: argparse.ArgumentParser, epochs: float, lr: float, weight_decay: float = 0.03) -> None:
    """Add the options of trainer.TrainConfig with a stage's defaults."""
    verb.add_argument(
        "--epochs", type=float, default=epochs, help="passes over the training images (default: %(default)s)"
    )
    verb.add_argument(
        "--batch-size", type=int, default=128, help="images a step, over all processes (default: %(default)s)"
    )
    verb.add_argument("--lr", type=float, default=lr, help="highest learning rate (default: %(default)s)")
    verb.add_argument("--weight-decay", type=float, default=weight_decay, help="AdamW's (default: %(default)s)")
    verb.add_argument(
        "--schedule",
        choices=("cosine", "paper"),
        default="cosine",
        help="cosine to 0, or the papers': cosine to a tenth over 50 epochs, then constant (default: %(default)s)",
    )
    verb.add_argument("--seed", type=int, default=0, help="everything random follows from it (default: %(default)s)")
    verb.add_argument("--save-every", type=int, default=200, help="steps between saved states (default: %(default)s)")


def training(args: argparse.Namespace, bf16: bool) -> TrainConfig:
    """Return the TrainConfig the options describe."""
    from spikeclip_fpga.model.trainer import TrainConfig

    return TrainConfig(
        epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        weight_decay=args.weight_decay,
        schedule=args.schedule,
        seed=args.seed,
        bf16=bf16,
        save_every=args.save_every,
    )


def load_data(args: argparse.Namespace, split: str) -> ImageSet:
    """Return a split of the chosen data set."""
    from spikeclip_fpga.model.data import load

    return load(args.data, split, args.data_root)


def load_any_teacher(name: str, weights: Path | None) -> tuple[Teacher, str, str]:
    """Return the teacher, its text tower's name, and the SHA-256 of its file (empty for CLIP).

    ``name`` is a MiniClip checkpoint, or ``clip`` / ``open_clip:<model>`` with ``weights``.
    """
    import hashlib

    if name == "clip" or name.startswith("open_clip:"):
        from spikeclip_fpga.model.clip_tower import image_tower
        from spikeclip_fpga.model.text_tower import TowerError

        if weights is None:
            raise TowerError(f"teacher {name}: needs CLIP's weights; give their folder or file with --tower-weights")
        return image_tower(name, weights), name, ""
    from spikeclip_fpga.model.teacher import load_teacher

    teacher = load_teacher(Path(name))
    return teacher, teacher.text_tower, hashlib.sha256(Path(name).read_bytes()).hexdigest()


def captions(args: argparse.Namespace, data: ImageSet, tower: str) -> Any:
    """Return the (K, E) embeddings of the data set's class names as a torch tensor."""
    import torch

    from spikeclip_fpga.model.labels import class_names, embed_labels, templates
    from spikeclip_fpga.model.text_tower import text_tower

    vectors = embed_labels(
        text_tower(tower, args.tower_weights), class_names(data.name, data.class_names), templates(data.name)
    )
    return torch.from_numpy(vectors)


def add_teacher(verb: argparse.ArgumentParser) -> None:
    """Add --teacher and --tower-weights."""
    verb.add_argument(
        "--teacher",
        default=str(ARTIFACTS / "teacher.safetensors"),
        help="a checkpoint of `spikeclip teacher`, or `clip` / `open_clip:<model>` (default: %(default)s)",
    )
    verb.add_argument("--tower-weights", type=Path, help="folder or file with CLIP's own weights, for those teachers")
