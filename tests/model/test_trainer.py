"""The training loop: schedules, determinism, resuming after a kill, two processes."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikeclip_fpga.model import trainer
from spikeclip_fpga.model.checkpoint import CheckpointError
from spikeclip_fpga.model.checkpoint import load as load_checkpoint
from spikeclip_fpga.model.config import ModelConfig
from spikeclip_fpga.model.data import ImageSet
from spikeclip_fpga.model.spikeclip import SpikeCLIP
from spikeclip_fpga.model.teacher import load_teacher, train_teacher
from spikeclip_fpga.model.train import accuracy, embed_images, load_student, train_student
from spikeclip_fpga.model.trainer import TrainConfig, learning_rate

SMALL = ModelConfig(preset="test", conv_channels=(4, 8, 8), depth=1, heads=2, embed_dim=6, timesteps=2)
SHORT = TrainConfig(epochs=2, batch_size=32, lr=5e-3, warmup_steps=2, seed=3)


class FixedTeacher:
    """A linear map of the image's mean colour: deterministic, and cheap."""

    embed_dim = 6
    logit_scale = 10.0

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return unit vectors."""
        colour = images.float().mean((1, 2)) / 128 - 1
        matrix = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
        return torch.nn.functional.normalize((colour @ matrix).float() + 0.1, dim=-1)


def random_images(count: int = 256) -> ImageSet:
    """Return noise with random labels."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    return ImageSet("noise", "train", images, rng.integers(0, 4, count), ("a", "b", "c", "d"))


def captions(classes: int = 4) -> torch.Tensor:
    """Return unit vectors."""
    return torch.nn.functional.normalize(torch.randn(classes, 6, generator=torch.Generator().manual_seed(5)), dim=-1)


def train(out: Path, config: TrainConfig = SHORT, **options: Any) -> dict[str, torch.Tensor]:
    """Train a small student and return its state."""
    return train_student(random_images(), FixedTeacher(), captions(), SMALL, config, out, **options).state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Return whether two states are equal bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_the_papers_schedule() -> None:
    config = TrainConfig(lr=5e-3, schedule="paper", warmup_steps=0)
    for step in (0, 7, 130, 499):  # ten steps an epoch
        t = step / 10
        expected = 2.75e-3 + 2.25e-3 * math.cos(math.pi * t / 50)
        assert learning_rate(config, step, 2000, 10) == pytest.approx(expected, rel=1e-12)
    assert learning_rate(config, 500, 2000, 10) == pytest.approx(5e-4, rel=1e-12)
    assert learning_rate(config, 1999, 2000, 10) == pytest.approx(5e-4, rel=1e-12)


def test_the_cosine_schedule() -> None:
    config = TrainConfig(lr=2e-3, warmup_steps=10)
    rates = [learning_rate(config, step, 100, 20) for step in range(100)]
    assert rates[0] == pytest.approx(2e-4) and max(rates) == rates[9]
    assert rates[50] == pytest.approx(1e-3) and 0 < rates[99] < 1e-5
    assert all(a > b for a, b in itertools.pairwise(rates[9:]))


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path: Path) -> None:
    first, second = train(tmp_path / "a"), train(tmp_path / "b")
    assert same(first, second)
    assert not same(first, train(tmp_path / "c", dataclasses.replace(SHORT, seed=4)))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c"]


@pytest.mark.parametrize("bf16", [True, False])
def test_stopping_and_resuming_gives_the_bits_of_one_run(tmp_path: Path, bf16: bool) -> None:
    # 16 steps, in pieces of 5: each call goes on where the last one stopped.
    whole = train(tmp_path / "whole", dataclasses.replace(SHORT, bf16=bf16))
    pieces = dataclasses.replace(SHORT, bf16=bf16, max_steps=5)
    for _ in range(3):
        partial = train(tmp_path / "pieces", pieces)
        assert (tmp_path / "pieces.state").exists() and not same(whole, partial)
    assert same(whole, train(tmp_path / "pieces", pieces))
    assert not (tmp_path / "pieces.state").exists()


def test_the_teacher_resumes_too(tmp_path: Path) -> None:
    config = TrainConfig(epochs=1, batch_size=64, warmup_steps=1, bf16=False)
    whole = train_teacher(random_images(), FixedText(), config, tmp_path / "whole", width=4)
    pieces = dataclasses.replace(config, max_steps=2)
    train_teacher(random_images(), FixedText(), pieces, tmp_path / "pieces", width=4)
    resumed = train_teacher(random_images(), FixedText(), pieces, tmp_path / "pieces", width=4)
    assert same(whole.state_dict(), resumed.state_dict())


