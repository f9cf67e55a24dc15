"""The training loop all stages share: deterministic by seed, resumable, one process or several.

Which images a step sees, and how they are augmented, follows from (seed, step) alone. A resumed run
therefore needs only the weights, the optimiser's moments and the step number, and ends with the same
bits as one that was never interrupted.
"""

from __future__ import annotations

import atexit
import dataclasses
import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn
from tqdm import tqdm

from . import checkpoint
from .config import ConfigError
from .data.input import augment

Schedule = Literal["cosine", "paper"]
StepLoss = Callable[[nn.Module, torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast to train.

    ``cosine``: linear warm-up, then one cosine to 0 over all epochs. ``paper``: the SpikeCLIP papers'
    cosine from ``lr`` to ``lr``/10 over the first 50 epochs, constant afterwards.
    """

    epochs: float = 10.0
    batch_size: int = 128
    lr: float = 2e-3
    weight_decay: float = 0.03
    warmup_steps: int = 150
    schedule: Schedule = "cosine"
    seed: int = 0
    bf16: bool = True
    save_every: int = 200
    max_steps: int | None = None


def learning_rate(config: TrainConfig, step: int, steps: int, steps_per_epoch: int) -> float:
    """Return the learning rate of ``step`` out of ``steps``."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.schedule == "paper":
        epoch = step / steps_per_epoch
        if epoch >= 50:
            return 0.1 * config.lr
        return warm * config.lr * (0.55 + 0.45 * math.cos(math.pi * epoch / 50))
    return warm * config.lr * 0.5 * (1 + math.cos(math.pi * step / max(1, steps)))


def distributed() -> tuple[int, int]:
    """Return (rank, processes), joining the group that ``torchrun`` describes if there is one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("gloo")
        atexit.register(dist.destroy_process_group)
    return dist.get_rank(), dist.get_world_size()


def _batch(order_seed: int, n: int, step: int, size: int) -> torch.Tensor:
    per_epoch = n // size
    epoch, position = divmod(step, per_epoch)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(order_seed * 1_000_003 + epoch))
    return order[position * size : (position + 1) * size]


def _fingerprint(images: torch.Tensor, labels: torch.Tensor, config: TrainConfig) -> str:
    """Return what of the data and the settings the result depends on, in short."""
    digest = hashlib.sha256(labels.numpy().tobytes())
    digest.update(images[:: max(1, len(images) // 64)].contiguous().numpy().tobytes())
    settings = dataclasses.replace(config, save_every=0, max_steps=None)
    return f"{settings} {len(images)} images {digest.hexdigest()[:16]}"


def _state_tensors(module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    tensors = {f"model.{k}": v for k, v in module.state_dict().items()}
    names: dict[torch.Tensor, str] = {p: n for n, p in module.named_parameters()}
    for parameter, state in optimiser.state.items():
        for key, value in state.items():
            tensors[f"optim.{key}.{names[parameter]}"] = torch.as_tensor(value)
    return tensors


def _restore(module: nn.Module, optimiser: torch.optim.Optimizer, path: Path, identity: str) -> int:
    tensors, meta = checkpoint.load(path, "state")
    if meta.get("identity") != identity:
        raise checkpoint.CheckpointError(
            f"{path}: left by a run with other settings; delete it, or repeat the command with the old settings"
        )
    checkpoint.load_into(module, {k[6:]: v for k, v in tensors.items() if k.startswith("model.")}, path)
    for name, parameter in module.named_parameters():
        state = {
            key: tensors[f"optim.{key}.{name}"].clone()
            for key in ("step", "exp_avg", "exp_avg_sq")
            if f"optim.{key}.{name}" in tensors
        }
        for key in {"exp_avg", "exp_avg_sq"} & state.keys():
            # The fused optimiser walks memory: moments must lie as their parameter does (channels last).
            state[key] = torch.empty_like(parameter).copy_(state[key])
        if state:
            optimiser.state[parameter] = state
    return int(meta["step"])


def fit(
    module: nn.Module,
    step_loss: StepLoss,
    images: torch.Tensor,
    labels: torch.Tensor,
    config: TrainConfig,
    out: Path,
    identity: str,
    title: str,
) -> None:
    """Train ``module`` in place.

    images: (N, 32, 32, 3) uint8.  labels: (N,).  ``step_loss(module, images, labels, step)`` gets the
    augmented bytes and returns (loss, logits).  The state goes to ``<out>.state`` every
    ``config.save_every`` steps and is removed at the end; a run that finds it goes on from there.
    ``identity`` names everything the result depends on: a state left by other settings is refused.
    """
    rank, world = distributed()
    if config.batch_size % world:
        raise ConfigError(f"batch size: expected a multiple of the {world} processes, got {config.batch_size}")
    state_path = out.with_name(out.name + ".state")
    steps_per_epoch = max(1, len(images) // config.batch_size)
    if len(images) < config.batch_size:
        raise ConfigError(f"batch size: expected at most the {len(images)} training images, got {config.batch_size}")
    steps = max(1, round(config.epochs * steps_per_epoch))
    decayed = [p for p in module.parameters() if p.requires_grad and p.dim() > 1]
    plain = [p for p in module.parameters() if p.requires_grad and p.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=config.lr,
        fused=True,
    )
    identity = f"{identity} {_fingerprint(images, labels, config)} processes {world}"
    start = _restore(module, optimiser, state_path, identity) if state_path.exists() else 0
    wrapped = nn.parallel.DistributedDataParallel(module) if world > 1 else module
    module.train()
    bar = tqdm(total=steps, initial=start, desc=title, unit="step", disable=rank > 0, dynamic_ncols=True, mininterval=1)
    stop = steps if config.max_steps is None else min(steps, start + config.max_steps)
    correct = seen = 0
    began = time.perf_counter()
    for step in range(start, stop):
        rate = learning_rate(config, step, steps, steps_per_epoch)
        for group in optimiser.param_groups:
            group["lr"] = rate
        index = _batch(config.seed, len(images), step, config.batch_size)[rank::world]
        generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * world + rank)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
            loss, logits = step_loss(wrapped, augment(images[index], generator), labels[index], step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        correct += int((logits.argmax(1) == labels[index]).sum())
        seen += len(index)
        bar.update()
        if (step + 1) % 20 == 0:
            speed = (step + 1 - start) * config.batch_size / (time.perf_counter() - began)
            bar.set_postfix_str(f"loss {loss.item():.3f} accuracy {100 * correct / seen:.1f} % {speed:.0f} images/s")
        if (step + 1) % steps_per_epoch == 0:
            correct = seen = 0
        if rank == 0 and (step + 1) % config.save_every == 0 and step + 1 < steps:
            checkpoint.save(
                state_path, "state", _state_tensors(module, optimiser), {"step": step + 1, "identity": identity}
            )
    bar.close()
    if world > 1:  # each process has its own BatchNorm statistics of the last step; rank 0's are saved
        for buffer in module.buffers():
            dist.broadcast(buffer, 0)
    if rank == 0:
        if stop < steps:
            checkpoint.save(
                state_path, "state", _state_tensors(module, optimiser), {"step": stop, "identity": identity}
            )
        else:
            state_path.unlink(missing_ok=True)
    module.eval()
