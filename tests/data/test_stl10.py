from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from spikeclip_fpga.model.data import DataError, load, stl10

NAMES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]


def column_major(image: np.ndarray) -> bytes:
    """One STL-10 image: red, green, blue plane, each column by column from the left."""
    return b"".join(bytes(image[:, column, plane].tolist()) for plane in range(3) for column in range(96))


def write(folder: Path, pixels: np.ndarray, labels: list[int], split: str = "test") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}_X.bin").write_bytes(b"".join(map(column_major, pixels)))
    np.array(labels, np.uint8).tofile(folder / f"{split}_y.bin")
    (folder / "class_names.txt").write_text("\n".join(NAMES) + "\n")


@pytest.mark.parametrize("inside", ["", "stl10_binary"])
def test_images_are_read_upright_and_resized(tmp_path: Path, rng: np.random.Generator, inside: str) -> None:
    pixels = rng.integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    write(tmp_path / inside, pixels, [1, 10, 4])
    test = load("stl10", "test", tmp_path)
    assert [test.class_names[i] for i in test.labels] == ["airplane", "truck", "cat"]
    expected = [np.asarray(Image.fromarray(p).resize((32, 32), Image.Resampling.BILINEAR)) for p in pixels]
    np.testing.assert_array_equal(test.images, expected)


def test_a_bright_corner_stays_in_its_corner(tmp_path: Path) -> None:
    pixels = np.zeros((1, 96, 96, 3), np.uint8)
    pixels[0, :9, 87:, 0] = 255  # top right, red
    write(tmp_path, pixels, [1])
    found = load("stl10", "test", tmp_path).images[0]
    assert found[0, 31].tolist() == [255, 0, 0]
    assert found[31, 0].tolist() == [0, 0, 0]


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 2))
def test_any_image_comes_back_as_written(tmp_path: Path, seed: int, count: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 96, 96, 3), dtype=np.uint8)
    path = tmp_path / "any_X.bin"
    path.write_bytes(b"".join(map(column_major, pixels)))
    np.testing.assert_array_equal(stl10.decode_images(path), pixels)


def test_truncated_and_wrong_files_are_named(tmp_path: Path) -> None:
    pixels = np.zeros((2, 96, 96, 3), np.uint8)
    write(tmp_path, pixels, [1, 11])
    with pytest.raises(DataError, match=r"test_y.bin: labels 1 to 11, expected 1 to 10"):
        load("stl10", "test", tmp_path)
    write(tmp_path, pixels, [0, 1])
    with pytest.raises(DataError, match=r"test_y.bin: labels 0 to 1, expected 1 to 10"):
        load("stl10", "test", tmp_path)
    write(tmp_path, pixels, [1])
    with pytest.raises(DataError, match=r"test_y.bin: 1 labels for 2 images"):
        load("stl10", "test", tmp_path)
    path = tmp_path / "test_X.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"test_X.bin: 55295 bytes, expected a positive multiple of 27648"):
        load("stl10", "test", tmp_path)
    with pytest.raises(DataError, match=r"no train_X.bin in it; put stl10_binary.tar.gz"):
        load("stl10", "train", tmp_path)


def test_missing_without_network_says_where_it_goes(cache: Path, monkeypatch: pytest.MonkeyPatch, closed: str) -> None:
    address = f"{closed}/stl10_binary.tar.gz"
    monkeypatch.setattr(stl10, "ARCHIVE", replace(stl10.ARCHIVE, address=address))
    with pytest.raises(DataError, match=f"stl10: not on this machine .*{address}.*Put stl10_binary.tar.gz.*{cache}"):
        load("stl10", "train")
    with pytest.raises(DataError, match=r"stl10: expected split train or test"):
        load("stl10", "unlabeled")
