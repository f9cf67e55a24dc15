"""Archives, by the example of CIFAR-10 with two images a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.model.data import DataError, cifar, load


def record(image: np.ndarray, label: int) -> bytes:
    return bytes([label]) + image.transpose(2, 0, 1).tobytes()


@pytest.fixture
def pixels(rng: np.random.Generator) -> np.ndarray:
    """Return two images."""
    return rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


def small_kind(address: str, md5: str) -> cifar.Cifar:
    """CIFAR-10 with two images a batch, behind another address."""
    sizes = {key: size and 2 * 3073 for key, size in cifar.CIFAR10.archive.sizes.items()}
    return replace(cifar.CIFAR10, archive=replace(cifar.CIFAR10.archive, address=address, md5=md5, sizes=sizes))


def small_members(pixels: np.ndarray) -> dict[str, bytes]:
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    members = {f"cifar-10-batches-bin/{n}": record(pixels[0], 1) + record(pixels[1], 2) for n in names}
    return members | {"cifar-10-batches-bin/batches.meta.txt": "\n".join(f"class_{i}" for i in range(10)).encode()}


Pack = Callable[[Path, dict[str, bytes]], str]


def test_an_archive_in_the_cache_is_unpacked_and_only_its_wanted_files(
    cache: Path, pixels: np.ndarray, pack: Pack, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    extra = {"../escaped.bin": b"x", "cifar-10-batches-bin/readme.html": b"y", "other/test_batch.bin": b"z"}
    md5 = pack(cache / "cifar10" / "cifar-10-binary.tar.gz", extra | small_members(pixels))
    monkeypatch.setattr(cifar, "CIFAR10", small_kind(f"{closed}/cifar-10-binary.tar.gz", md5))
    np.testing.assert_array_equal(load("cifar10", "test").images, pixels)
    written = {str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file()}
    assert written == {"cifar10/cifar-10-binary.tar.gz"} | {f"cifar10/{name}" for name in small_members(pixels)}
    short = cache / "cifar10" / "cifar-10-batches-bin" / "test_batch.bin"
    short.write_bytes(record(pixels[0], 1))
    with pytest.raises(DataError, match=r"test_batch.bin: 3073 bytes, expected 6146; delete it"):
        load("cifar10", "test")


def test_a_fetched_archive_is_checked_before_it_is_kept(
    tmp_path: Path, cache: Path, pixels: np.ndarray, pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = tmp_path / "served" / "cifar-10-binary.tar.gz"
    md5 = pack(served, small_members(pixels))
    monkeypatch.setattr(cifar, "CIFAR10", small_kind(served.as_uri(), "0" * 32))
    with pytest.raises(DataError, match=f"MD5 {md5}, expected 0000"):
        load("cifar10", "test")
    assert not list((cache / "cifar10").iterdir())
    monkeypatch.setattr(cifar, "CIFAR10", small_kind(served.as_uri(), md5))
    assert len(load("cifar10", "train")) == 10


def test_a_wrong_checksum_size_kind_or_content_of_an_archive_is_refused(
    tmp_path: Path, pixels: np.ndarray, pack: Pack, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    members = small_members(pixels)

    def attempt(content: dict[str, bytes], message: str, md5: str | None = None) -> None:
        found = pack(path, content)
        monkeypatch.setattr(cifar, "CIFAR10", small_kind(f"{closed}/{path.name}", md5 or found))
        with pytest.raises(DataError, match=message):
            load("cifar10", "test", tmp_path)

    attempt(members, "MD5 .*, expected 1111.*; delete it and fetch", "1" * 32)
    member = "cifar-10-batches-bin/test_batch.bin"
    attempt(members | {member: bytes(3073)}, "test_batch.bin has 3073 bytes, expected a file of 6146")
    attempt({k: v for k, v in members.items() if k != member}, "no cifar-10-batches-bin/test_batch.bin in it")


def test_missing_without_network_says_what_was_tried(cache: Path, monkeypatch: pytest.MonkeyPatch, closed: str) -> None:
    address = f"{closed}/cifar-10-binary.tar.gz"
    monkeypatch.setattr(
        cifar, "CIFAR10", replace(cifar.CIFAR10, archive=replace(cifar.CIFAR10.archive, address=address))
    )
    with pytest.raises(DataError) as caught:
        load("cifar10", "train")
    message = str(caught.value)
    for part in ("data_batch_1.bin", str(cache / "cifar10"), address, "refused", "Put cifar-10-binary.tar.gz"):
        assert part in message
    assert "\n" not in message
