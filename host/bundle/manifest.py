"""manifest.json: what a bundle says of itself, read as text that may come from anywhere."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Callable
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

FORMAT = "spikeclip-fpga/bundle"
SCHEMA = 1
MANIFEST = "manifest.json"
# The shipped manifest has 3 kB; nothing sensible has a thousand times as much.
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILES = 256
# What a bundle may hold. None of it is code that Python would run.
SUFFIXES = (".safetensors", ".npz", ".json", ".txt", ".md", ".bit", ".bin", ".dtbo", ".hwh", ".xclbin")
PLAIN_NAMES = ("LICENSE", "NOTICE")
REMEDY = "copy the bundle again, or make it anew with `spikeclip bundle pack`"

# Plain ASCII without leading dots, so that no path leaves the folder on any system.
_SAFE_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_MISSING = object()
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


class BundleError(RuntimeError):
    """A bundle that is damaged, foreign or for something else; one line with the reason."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 1000 and value.isprintable()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 53


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _is_date(value: Any) -> bool:
    try:
        return _is_text(value) and len(value) == 10 and bool(date.fromisoformat(value))
    except ValueError:
        return False


def is_safe_path(value: Any) -> bool:
    """Return whether ``value`` is a relative path of plain names that cannot leave the bundle."""
    return isinstance(value, str) and len(value) <= 200 and _SAFE_PATH.fullmatch(value) is not None


def is_allowed_file(path: str) -> bool:
    """Return whether a bundle may hold a file of that name: data of known kinds, never code."""
    name = PurePosixPath(path)
    return name.suffix.lower() in SUFFIXES or name.name in PLAIN_NAMES


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(k) and _is_text(v) for k, v in value.items())


Check = Callable[[Any], bool]

_PATH: tuple[str, Check] = ("a relative path inside the bundle", is_safe_path)
_PATH_OR_NULL: tuple[str, Check] = ("null or a relative path inside the bundle", lambda v: v is None or is_safe_path(v))
_TEXT: tuple[str, Check] = ("a text of one line", _is_text)
_COUNT: tuple[str, Check] = ("a whole number above 0", _is_count)
_OBJECT: tuple[str, Check] = ("an object", lambda v: isinstance(v, dict))

