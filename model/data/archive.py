"""Official archives: found on this machine, unpacked safely, or fetched from their address."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .imageset import DataError

TIMEOUT_S = 30
TEXT_LIMIT_BYTES = 1 << 16


@dataclass(frozen=True)
class Archive:
    """A data set's official .tar.gz: its address, its MD5 and the files wanted from ``folder`` in it.

    sizes: exact bytes of each wanted file; None for a list of class names (at most TEXT_LIMIT_BYTES).
    pickled: names by which the version in Python's pickle format is recognised; it is never opened.
    """

    address: str
    md5: str
    folder: str
    sizes: Mapping[str, int | None]
    pickled: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        """Return the archive's name on disk."""
        return self.address.rsplit("/", 1)[-1]


def download(address: str, path: Path, md5: str | None = None) -> str | None:
    """Fetch ``address`` to ``path``, whole or not at all; return why not, or None."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer, partial.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
        found = _md5(partial) if md5 else None
        if found != md5:
            return f"{address}: MD5 {found}, expected {md5}"
        partial.replace(path)
    except OSError as error:  # URLError, timeouts and full disks alike
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return f"{address}: {reason}"
    finally:
        partial.unlink(missing_ok=True)
    return None


def unpack(path: Path, archive: Archive) -> Path:
    """Unpack the wanted files of the archive at ``path`` beside it and return their folder.

    Only regular members of exactly the expected names and sizes are written, so that nothing in the
    archive chooses where it goes. Raises DataError when it is not the official archive.
    """
    target = path.parent / archive.folder
    again = f"delete it and fetch {archive.address} again"
    try:
        found = _md5(path)
        if found != archive.md5:
            raise DataError(f"{path}: MD5 {found}, expected {archive.md5}; {again}")
        wanted = dict(archive.sizes)
        target.mkdir(exist_ok=True)
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                if folder != archive.folder or name not in wanted:
                    continue
                size = wanted.pop(name)
                fits = member.size <= TEXT_LIMIT_BYTES if size is None else member.size == size
                if not (member.isreg() and fits):
                    raise DataError(
                        f"{path}: {member.name} has {member.size} bytes, expected a file of {size}; {again}"
                    )
                _write_member(tar, member, target / name)
                if not wanted:
                    break
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}); {again}") from error
    if wanted:
        raise DataError(f"{path}: no {archive.folder}/{min(wanted)} in it; {again}")
    return target


def locate(name: str, archive: Archive, needed: Sequence[str], root: Path | None, cache: Path) -> Path:
    """Return the folder that holds all ``needed`` files: under ``root`` if given, else in ``cache``.

    An official archive lying there is unpacked; only without ``root`` is anything fetched. Files in
    the cache must have the official size, files under ``root`` may be a subset in the same format.
    """
    base = root if root is not None else cache / name
    for folder in (base, base / archive.folder):
        if all((folder / file).is_file() for file in needed):
            return folder if root is not None else _checked(folder, archive, needed)
    packed = base / archive.file_name
    if packed.is_file():
        return unpack(packed, archive)
    if root is not None:
        raise DataError(_missing(root, archive, needed))
    reason = download(archive.address, packed, archive.md5)
    if reason is not None:
        raise DataError(
            f"{name}: not on this machine (looked for {needed[0]} in {base / archive.folder} and for {packed}) "
            f"and not to be fetched ({reason}). Put {archive.file_name} from {archive.address} into {base}"
        )
    return unpack(packed, archive)


def _missing(root: Path, archive: Archive, needed: Sequence[str]) -> str:
    if not root.is_dir():
        return f"{root}: no such folder; give the one that holds {archive.file_name} or the files unpacked from it"
    pickles = [name for name in archive.pickled if (root / name).exists()]
    if pickles:
        return (
            f"{root}: {pickles[0]} is the python version, whose pickle files run code when read; "
            f"get the binary version instead: {archive.address}"
        )
    folder = root / archive.folder if (root / archive.folder).is_dir() else root
    absent = next((file for file in needed if not (folder / file).is_file()), needed[0])
    return f"{folder}: no {absent} in it; put {archive.file_name} from {archive.address} into {root}"


def _checked(folder: Path, archive: Archive, needed: Sequence[str]) -> Path:
    for file in needed:
        size, found = archive.sizes[file], (folder / file).stat().st_size
        if size is not None and found != size:
            raise DataError(f"{folder / file}: {found} bytes, expected {size}; delete it and run again")
    return folder


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None  # the caller has checked that it is a regular file
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with source, partial.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