def test_a_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "a", dataclasses.replace(SHORT, max_steps=3))
    for other in ({"seed": 4}, {"lr": 1e-3}, {"batch_size": 64}, {"epochs": 3.0}):
        with pytest.raises(CheckpointError, match=r"a\.state: left by a run with other settings; delete it"):
            train(tmp_path / "a", dataclasses.replace(SHORT, max_steps=3, **other))
    with pytest.raises(CheckpointError, match="other settings"):
        train(tmp_path / "a", dataclasses.replace(SHORT, max_steps=3), alpha=0.5)
    with pytest.raises(CheckpointError, match="other settings"):
        train(tmp_path / "a", dataclasses.replace(SHORT, max_steps=3), meta={"teacher_sha256": "another"})
    with pytest.raises(CheckpointError, match="other settings"):
        fewer = random_images().take(200)
        train_student(fewer, FixedTeacher(), captions(), SMALL, dataclasses.replace(SHORT, max_steps=3), tmp_path / "a")


def test_how_often_the_state_is_saved_may_change(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    train(tmp_path / "a", dataclasses.replace(SHORT, max_steps=3))
    assert same(whole, train(tmp_path / "a", dataclasses.replace(SHORT, save_every=1)))


def test_a_truncated_state_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "a", dataclasses.replace(SHORT, max_steps=3))
    state = tmp_path / "a.state"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"a\.state: truncated") as info:
        train(tmp_path / "a", dataclasses.replace(SHORT, max_steps=3))
    assert "\n" not in str(info.value)


def test_batches_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch size: expected at most the 256 training images, got 300"):
        train(tmp_path / "a", dataclasses.replace(SHORT, batch_size=300))
    with pytest.raises(ValueError, match="embed_dim: student 6, teacher 6, labels 5"):
        train_student(random_images(), FixedTeacher(), torch.ones(4, 5), SMALL, SHORT, tmp_path / "a")


def test_every_epoch_visits_each_image_once_in_a_new_order() -> None:
    epochs = [torch.cat([trainer._batch(7, 64, epoch * 4 + i, 16) for i in range(4)]) for epoch in range(3)]
    assert all(sorted(e.tolist()) == list(range(64)) for e in epochs)
    assert not torch.equal(epochs[0], epochs[1]) and not torch.equal(epochs[1], epochs[2])
    assert not torch.equal(epochs[0], torch.cat([trainer._batch(8, 64, i, 16) for i in range(4)]))


# -- in processes of their own ----------------------------------------------------------------------

SCRIPT = """
import os, sys
from pathlib import Path
import numpy as np, torch
from spikeclip_fpga.model.config import ModelConfig
from spikeclip_fpga.model.data import ImageSet
from spikeclip_fpga.model.train import train_student
from spikeclip_fpga.model.trainer import TrainConfig

torch.set_num_threads(1)
out, epochs, save_every = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])

class Teacher:
    embed_dim, logit_scale = 6, 10.0
    def embed(self, images):
        colour = images.float().mean((1, 2)) / 128 - 1
        matrix = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
        return torch.nn.functional.normalize((colour @ matrix).float() + 0.1, dim=-1)

rng = np.random.default_rng(1)
images = rng.integers(0, 256, (256, 32, 32, 3), dtype=np.uint8)
data = ImageSet("noise", "train", images, rng.integers(0, 4, 256), tuple("abcd"))
captions = torch.nn.functional.normalize(torch.randn(4, 6, generator=torch.Generator().manual_seed(5)), dim=-1)
model = ModelConfig(preset="test", conv_channels=(4, 8, 8), depth=1, heads=2, embed_dim=6, timesteps=2)
config = TrainConfig(epochs=epochs, batch_size=32, lr=5e-3, warmup_steps=2, seed=3, save_every=save_every)
net = train_student(data, Teacher(), captions, model, config, out)
torch.save(net.state_dict(), f"{out}.rank{os.environ.get('RANK', '0')}")
"""


