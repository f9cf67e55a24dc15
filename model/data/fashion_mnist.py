"""Fashion-MNIST (Xiao et al. 2017, MIT): 60,000 + 10,000 grey 28x28 images of ten kinds of clothing.

Found, in this order: a folder given by the user, torchvision's layout, Debian's package
``dataset-fashion-mnist`` (installed, or fetched and unpacked without root), the official address.
Every file is checked against its SHA-256 before it is read.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .archive import download
from .imageset import DataError, ImageSet

NAME = "fashion-mnist"
CLASS_NAMES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FETCH_TIMEOUT_S = 300
OFFICIAL_ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
# Of the uncompressed files, since Debian recompresses them.
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def _content(folder: Path, stem: str) -> bytes | None:
    for path in (folder / f"{stem}.gz", folder / stem):
        if not path.is_file():
            continue
        try:
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: cannot be unpacked ({error}); delete it and run again") from error
        found = hashlib.sha256(data).hexdigest()
        if found != SHA256[stem]:
            raise DataError(f"{path}: SHA-256 {found[:12]}…, expected {SHA256[stem][:12]}…; delete it and run again")
        return data
    return None


def _idx(data: bytes, where: str) -> np.ndarray:
    """Read an IDX file of unsigned bytes (LeCun's format: 0, 0, 8, rank, then the sizes)."""
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise DataError(f"{where}: not an IDX file of bytes")
    rank = data[3]
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank))
    start = 4 + 4 * rank
    if len(data) - start != int(np.prod(shape)):
        raise DataError(f"{where}: {len(data) - start} bytes of data, its header promises {int(np.prod(shape))}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _folders(root: Path | None, cache: Path) -> Iterator[Path]:
    if root is not None:
        yield from (root, root / "FashionMNIST" / "raw")
        return
    yield DEBIAN_FOLDER
    yield cache / NAME


def _fetch_debian(target: Path) -> str | None:
    """Unpack Debian's package into ``target`` without root; return why not, or None."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "no apt-get or dpkg-deb"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            _download_debian(scratch)
            for archive in Path(scratch).glob("*.deb"):
                _run(["dpkg-deb", "-x", str(archive), scratch], scratch)
            target.mkdir(parents=True, exist_ok=True)
            for stem in SHA256:
                packed = Path(scratch) / DEBIAN_FOLDER.relative_to("/") / f"{stem}.gz"
                partial = target / f"{stem}.gz.{os.getpid()}.part"
                shutil.copyfile(packed, partial)
                partial.replace(target / f"{stem}.gz")
        except subprocess.CalledProcessError as error:
            last = (error.stderr.strip().splitlines() or ["no message"])[-1]
            return f"{' '.join(error.cmd[:2])} failed: {last}"
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{DEBIAN_PACKAGE}: {error}"
    return None


def _download_debian(folder: str) -> None:
    """Put Debian's package into ``folder``; fetch package lists of our own if the machine has none (a new image)."""
    try:
        _run(["apt-get", "download", DEBIAN_PACKAGE], folder)
    except subprocess.CalledProcessError:
        lists, cache = Path(folder) / "lists", Path(folder) / "cache"
        for path in (lists / "partial", cache / "archives" / "partial"):
            path.mkdir(parents=True)
        private = [
            "apt-get",
            "-o",
            f"Dir::State::lists={lists}",
            "-o",
            f"Dir::Cache={cache}",
            "-o",
            "APT::Sandbox::User=",
        ]
        _run([*private, "update"], folder)
        _run([*private, "download", DEBIAN_PACKAGE], folder)


def _run(command: list[str], folder: str) -> None:
    subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=FETCH_TIMEOUT_S)


def _fetch_official(target: Path) -> str | None:
    for stem in SHA256:
        reason = download(f"{OFFICIAL_ADDRESS}/{stem}.gz", target / f"{stem}.gz")
        if reason is not None:
            return reason
    return None


def _read(folders: list[Path], stem: str) -> bytes | None:
    for folder in folders:
        data = _content(folder, stem)
        if data is not None:
            return data
    return None


def load(split: str, root: Path | None, cache: Path) -> ImageSet:
    """Return the ``train`` or ``test`` split, padded with black from 28x28 to 32x32, as RGB."""
    if split not in FILES:
        raise DataError(f"{NAME}: expected split train or test, got {split!r}")
    folders = list(_folders(root, cache))
    stems = FILES[split]
    files = [_read(folders, stem) for stem in stems]
    if any(f is None for f in files):
        if root is not None:
            raise DataError(f"{root}: no Fashion-MNIST files ({stems[0]}.gz) in it; give the folder that holds them")
        reasons = []
        for fetch in (_fetch_debian, _fetch_official):
            reason = fetch(cache / NAME)
            if reason is None:
                break
            reasons.append(reason)
        else:
            raise DataError(
                f"{NAME}: not on this machine and not to be fetched ({'; '.join(reasons)}). "
                f"Install Debian's {DEBIAN_PACKAGE}, or put the four IDX files into {cache / NAME}"
            )
        files = [_read([cache / NAME], stem) for stem in stems]
    images, labels = (_idx(data, stem) for data, stem in zip(files, stems, strict=True) if data is not None)
    grey = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    return ImageSet(NAME, split, np.repeat(grey[..., None], 3, axis=-1), labels.astype(np.int64), CLASS_NAMES)
