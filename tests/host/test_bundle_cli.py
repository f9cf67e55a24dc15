"""``spikeclip bundle``, ``classify --bundle`` and ``serve``: what is printed, and each refusal in one line."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spikeclip_fpga.cli.main import main
from spikeclip_fpga.host.accelerator import GoldenAccelerator
from spikeclip_fpga.host.bundle import MANIFEST, Bundle, open_bundle
from spikeclip_fpga.host.classify import classify
from spikeclip_fpga.host.images import load_images

from .bundles import LABELS, NETWORK, copied, edit, make_build

Captured = pytest.CaptureFixture[str]
PYNQ = find_spec("pynq") is not None


def pack_by_command(build: Path, out: Path) -> None:
    inputs = ["--network", str(NETWORK), "--labels", str(LABELS)]
    assert main(["bundle", "pack", str(build), *inputs, "--out", str(out)]) == 0


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle made by the command, in a folder of its own."""
    folder = tmp_path_factory.mktemp("packed")
    out = folder / "tiny-w4-pynq-z2"
    build = make_build(folder / "build")
    pack_by_command(build, out)
    return out


@pytest.fixture(scope="module")
def bundle(packed: Path) -> Bundle:
    return open_bundle(packed)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return path


def one_line(said: Captured, *arguments: object, words: tuple[str, ...]) -> None:
    assert main(list(map(str, arguments))) == 1
    lines = said.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("spikeclip: "), lines
    for word in words:
        assert word in lines[0]


def test_packed_bundles_describe_the_block_design(bundle: Bundle) -> None:
    """So that the emulated board has what a built one has."""
    assert not bundle.built and bundle.bit is None and bundle.hwh is not None
    assert 'INSTANCE="axi_dma_0"' in bundle.hwh.read_text()
    assert bundle.manifest["created"] and "numpy" in bundle.manifest["tool_versions"]


def test_alveo_bundles_have_no_block_design(tmp_path: Path) -> None:
    build = make_build(tmp_path / "build", board="u250", part="xcu250-figd2104-2L-e")
    out = tmp_path / "alveo"
    pack_by_command(build, out)
    assert open_bundle(out, board="u250").hwh is None


