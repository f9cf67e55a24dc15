from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeclip_fpga.model.data import DataError, cifar, load

CIFAR10_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FIXTURES_ONCE = settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


def record(image: np.ndarray, *labels: int) -> bytes:
    """One CIFAR record, pixel by pixel: labels, then the red, the green and the blue plane, row by row."""
    pixels = [int(image[row, column, plane]) for plane in range(3) for row in range(32) for column in range(32)]
    return struct.pack(f"{len(labels) + 3072}B", *labels, *pixels)


def images(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def write_cifar10(folder: Path, pixels: np.ndarray) -> None:
    """Two images a training batch and four in the test batch, all from the 14 of ``pixels``."""
    folder.mkdir(parents=True)
    (folder / "batches.meta.txt").write_text("\n".join(CIFAR10_NAMES) + "\n\n")
    for i in range(5):
        content = b"".join(record(pixels[2 * i + j], (2 * i + j) % 10) for j in range(2))
        (folder / f"data_batch_{i + 1}.bin").write_bytes(content)
    (folder / "test_batch.bin").write_bytes(b"".join(record(pixels[10 + j], 9 - j) for j in range(4)))


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_cifar10_is_read_from_a_folder(tmp_path: Path, rng: np.random.Generator, inside: str) -> None:
    pixels = images(rng, 14)
    write_cifar10(tmp_path / "given" / inside, pixels)
    train, test = (load("cifar10", split, tmp_path / "given") for split in ("train", "test"))
    np.testing.assert_array_equal(train.images, pixels[:10])
    np.testing.assert_array_equal(test.images, pixels[10:])
    assert train.labels.tolist() == list(range(10))
    assert test.labels.tolist() == [9, 8, 7, 6]
    assert train.class_names == tuple(CIFAR10_NAMES)
    assert train.images.flags.c_contiguous


def test_cifar100_takes_the_fine_label(tmp_path: Path, rng: np.random.Generator) -> None:
    names = [f"class_{i:02d}" for i in range(98)] + ["aquarium_fish", "lawn_mower"]
    pixels = images(rng, 3)
    (tmp_path / "fine_label_names.txt").write_text("\n".join(names) + "\n")
    (tmp_path / "test.bin").write_bytes(
        b"".join(record(p, 5, fine) for p, fine in zip(pixels, (98, 0, 99), strict=True))
    )
    test = load("cifar100", "test", tmp_path)
    np.testing.assert_array_equal(test.images, pixels)
    assert [test.class_names[i] for i in test.labels] == ["aquarium fish", "class 00", "lawn mower"]


@FIXTURES_ONCE
@given(label_bytes=st.sampled_from([1, 2]), seed=st.integers(0, 2**32 - 1), count=st.integers(1, 3))
def test_any_record_comes_back_as_written(tmp_path: Path, label_bytes: int, seed: int, count: int) -> None:
    kind = cifar.CIFAR10 if label_bytes == 1 else cifar.CIFAR100
    rng = np.random.default_rng(seed)
    pixels, labels = images(rng, count), rng.integers(0, kind.classes, (count, label_bytes))
    path = tmp_path / "records.bin"
    path.write_bytes(b"".join(record(p, *map(int, row)) for p, row in zip(pixels, labels, strict=True)))
    found, found_labels = cifar.decode_records(path, kind)
    np.testing.assert_array_equal(found, pixels)
    np.testing.assert_array_equal(found_labels, labels[:, -1])


@FIXTURES_ONCE
@given(size=st.integers(0, 3 * 3073))
def test_only_whole_records_are_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut.bin"
    path.write_bytes(bytes(size))
    if size and size % 3073 == 0:
        assert len(cifar.decode_records(path, cifar.CIFAR10)[0]) == size // 3073
    else:
        with pytest.raises(DataError, match=f"cut.bin: {size} bytes, expected a positive multiple of 3073.*unpack"):
            cifar.decode_records(path, cifar.CIFAR10)


def test_a_label_out_of_range_names_the_file(tmp_path: Path, rng: np.random.Generator) -> None:
    write_cifar10(tmp_path / "c", images(rng, 14))
    (tmp_path / "c" / "data_batch_3.bin").write_bytes(record(images(rng, 1)[0], 10))
    with pytest.raises(DataError, match=r"data_batch_3.bin: label 10, expected 0 to 9"):
        load("cifar10", "train", tmp_path / "c")


def test_a_missing_file_and_a_wrong_list_are_named(tmp_path: Path, rng: np.random.Generator) -> None:
    write_cifar10(tmp_path / "c", images(rng, 14))
    (tmp_path / "c" / "data_batch_4.bin").unlink()
    with pytest.raises(
        DataError, match=r"no data_batch_4.bin in it; put cifar-10-binary.tar.gz from https://www.cs.toro"
    ):
        load("cifar10", "train", tmp_path / "c")
    (tmp_path / "c" / "batches.meta.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match=r"batches.meta.txt: 2 class names, expected 10"):
        load("cifar10", "test", tmp_path / "c")


@pytest.mark.parametrize(
    ("name", "file", "address"),
    [
        ("cifar10", "data_batch_1", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"),
        ("cifar10", "cifar-10-python.tar.gz", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"),
        ("cifar100", "meta", "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"),
    ],
)
def test_the_python_version_is_refused_unread(tmp_path: Path, name: str, file: str, address: str) -> None:
    (tmp_path / file).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")  # a pickle that would run a command
    with pytest.raises(DataError, match=f"{file} is the python version.*binary version instead: {address}") as caught:
        load(name, "train", tmp_path)
    assert "\n" not in str(caught.value)


def test_unknown_names_splits_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one of fashion-mnist, cifar10, cifar100, stl10, folder, got 'mnist'"):
        load("mnist", "train")
    with pytest.raises(DataError, match=r"cifar10: expected split train or test, got 'val'"):
        load("cifar10", "val")
    with pytest.raises(DataError, match=r"nowhere: no such folder"):
        load("cifar100", "train", tmp_path / "nowhere")
