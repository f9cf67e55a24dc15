"""A bundle is used only when all of it is right; else one line says what is wrong, and nothing was loaded."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.host.bundle import MANIFEST, BundleError, Overlay, default_name, open_bundle
from spikeclip_fpga.host.bundle import bundle as opening
from spikeclip_fpga.host.bundle.bundle import file_entry
from spikeclip_fpga.host.bundle.manifest import FIELDS, MAX_MANIFEST_BYTES, is_allowed_file, is_safe_path
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.labelset import LabelError, LabelSet, write_labels

from .bundles import LABELS, NETWORK, ROOT, copied, edit, make_build, pack


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good bundle; tests copy it before they damage it."""
    folder = tmp_path_factory.mktemp("bundle")
    return pack(make_build(folder / "build"), folder / "tiny-w4-pynq-z2").folder


@pytest.fixture
def folder(packed: Path, tmp_path: Path) -> Path:
    return copied(packed, tmp_path / "tiny-w4-pynq-z2")


@pytest.fixture
def nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test in which network or labels are loaded."""

    def loaded(path: Path) -> None:
        raise AssertionError(f"{path} was loaded")

    monkeypatch.setattr(opening.network, "load", loaded)
    monkeypatch.setattr(opening, "read_labels", loaded)


def refused(folder: Path, *words: str, board: str | None = None) -> None:
    with pytest.raises(BundleError) as caught:
        open_bundle(folder, board=board)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text


def test_what_was_packed_comes_back(packed: Path) -> None:
    bundle = open_bundle(packed, board="pynq-z2")
    assert (bundle.name, bundle.board, bundle.clk_mhz, bundle.built) == ("tiny-w4-pynq-z2", "pynq-z2", 100.0, False)
    assert bundle.network_digest == hashlib.sha256(NETWORK.read_bytes()).digest()
    assert bundle.network_file.read_bytes() == NETWORK.read_bytes()
    assert bundle.labels.names == tuple(np.load(LABELS)["names"])
    assert bundle.bit is None and bundle.hwh is None and bundle.xclbin is None
    assert bundle.manifest["config"] == json.loads(network.load(NETWORK).meta["config"])
    assert bundle.manifest["embedding_scale"] == network.load(NETWORK).meta["embedding_scale"]
    assert bundle.manifest["output"] == {"shape": [bundle.network.embed_dim], "dtype": "int32"}
    assert set(bundle.manifest["files"]) == {p.name for p in packed.iterdir()} - {MANIFEST}


def test_shipped_bundles_are_whole_and_of_this_checkouts_network() -> None:
    folders = sorted(path.parent for path in (ROOT / "bitstreams").glob("*/manifest.json"))
    assert folders
    for folder in folders:
        bundle = open_bundle(folder)
        assert bundle.name == folder.name
        shipped = ROOT / f"artifacts/{bundle.manifest['preset']}.int.safetensors"
        assert bundle.network_digest == hashlib.sha256(shipped.read_bytes()).digest()


def test_simulated_seconds_count_the_pipeline_once(packed: Path) -> None:
    bundle = open_bundle(packed)
    assert bundle.seconds(0) == 0
    assert bundle.seconds(1) == pytest.approx(90_000 / 100e6)
    assert bundle.seconds(11) == pytest.approx((90_000 + 10 * 40_000) / 100e6)


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize("name", ["network.int.safetensors", "labels.npz", "build.json", "build.txt"])
def test_one_flipped_bit_in_any_file(folder: Path, name: str) -> None:
    raw = bytearray((folder / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).write_bytes(raw)
    refused(folder, name, "SHA-256", "changed or damaged")


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize("name", ["network.int.safetensors", "labels.npz", "build.json"])
def test_missing_truncated_and_longer_files(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for content in (whole[:-1], whole + b"\0"):
        (folder / name).write_bytes(content)
        refused(folder, name, f"{len(content):,} bytes, expected {len(whole):,}")
    (folder / name).unlink()
    refused(folder, name, "missing")


@pytest.mark.usefixtures("nothing_loaded")
def test_a_file_nobody_listed(folder: Path) -> None:
    (folder / "reports").mkdir()
    open_bundle_fails = folder / "reports/hook.py"
    open_bundle_fails.write_text("")
    refused(folder, "reports/hook.py", "not listed")


@pytest.mark.usefixtures("nothing_loaded")
def test_links_and_devices(folder: Path, tmp_path: Path) -> None:
    labels = folder / "labels.npz"
    labels.rename(tmp_path / "elsewhere.npz")
    labels.symlink_to(tmp_path / "elsewhere.npz")
    refused(folder, "labels.npz", "a link")
    labels.unlink()
    os.mkfifo(labels)
    refused(folder, "labels.npz", "not a plain file")
    labels.unlink()
    (folder / "inner").symlink_to(tmp_path, target_is_directory=True)
    refused(folder, "inner", "a link")
    (folder / MANIFEST).rename(tmp_path / "m.json")
    (folder / MANIFEST).symlink_to(tmp_path / "m.json")
    refused(folder, MANIFEST, "not a plain file")


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize(
    "path",
    ["../labels.npz", "/etc/labels.npz", "a/../../labels.npz", "a\\labels.npz", "C:labels.npz", "./labels.npz", ".npz"],
)
def test_paths_out_of_the_bundle(folder: Path, path: str) -> None:
    """Wherever a manifest names a file."""
    entry = json.loads((folder / MANIFEST).read_text())["files"]["labels.npz"]
    edit(folder, "files", path, value=entry)
    refused(folder, "files", "no relative path inside the bundle")
    edit(folder, "files", path, value=...)
    for keys in (("labels",), ("network",), ("overlay", "bit"), ("overlay", "hwh"), ("overlay", "xclbin")):
        old = json.loads((folder / MANIFEST).read_text())
        edit(folder, *keys, value=path)
        refused(folder, ".".join(keys), "relative path inside the bundle")
        (folder / MANIFEST).write_text(json.dumps(old))
    edit(folder, "reports", value=[path])
    refused(folder, "reports", "relative paths inside the bundle")


@pytest.mark.usefixtures("nothing_loaded")
def test_files_that_nothing_vouches_for(folder: Path) -> None:
    edit(folder, "overlay", "bit", value="accelerator.bit")
    refused(folder, "overlay.bit", "accelerator.bit", "not among its files")


@pytest.mark.usefixtures("nothing_loaded")
def test_code_has_no_place_in_a_bundle(folder: Path) -> None:
    for name in ("run.py", "run.sh", "labels.pkl", "weights.pt", "library.so"):
        (folder / name).write_bytes(b"")
        edit(folder, "files", name, value=file_entry(folder / name))
        refused(folder, name, "holds only")
        edit(folder, "files", name, value=...)
        (folder / name).unlink()


@pytest.mark.usefixtures("nothing_loaded")
def test_schema_format_and_board(folder: Path) -> None:
    refused(folder, "pynq-z2", "zcu104", board="zcu104")
    edit(folder, "schema", value=2)
    refused(folder, "schema 2", "newer version")
    for schema in ("1", 1.0, True, None, 0):
        edit(folder, "schema", value=schema)
        refused(folder, "schema")
    edit(folder, "schema", value=1)
    edit(folder, "format", value="something/else")
    refused(folder, "something/else", "no bundle")


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "expected a JSON object"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"schema": 1, "schema": 2}', "stands twice"),
        (b"[" * 100_000, "not JSON"),
        (b" " * (MAX_MANIFEST_BYTES + 1), "at most"),
    ],
    ids=["empty", "cut", "binary", "list", "NaN", "twice", "deep", "large"],
)
def test_manifests_that_are_none(folder: Path, raw: bytes, word: str) -> None:
    (folder / MANIFEST).write_bytes(raw)
    refused(folder, MANIFEST, word)


def test_no_folder_and_no_manifest(tmp_path: Path) -> None:
    refused(tmp_path / "none", "none", "no such folder")
    refused(tmp_path, MANIFEST, "no such file")
    (tmp_path / MANIFEST).mkdir()
    refused(tmp_path, MANIFEST, "not a plain file")


@pytest.mark.usefixtures("nothing_loaded")
@pytest.mark.parametrize("key", FIELDS)
def test_each_field_is_needed_and_checked(packed: Path, tmp_path: Path, key: str) -> None:
    keys = key.split(".")
    for number, value in enumerate((..., [], -1, "\n")):
        folder = copied(packed, tmp_path / str(number))
        edit(folder, *keys, value=value)
        if value == [] and key == "reports":
            continue  # a bundle without reports is one
        refused(folder, key)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("config", "timesteps"), 3),
        (("config", "invented"), 1),
        (("bits", "hidden"), 3),
        (("preset",), "small"),
        (("input", "shape"), [64, 64, 3]),
        (("output", "shape"), [512]),
        (("embedding_scale",), 1.0),
    ],
    ids=str,
)
def test_a_manifest_of_another_network(folder: Path, keys: tuple[str, ...], value: Any) -> None:
    edit(folder, *keys, value=value)
    refused(folder, MANIFEST, keys[0], "not the network's")


def test_labels_of_another_dimension(folder: Path) -> None:
    write_labels(folder / "labels.npz", LabelSet(np.eye(4, 512, dtype=np.float32), tuple("abcd"), ("{}",), "t", "unit"))
    edit(folder, "files", "labels.npz", value=file_entry(folder / "labels.npz"))
    refused(folder, "labels.npz", "512", "384")


def test_checksummed_but_no_network_and_no_labels(folder: Path) -> None:
    for name, word in (("labels.npz", "labels file"), ("network.int.safetensors", "integer network")):
        (folder / name).write_bytes(b"PK\x03\x04 not what it seems")
        edit(folder, "files", name, value=file_entry(folder / name))
        refused(folder, name, word)


@given(st.text(max_size=40))
def test_no_safe_path_leaves_its_folder(text: str) -> None:
    root = Path("/somewhere/bundle")
    if is_safe_path(text):
        assert os.path.normpath(root / text) == f"{root}/{text}"
        assert text.isascii() and not text.startswith((".", "/"))


def test_safe_paths_are_the_plain_ones() -> None:
    assert all(map(is_safe_path, ("labels.npz", "a/b/c.txt", "tiny-w4_2.int.safetensors")))
    assert not any(map(is_safe_path, ("", "a//b", "a/", "..", "a/..", "a b", "ä", "a\n", "a\0", 3, None, "x" * 201)))
    assert is_allowed_file("LICENSE") and is_allowed_file("a/x.BIT") and not is_allowed_file("x")


def test_the_same_inputs_give_the_same_bytes(packed: Path, tmp_path: Path) -> None:
    again = pack(make_build(tmp_path / "build"), tmp_path / "tiny-w4-pynq-z2").folder
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {p.name: p.read_bytes() for p in packed.iterdir()}
    later = pack(tmp_path / "build", again, created=date(2025, 2, 1), replace=True)
    assert later.manifest["created"] == "2025-02-01"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["build", "tiny-w4-pynq-z2"]


def test_an_overlay_travels_with_its_names(tmp_path: Path) -> None:
    bit, hwh = tmp_path / "design.bit", tmp_path / "design.hwh"
    bit.write_bytes(b"\x00\x09")
    hwh.write_text("<EDKSYSTEM/>")
    bundle = pack(make_build(tmp_path / "build"), tmp_path / "out", overlay=Overlay(bit, hwh, dma="dma", id="id0"))
    assert bundle.built and bundle.bit is not None and bundle.hwh is not None
    assert bundle.bit.read_bytes() == bit.read_bytes() and bundle.hwh.read_text() == hwh.read_text()
    assert bundle.manifest["overlay"]["dma"] == "dma"
    described = pack(tmp_path / "build", tmp_path / "emulated", overlay=Overlay(hwh=hwh))
    assert not described.built and described.bit is None and described.hwh is not None
    with pytest.raises(BundleError, match=r"design\.bit.*\.hwh"):
        pack(tmp_path / "build", tmp_path / "half", overlay=Overlay(bit))
    edit(described.folder, "overlay", "built", value=True)
    refused(described.folder, "overlay", "without .bit")


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "out/tiny"
    wrong_labels = tmp_path / "labels.npz"
    write_labels(wrong_labels, LabelSet(np.eye(2, 8, dtype=np.float32), ("a", "b"), ("{}",), "t", "unit"))
    cut = tmp_path / "cut.int.safetensors"
    cut.write_bytes(NETWORK.read_bytes()[:1000])
    cases: list[tuple[dict[str, Any], dict[str, Any], type[Exception], str]] = [
        ({"mismatches": {"hw_vs_rtl": 3}}, {}, BundleError, "3 elements differ"),
        ({"mismatches": {}}, {}, BundleError, "nothing was compared"),
        ({"rtl": {}}, {}, BundleError, "cycles_per_frame"),
        ({"network_sha256": "00" * 32}, {}, BundleError, "was built"),
        ({"part": "two\nlines"}, {}, BundleError, "part"),
        ({}, {"labels_file": wrong_labels}, LabelError, "8 dimensions"),
        ({}, {"network_file": cut}, network.NetworkError, "cut.int"),
        ({}, {"network_file": tmp_path / "none"}, BundleError, "none: no such file"),
        ({}, {"overlay": Overlay(bit=tmp_path / "no.bit", hwh=tmp_path / "no.hwh")}, BundleError, "no.bit"),
        ({}, {"tool_versions": {"x": ""}}, BundleError, "tool_versions"),
    ]
    for number, (report, settings, error, word) in enumerate(cases):
        build = make_build(tmp_path / str(number), **report)
        with pytest.raises(error, match=word) as caught:
            pack(build, out, **settings)
        assert "\n" not in str(caught.value)
        assert not out.parent.exists() or not list(out.parent.iterdir())
    with pytest.raises(BundleError, match="spikeclip build"):
        pack(tmp_path / "no-build", out)


def test_only_a_bundle_is_replaced_and_only_when_asked(packed: Path, tmp_path: Path) -> None:
    build = make_build(tmp_path / "build")
    out = copied(packed, tmp_path / "out")
    with pytest.raises(BundleError, match="--replace"):
        pack(build, out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years")
    with pytest.raises(BundleError, match="is no bundle"):
        pack(build, tmp_path / "mine", replace=True)
    assert (tmp_path / "mine/thesis.txt").read_text() == "years"
    bad = make_build(tmp_path / "bad", mismatches={"x": 1})
    with pytest.raises(BundleError):
        pack(bad, out, replace=True)
    assert open_bundle(out).manifest == open_bundle(packed).manifest


def test_the_default_name_says_preset_bits_and_board(tmp_path: Path) -> None:
    assert default_name(make_build(tmp_path / "b", board="kv260"), NETWORK) == "tiny-w4-kv260"
