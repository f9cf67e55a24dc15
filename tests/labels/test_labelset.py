from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeclip_fpga.quantize.labelset import LabelError, LabelSet, read_labels, write_labels

ONCE = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(str.strip)


def unit(seed: int, count: int, dim: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def example(dim: int = 8) -> LabelSet:
    return LabelSet(unit(0, 3, dim), ("cat", "dog", "ankle boot"), ("a photo of a {}.",), "minilm", "unit")


def same(a: LabelSet, b: LabelSet) -> bool:
    return np.array_equal(a.embeddings, b.embeddings) and all(
        getattr(a, key) == getattr(b, key) for key in ("names", "templates", "tower", "normalisation")
    )


@ONCE
@given(
    seed=st.integers(0, 2**32 - 1),
    dim=st.integers(1, 9),
    names=st.lists(TEXT, min_size=1, max_size=4),
    templates=st.lists(TEXT, max_size=3),
    tower=TEXT,
    normalisation=TEXT,
)
def test_what_is_written_comes_back(
    tmp_path: Path, seed: int, dim: int, names: list[str], templates: list[str], tower: str, normalisation: str
) -> None:
    labels = LabelSet(unit(seed, len(names), dim), tuple(names), tuple(templates), tower, normalisation)
    write_labels(tmp_path / "labels.npz", labels)
    found = read_labels(tmp_path / "labels.npz")
    assert same(found, labels)
    assert found.checksum == labels.checksum
    assert found.source.endswith("labels.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["labels.npz"]


@ONCE
@given(data=st.data())
def test_a_flipped_byte_never_changes_labels_unseen(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "labels.npz"
    write_labels(path, example())
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    message = ""
    try:
        found = read_labels(path)
    except LabelError as error:
        message = str(error)
    if message:
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
    else:  # a byte that carries nothing, such as a date in the zip's directory
        assert same(found, example())


def test_one_flipped_byte_of_an_embedding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.npz"
    write_labels(path, example())
    content = bytearray(path.read_bytes())
    content[content.index(example().embeddings.tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(LabelError, match=r"labels.npz: damaged or not a labels file .*; write the labels again"):
        read_labels(path)


def rewritten(path: Path, **changes: object) -> Path:
    """Write labels, then change entries with the zip's own checksums in order, as an editor would."""
    write_labels(path, example())
    with np.load(path) as file:
        entries = dict(file)
    np.savez(path, **{k: v for k, v in (entries | changes).items() if v is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": np.array(["cat", "dog", "shoe"])}, "SHA-256 .*, expected .*: changed or damaged"),
        ({"templates": np.array(["{}"])}, "SHA-256"),
        ({"tower": np.array("clip")}, "SHA-256"),
        ({"normalisation": np.array("none")}, "SHA-256"),
        ({"checksum": np.array("0" * 64)}, "expected 000000000000…"),
        ({"embeddings": unit(1, 3, 8)}, "SHA-256"),
        ({"embeddings": unit(0, 3, 8) * np.float32(1.01)}, "the embedding of 'cat' has length 1.01, expected 1"),
        ({"embeddings": np.full((3, 8), np.nan, np.float32)}, "length nan, expected 1"),
        ({"embeddings": unit(0, 3, 8).astype(np.float64)}, "expected float32 .*, got float64"),
        ({"embeddings": unit(0, 3, 8)[0]}, r"got float32 \(8,\)"),
        ({"embeddings": unit(0, 2, 8)}, "3 names for 2 embeddings"),
        ({"embeddings": None}, "damaged or not a labels file"),
        ({"names": np.array(["cat", " ", "shoe"])}, "' ' where a name"),
        ({"format": np.array("spikeclip-labels/9")}, "format 'spikeclip-labels/9', expected 'spikeclip-labels/1'"),
    ],
)
def test_changed_content_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = rewritten(tmp_path / "labels.npz", **changes)
    with pytest.raises(LabelError, match=message) as caught:
        read_labels(path)
    assert str(caught.value).startswith(str(path))


def test_pickled_foreign_truncated_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.npz"
    np.savez(path, names=np.array([{"a": 1}], dtype=object))
    with pytest.raises(LabelError, match=r"damaged or not"):
        read_labels(path)
    path = rewritten(path, names=np.array(["cat", "dog", None], dtype=object))
    with pytest.raises(LabelError, match=r"allow_pickle"):
        read_labels(path)
    write_labels(path, example())
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(LabelError, match=r"damaged or not"):
        read_labels(path)
    path.write_text(json.dumps({"names": []}))
    with pytest.raises(LabelError, match=r"damaged or not"):
        read_labels(path)
    with pytest.raises(LabelError, match=r"absent.npz: no such file"):
        read_labels(tmp_path / "absent.npz")


def test_another_dimension_is_refused_naming_both(tmp_path: Path) -> None:
    path = tmp_path / "labels.npz"
    write_labels(path, example(dim=8))
    labels = read_labels(path)
    labels.require_dim(8)
    assert (labels.dim, len(labels)) == (8, 3)
    with pytest.raises(LabelError, match=r"labels.npz: .*8 dimensions \(text tower minilm\), expected .*512; write"):
        labels.require_dim(512)


def test_the_checksum_covers_every_field_and_is_unambiguous() -> None:
    base = example()
    others = [
        replace(base, names=("cat", "dog", "ankle boots")),
        replace(base, names=("dog", "cat", "ankle boot")),
        replace(base, templates=("a photo of a {}", ".")),
        replace(base, tower="clip"),
        replace(base, normalisation="other"),
        replace(base, embeddings=-base.embeddings),
    ]
    assert len({labels.checksum for labels in (base, *others)}) == 1 + len(others)
    assert replace(base, source="elsewhere").checksum == base.checksum


def test_files_are_reproducible_and_plain(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_labels(tmp_path / name, example())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert zipfile.ZipFile(tmp_path / "a.npz").testzip() is None


@pytest.mark.parametrize("module", ["quantize.labelset", "host.images"])
def test_what_the_board_reads_with_imports_only_numpy(module: str) -> None:
    heavy = "torch", "PIL", "transformers", "onnx", "safetensors"
    code = f"import sys, spikeclip_fpga.{module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
