"""Each mistake a user can make: one line that names the file and the remedy, a non-zero exit, nothing half-written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
TINY = ARTIFACTS / "tiny.int.safetensors"
LABELS = ARTIFACTS / "labels.npz"


def spikeclip(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "spikeclip_fpga.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={**os.environ, **environment},
    )


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("spikeclip: "), done.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(path)
    return path


def test_classify_works_then_fails_on_each_bad_input(tmp_path: Path, picture: Path) -> None:
    fine = spikeclip("classify", picture, "--network", TINY, "--labels", LABELS, "--top", 2, cwd=tmp_path)
    assert fine.returncode == 0 and "picture.png" in fine.stdout

    missing = spikeclip("classify", picture, "--network", "none.safetensors", "--labels", LABELS, cwd=tmp_path)
    one_line(missing, "none.safetensors", "spikeclip lower")

    truncated = tmp_path / "cut.int.safetensors"
    truncated.write_bytes(TINY.read_bytes()[:5000])
    one_line(spikeclip("classify", picture, "--network", truncated, "--labels", LABELS, cwd=tmp_path), "cut.int")

    foreign = ARTIFACTS / "teacher.safetensors"
    one_line(spikeclip("classify", picture, "--network", foreign, "--labels", LABELS, cwd=tmp_path), "teacher", "lower")

    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:40])
    one_line(spikeclip("classify", broken, "--network", TINY, "--labels", LABELS, cwd=tmp_path), "broken.png")

    wide = tmp_path / "wide.png"
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(wide)
    done = spikeclip("classify", wide, "--network", TINY, "--labels", LABELS, "--strict-size", cwd=tmp_path)
    one_line(done, "wide.png", "32x32", "40x20")


def test_labels_of_another_dimension(tmp_path: Path, picture: Path) -> None:
    from spikeclip_fpga.quantize.labelset import LabelSet, write_labels

    path = tmp_path / "clip.npz"
    write_labels(path, LabelSet(np.eye(4, 512, dtype=np.float32), ("a", "b", "c", "d"), ("{}",), "clip", "unit"))
    one_line(
        spikeclip("classify", picture, "--network", TINY, "--labels", path, cwd=tmp_path), "clip.npz", "512", "384"
    )


def test_truncated_and_mismatched_checkpoints(tmp_path: Path) -> None:
    cut = tmp_path / "cut.float.safetensors"
    cut.write_bytes((ARTIFACTS / "tiny.float.safetensors").read_bytes()[:-100])
    one_line(spikeclip("quantize", cut, cwd=tmp_path), "cut.float.safetensors", "spikeclip train")
    assert [p.name for p in tmp_path.iterdir()] == ["cut.float.safetensors"]

    one_line(spikeclip("quantize", ARTIFACTS / "teacher.safetensors", cwd=tmp_path), "teacher", "float")

    from spikeclip_fpga.model import checkpoint
    from spikeclip_fpga.model.config import preset

    tensors, meta = checkpoint.load(ARTIFACTS / "tiny.float.safetensors", "float")
    other = tmp_path / "other.float.safetensors"
    checkpoint.save(other, "float", tensors, {**meta, "config": preset("small").to_json()})
    one_line(spikeclip("quantize", other, cwd=tmp_path), "other.float.safetensors", "shape")


def test_lower_refuses_a_truncated_graph(tmp_path: Path) -> None:
    graph = tmp_path / "bad.qonnx.onnx"
    graph.write_bytes(b"\x08\x07\x12")
    one_line(spikeclip("lower", graph, cwd=tmp_path), "bad.qonnx.onnx", "spikeclip quantize")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.qonnx.onnx"]


def test_no_data_and_no_network(tmp_path: Path) -> None:
    """Nothing in the folder given, so nothing is fetched behind the user's back."""
    done = spikeclip("train", "--data-root", tmp_path, "--teacher", ARTIFACTS / "teacher.safetensors", cwd=tmp_path)
    one_line(done, str(tmp_path), "Fashion-MNIST")
    assert not list(tmp_path.iterdir())


def test_unknown_preset_and_layer_bits(tmp_path: Path) -> None:
    teacher = ARTIFACTS / "teacher.safetensors"
    one_line(spikeclip("train", "--preset", "huge", "--teacher", teacher, cwd=tmp_path), "tiny, small, base", "huge")
    checkpoint = ARTIFACTS / "tiny.float.safetensors"
    one_line(spikeclip("quantize", checkpoint, "--layer-bits", "fc2:6", cwd=tmp_path), "LAYER=BITS")
    one_line(spikeclip("quantize", checkpoint, "--bits", "9", cwd=tmp_path), "2 to 8", "9")
    one_line(spikeclip("quantize", checkpoint, "--layer-bits", "fc2=6", cwd=tmp_path), "fc2", "blocks.0.mlp.fc2")


def test_no_file_is_overwritten_by_another(tmp_path: Path) -> None:
    """Names that would make an output land on its input are refused before anything is written."""
    plain = tmp_path / "student.safetensors"
    plain.write_bytes((ARTIFACTS / "tiny.float.safetensors").read_bytes())
    one_line(spikeclip("quantize", plain, cwd=tmp_path), "student.safetensors", ".qat.safetensors", "--out")
    graph = tmp_path / "graph.onnx"
    graph.write_bytes((ARTIFACTS / "tiny.qonnx.onnx").read_bytes())
    one_line(spikeclip("lower", graph, cwd=tmp_path), "graph.onnx", "--out")
    assert graph.read_bytes() == (ARTIFACTS / "tiny.qonnx.onnx").read_bytes()
    assert plain.read_bytes() == (ARTIFACTS / "tiny.float.safetensors").read_bytes()


def test_missing_compiler(tmp_path: Path) -> None:
    done = spikeclip(
        "quantize", ARTIFACTS / "tiny.qat.safetensors", cwd=tmp_path, CXX="no-such-g++", XDG_CACHE_HOME=str(tmp_path)
    )
    one_line(done, "no-such-g++", "install g++")
