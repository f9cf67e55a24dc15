from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.model.data import DataError, fashion_mnist, load


@pytest.fixture
def small(tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, np.ndarray]:
    """A folder with four small IDX files, whose checksums are taken for the official ones."""
    folder = tmp_path / "fashion"
    folder.mkdir()
    pixels = rng.integers(0, 256, (3, 28, 28), dtype=np.uint8)
    sums = {}
    for images, labels in fashion_mnist.FILES.values():
        contents = {
            images: struct.pack(">BBBBIII", 0, 0, 8, 3, 3, 28, 28) + pixels.tobytes(),
            labels: struct.pack(">BBBBI3B", 0, 0, 8, 1, 3, 0, 9, 4),
        }
        for stem, content in contents.items():
            (folder / f"{stem}.gz").write_bytes(gzip.compress(content))
            sums[stem] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(fashion_mnist, "SHA256", sums)
    return folder, pixels


def test_images_are_padded_and_grey(small: tuple[Path, np.ndarray]) -> None:
    folder, pixels = small
    test = load("fashion-mnist", "test", folder)
    for plane in range(3):
        np.testing.assert_array_equal(test.images[:, 2:30, 2:30, plane], pixels)
    assert not test.images[:, :2].any()
    assert [test.class_names[i] for i in test.labels] == ["t-shirt", "ankle boot", "coat"]


def test_changed_and_broken_files_are_named(small: tuple[Path, np.ndarray]) -> None:
    folder, _ = small
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz: SHA-256 .*, expected .*delete it"):
        load("fashion-mnist", "test", folder)
    whole = (folder / "train-labels-idx1-ubyte.gz").read_bytes()
    path.write_bytes(whole[:-6])
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz: cannot be unpacked"):
        load("fashion-mnist", "test", folder)


def test_fetched_from_the_official_address(
    small: tuple[Path, np.ndarray], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "no-package")
    monkeypatch.setattr(fashion_mnist, "_fetch_debian", lambda target: "no apt-get or dpkg-deb")
    monkeypatch.setattr(fashion_mnist, "OFFICIAL_ADDRESS", small[0].as_uri())
    assert len(load("fashion-mnist", "train")) == 3
    assert len(list((cache / "fashion-mnist").iterdir())) == 4


def test_missing_without_network_says_what_was_tried(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "no-package")
    monkeypatch.setattr(fashion_mnist, "DEBIAN_PACKAGE", "a-package-that-is-not-there")
    monkeypatch.setattr(fashion_mnist.shutil, "which", lambda name: None)
    monkeypatch.setattr(fashion_mnist, "OFFICIAL_ADDRESS", closed)
    with pytest.raises(DataError, match=f"no apt-get or dpkg-deb; {closed}/.*refused.*{cache}"):
        load("fashion-mnist", "train")
    with pytest.raises(DataError, match=r"no Fashion-MNIST files"):
        load("fashion-mnist", "train", tmp_path)
