"""Small data sets, written byte by byte in the official formats by code of the tests' own."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache folder that ``load`` uses."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SPIKECLIP_DATA", str(folder))
    return folder


@pytest.fixture
def closed() -> str:
    """Return an address that refuses every connection."""
    return "http://127.0.0.1:9"


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a seeded generator."""
    return np.random.default_rng(7)


@pytest.fixture
def pack() -> Callable[[Path, dict[str, bytes]], str]:
    """Return a function that writes a .tar.gz of the given members and returns its MD5."""

    def write(path: Path, members: dict[str, bytes]) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w:gz") as tar:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return hashlib.md5(path.read_bytes()).hexdigest()

    return write