def test_packing_twice_on_one_day_gives_the_same_bytes(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    for name in ("one", "two"):
        make_build(tmp_path / name / "build")
        pack_by_command(tmp_path / name / "build", tmp_path / name / "bundle")
    found = [{p.name: p.read_bytes() for p in (tmp_path / name / "bundle").iterdir()} for name in ("one", "two")]
    assert found[0] == found[1]
    assert json.loads(found[0][MANIFEST])["created"] == "1970-01-02"


def test_verify_and_show(packed: Path, bundle: Bundle, capsys: Captured) -> None:
    assert main(["bundle", "verify", str(packed), "--board", "pynq-z2"]) == 0
    said = capsys.readouterr().out
    assert bundle.summary() in said and f"{len(bundle.manifest['files'])} files verified" in said
    assert main(["bundle", "show", str(packed)]) == 0
    said = capsys.readouterr().out
    assert "40,000 cycles a frame" in said and "a table" in said and "2,500 frames/s" in said
    assert main(["bundle", "show", str(packed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == bundle.manifest


def test_every_verb_refuses_a_bad_bundle(packed: Path, tmp_path: Path, picture: Path, capsys: Captured) -> None:
    flipped = copied(packed, tmp_path / "flipped")
    raw = bytearray((flipped / "labels.npz").read_bytes())
    raw[1000] ^= 1
    (flipped / "labels.npz").write_bytes(raw)
    newer = copied(packed, tmp_path / "newer")
    edit(newer, "schema", value=2)
    capsys.readouterr()
    for folder, words in (
        (flipped, ("labels.npz", "SHA-256")),
        (newer, ("schema 2", "newer version")),
        (tmp_path / "none", ("no such folder",)),
    ):
        one_line(capsys, "bundle", "verify", folder, words=words)
        one_line(capsys, "bundle", "show", folder, words=words)
        one_line(capsys, "classify", picture, "--bundle", folder, words=words)
        one_line(capsys, "serve", "--bundle", folder, "--port", 0, words=words)
    one_line(capsys, "classify", picture, "--bundle", packed, "--board", "kv260", words=("pynq-z2", "kv260"))


def test_classify_with_a_bundle(packed: Path, bundle: Bundle, picture: Path, capsys: Captured) -> None:
    backends = ["golden", "fast", *(["twin"] if PYNQ else [])]
    images, names = load_images(picture)
    expected = classify(GoldenAccelerator(bundle.network), images, bundle.labels, 2)[0]
    rows = [{"label": match.label, "score": round(match.score, 6)} for match in expected]
    for backend in backends:
        arguments = ["classify", str(picture), "--bundle", str(packed), "--backend", backend, "--top", "2"]
        capsys.readouterr()
        assert main([*arguments, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["images"] == [{"image": names[0], "labels": rows}]
        assert (found["backend"], found["bundle"], found["board"]) == (backend, "tiny-w4-pynq-z2", "pynq-z2")
        assert found["emulated"] is True and found["kind"] == ("emulation" if backend == "twin" else "software")
        assert main(arguments) == 0
        said = capsys.readouterr()
        assert said.out == f"{names[0]}  " + "  ".join(f"{m.label} {m.score:.3f}" for m in expected) + "\n"
        assert backend in said.err


def test_options_that_contradict(packed: Path, picture: Path, capsys: Captured) -> None:
    capsys.readouterr()
    one_line(capsys, "classify", picture, "--bundle", packed, "--network", NETWORK, words=("--network", "--bundle"))
    one_line(capsys, "classify", picture, "--network", NETWORK, "--board", "kv260", words=("--board", "--bundle"))
    one_line(
        capsys,
        *("classify", picture, "--network", NETWORK, "--labels", LABELS, "--backend", "twin"),
        words=("backend twin", "--bundle"),
    )
    one_line(capsys, "classify", picture, "--bundle", packed, "--backend", "quantum", words=("quantum", "golden"))
    one_line(capsys, "classify", picture, "--bundle", packed, "--backend", "pynq", words=("no bitstream",))
    one_line(capsys, "serve", "--bundle", packed, "--port", 70_000, words=("70000", "--port"))


@pytest.mark.parametrize(
    "backend", ["golden", pytest.param("twin", marks=pytest.mark.skipif(not PYNQ, reason="pynq is not installed"))]
)
def test_serve_until_it_is_ended(packed: Path, bundle: Bundle, tmp_path: Path, backend: str) -> None:
    """From the network, with a token, by several browsers at once; then ended as a service manager does."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    expected = classify(GoldenAccelerator(bundle.network), images, bundle.labels, 5)
    command = [sys.executable, "-m", "spikeclip_fpga.cli.main", "serve", "--bundle", str(packed), "--port", "0"]
    command += ["--host", "0.0.0.0", "--backend", backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as server:
        assert server.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = server.stdout.readline()
            assert line, said
            said += line
        found = re.search(r"open http://\S+:(\d+)/\?token=(\S+)", said)
        assert found and "plain HTTP" in said and f"{backend}: " in said

        def ask(method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            finally:
                connection.close()

        def top(image: np.ndarray) -> list[tuple[str, float]]:
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            headers = {"Authorization": f"Bearer {found[2]}", "Content-Type": "image/png"}
            status, content = ask("POST", "/api/classify", file.getvalue(), **headers)
            assert status == 200, content
            return [(row["label"], row["score"]) for row in content["top"]]

        assert ask("GET", "/api/state")[0] == 401
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(top, images))
        assert answers == [[(m.label, round(m.score, 6)) for m in matches] for matches in expected]
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait(60) == 0 and "ended" in server.stdout.read()