def start(tmp_path: Path, *command: str) -> subprocess.Popen[str]:
    """Start Python on the training script in a process group of its own."""
    script = tmp_path / "train_tiny.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    full = [sys.executable, *command]
    full[full.index("SCRIPT")] = str(script)
    return subprocess.Popen(
        full, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(tmp_path: Path) -> None:
    """SIGKILL in the middle of a run; the repeated command resumes from the last saved state."""
    out, state = tmp_path / "net", tmp_path / "net.state"
    process = start(tmp_path, "SCRIPT", str(out), "15", "3")
    deadline = time.monotonic() + 600
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    step = int(load_checkpoint(state, "state")[1]["step"])
    assert 0 < step < 120 and not out.exists()
    resumed = start(tmp_path, "SCRIPT", str(out), "15", "3")
    output, _ = resumed.communicate(timeout=600)
    assert resumed.returncode == 0, output
    whole = start(tmp_path, "SCRIPT", str(tmp_path / "whole"), "15", "1000")
    output, _ = whole.communicate(timeout=600)
    assert whole.returncode == 0, output
    assert same(load_checkpoint(out, "float")[0], load_checkpoint(tmp_path / "whole", "float")[0])
    assert not state.exists()


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    """The same script, unchanged, under torchrun: both ranks end with the weights that are on the disk."""
    out = tmp_path / "net"
    rendezvous = ["--standalone", "--nnodes", "1", "--nproc_per_node", "2"]
    process = start(tmp_path, "-m", "torch.distributed.run", *rendezvous, "SCRIPT", str(out), "1", "4")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    states = [torch.load(f"{out}.rank{rank}", weights_only=True) for rank in range(2)]
    assert len(states[0]) > 20 and same(*states)
    assert same(states[0], load_checkpoint(out, "float")[0])
    single = train(tmp_path / "alone", dataclasses.replace(SHORT, epochs=1))
    # Same batches, other augmentation and batch statistics: near, not equal.
    distance = torch.cat([(single[k].float() - states[0][k].float()).flatten() for k in single if "weight" in k])
    assert 0 < float(distance.abs().mean()) < 0.05
    assert sorted(p.suffix for p in tmp_path.iterdir()).count(".part") == 0


# -- learning ---------------------------------------------------------------------------------------


class FixedText:
    """A text tower of three fixed vectors a class name."""

    name = "fixed"

    def embed(self, sentences: Any) -> np.ndarray:
        """Return a unit vector that depends on the class letter alone."""
        rows = [np.eye(6, dtype=np.float32)["abcd".index(s.rstrip(".!?")[-1])] for s in sentences]
        return np.stack(rows)


def separable(count: int, seed: int) -> ImageSet:
    """Return four classes that differ in the brightness of one quarter of the image."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    images = rng.integers(0, 140, (count, 32, 32, 3))
    for i, label in enumerate(labels):
        row = 16 * (label // 2)
        # Left-right is what augmentation flips: classes differ in row and colour.
        images[i, row : row + 16, :, label % 2] += 110
    return ImageSet("quarters", "train", images.astype(np.uint8), labels, ("a", "b", "c", "d"))


def test_teacher_and_student_learn_a_separable_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikeclip_fpga.model.teacher.templates", lambda name: ("photo of a {}", "drawing of a {}"))
    data, test = separable(512, 1), separable(200, 2)
    vectors = np.eye(6, dtype=np.float32)[:4]
    config = TrainConfig(epochs=4, batch_size=32, lr=5e-3, warmup_steps=5)
    teacher = train_teacher(data, FixedText(), config, tmp_path / "teacher", width=4)
    assert accuracy(teacher.embed(torch.from_numpy(test.images)).numpy(), vectors, test.labels) > 80
    again = load_teacher(tmp_path / "teacher")
    images = torch.from_numpy(test.images[:8])
    assert torch.equal(again.embed(images), teacher.embed(images))

    student = train_student(data, again, torch.from_numpy(vectors), SMALL, config, tmp_path / "student")
    fresh = SpikeCLIP(SMALL)
    before = accuracy(embed_images(fresh, test.images), vectors, test.labels)
    after = accuracy(embed_images(student, test.images), vectors, test.labels)
    assert after > 60 > before  # chance is 25
    loaded, meta = load_student(tmp_path / "student")
    np.testing.assert_array_equal(embed_images(loaded, test.images), embed_images(student, test.images))
    assert ModelConfig.from_json(meta["config"]) == SMALL and meta["dataset"] == "quarters"