# Key (dots go into objects) -> what is expected, and the check of it. Keys not listed are passed over.
FIELDS: dict[str, tuple[str, Check]] = {
    "name": ("a plain name", lambda v: is_safe_path(v) and "/" not in v),
    "preset": _TEXT,
    "board": _TEXT,
    "part": _TEXT,
    "clk_mhz": ("a number above 0", _is_number),
    "created": ("a date such as 2025-01-31", _is_date),
    "git_commit": _TEXT,
    "bits": _OBJECT,
    "config": _OBJECT,
    "tool_versions": ("an object of texts", _is_texts),
    "input.shape": (
        "[height, width, channels]",
        lambda v: isinstance(v, list) and len(v) == 3 and all(map(_is_count, v)),
    ),
    "input.dtype": ("'uint8'", lambda v: v == "uint8"),
    "input.xor": ("128", lambda v: v == 128 and _is_count(v)),
    "output.shape": ("[elements]", lambda v: isinstance(v, list) and len(v) == 1 and _is_count(v[0])),
    "output.dtype": ("'int32'", lambda v: v == "int32"),
    "embedding_scale": ("a number above 0", _is_number),
    "timing.cycles_per_frame": _COUNT,
    "timing.latency_cycles": _COUNT,
    "timing.source": _TEXT,
    "overlay.built": ("true or false", lambda v: isinstance(v, bool)),
    "overlay.bit": _PATH_OR_NULL,
    "overlay.hwh": _PATH_OR_NULL,
    "overlay.xclbin": _PATH_OR_NULL,
    "overlay.dma": _TEXT,
    "overlay.id": _TEXT,
    "network": _PATH,
    "labels": _PATH,
    "reports": (
        "a list of relative paths inside the bundle",
        lambda v: isinstance(v, list) and all(map(is_safe_path, v)),
    ),
    "files": ("an object with up to 256 files", lambda v: isinstance(v, dict) and 0 < len(v) <= MAX_FILES),
}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of the bundle in ``folder``, every field checked for its kind.

    Raises BundleError for a manifest that is missing, a link, too large, no JSON, of another format, of a newer
    schema, incomplete, or naming a file outside the bundle.
    """
    path = folder / MANIFEST
    content = _parse(_read(path), path)
    if content.get("format") != FORMAT:
        raise BundleError(f"{path}: format {content.get('format')!r}, expected {FORMAT!r}; this is no bundle")
    schema = content.get("schema")
    if not _is_count(schema):
        raise BundleError(f"{path}: schema {schema!r}, expected a whole number; {REMEDY}")
    if schema != SCHEMA:
        raise BundleError(
            f"{path}: schema {schema}, this version of spikeclip-fpga reads {SCHEMA}; install a newer version"
        )
    check_fields(content, path)
    return content


def check_fields(content: dict[str, Any], path: Path) -> None:
    """Raise BundleError naming the first field of ``content`` that is missing or not what it should be."""
    for key, (expected, check) in FIELDS.items():
        value: Any = content
        for part in key.split("."):
            value = value.get(part, _MISSING) if isinstance(value, dict) else _MISSING
        if value is _MISSING or not check(value):
            got = "nothing" if value is _MISSING else short(value)
            raise BundleError(f"{path}: {key}: expected {expected}, got {got}; {REMEDY}")
    for name, entry in content["files"].items():
        if not is_safe_path(name) or name == MANIFEST:
            raise BundleError(f"{path}: files: {short(name)} is no relative path inside the bundle; {REMEDY}")
        if not is_allowed_file(name):
            raise BundleError(f"{path}: files: {name}: a bundle holds only {', '.join((*SUFFIXES, *PLAIN_NAMES))}")
        size = entry.get("bytes") if isinstance(entry, dict) else None
        digest = entry.get("sha256") if isinstance(entry, dict) else None
        if not (isinstance(size, int) and not isinstance(size, bool) and size >= 0):
            raise BundleError(f"{path}: files: {name}: bytes: expected a whole number, got {short(size)}; {REMEDY}")
        if not (isinstance(digest, str) and _HEX_DIGEST.fullmatch(digest)):
            raise BundleError(f"{path}: files: {name}: sha256: expected 64 hex digits, got {short(digest)}; {REMEDY}")
    overlay = content["overlay"]
    used = [("network", content["network"]), ("labels", content["labels"])]
    used += [(f"overlay.{key}", overlay[key]) for key in ("bit", "hwh", "xclbin") if overlay[key] is not None]
    used += [("reports", report) for report in content["reports"]]
    for key, name in used:
        if name not in content["files"]:
            raise BundleError(f"{path}: {key}: {name} is not among its files, so nothing vouches for it; {REMEDY}")
    for key, suffix in (("network", ".safetensors"), ("labels", ".npz")):
        if not content[key].endswith(suffix):
            raise BundleError(f"{path}: {key}: expected a {suffix} file, got {content[key]}; {REMEDY}")
    if overlay["built"] and not overlay["xclbin"] and not (overlay["bit"] and overlay["hwh"]):
        raise BundleError(f"{path}: overlay: built, but without .bit and .hwh or .xclbin; {REMEDY}")


def short(value: Any) -> str:
    """Return ``value`` as Python writes it, cut to 80 characters, for messages."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _read(path: Path) -> bytes:
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise BundleError(f"{path}: not a plain file (a link or a device); {REMEDY}")
        if found.st_size > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path}: {found.st_size:,} bytes, expected at most {MAX_MANIFEST_BYTES:,}; {REMEDY}")
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            return file.read(MAX_MANIFEST_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(f"{path}: no such file; give a bundle's folder, such as bitstreams/<name>") from error
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from error


def _parse(raw: bytes, path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice")
        return found

    def number(text: str) -> Any:
        raise ValueError(f"{text} is no JSON number")

    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=unique, parse_constant=number)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not JSON ({str(error).splitlines()[0]}); {REMEDY}") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path}: expected a JSON object, got {short(content)}; {REMEDY}")
    return content
