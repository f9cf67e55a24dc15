"""The rooms import each other only in the direction data flows."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("cli", "energy", "host", "hw", "ladder", "model", "quantize", "report")
# What the board reads, in numpy alone.
BOARD_SAFE = {"golden", "network", "labelset"}
MAY_IMPORT: dict[str, dict[str, set[str] | None]] = {
    "model": {"model": None, "quantize": {"labelset"}, "host": {"images"}},
    "quantize": {"quantize": None, "model": None},
    "host": {"host": None, "quantize": BOARD_SAFE | {"runner"}},
    "hw": {"hw": None, "quantize": {"golden", "network", "ranges"}},
    "energy": {"energy": None, "quantize": {"golden", "network", "ranges", "runner"}},
    "ladder": {"ladder": None, "quantize": None, "model": None, "host": None, "hw": None},
    "report": {name: None for name in ROOMS if name != "cli"},
    "cli": dict.fromkeys(ROOMS),
}
HEAVY_FOR_BOARD = {"torch", "finn", "onnx", "qonnx", "brevitas", "onnxruntime", "matplotlib", "scipy"}


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(path: Path) -> list[str]:
    """Return the absolute names of all modules a file imports, at any depth."""
    package = ["spikeclip_fpga", *path.relative_to(ROOT).parts[:-1]]
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            found += [name, *(f"{name}.{alias.name}" for alias in node.names)]
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_what_stands_upstream(room: str) -> None:
    for path in files(room):
        for name in imports(path):
            parts = name.split(".")
            assert parts[0] not in ROOMS, f"{path}: imports {name}; rooms are imported as spikeclip_fpga.<room>"
            if parts[0] != "spikeclip_fpga" or len(parts) < 2:
                continue
            target = parts[1]
            assert target in MAY_IMPORT[room], f"{path}: {room} must not import {name}"
            allowed = MAY_IMPORT[room][target]
            if allowed is not None and len(parts) > 2:
                assert parts[2] in allowed, f"{path}: {room} may import only {sorted(allowed)} of {target}, not {name}"


def test_host_names_nothing_heavy() -> None:
    paths = [*files("host"), *(ROOT / "quantize" / f"{name}.py" for name in BOARD_SAFE), ROOT / "quantize/__init__.py"]
    for path in paths:
        heavy = {name.split(".")[0] for name in imports(path)} & HEAVY_FOR_BOARD
        assert not heavy, f"{path}: imports {heavy}, which a board does not have"


def test_importing_the_host_brings_nothing_heavy() -> None:
    code = (
        "import sys, spikeclip_fpga.host.accelerator, spikeclip_fpga.host.classify, spikeclip_fpga.host.images\n"
        f"print(sorted(set(sys.modules) & {HEAVY_FOR_BOARD!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_is_light() -> None:
    code = (
        "import sys\nfrom spikeclip_fpga.cli.main import parser\nparser().format_help()\n"
        f"print(sorted(set(sys.modules) & {HEAVY_FOR_BOARD!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_source_files_stay_small() -> None:
    long = [f"{p}: {n}" for room in ROOMS for p in files(room) if (n := len(p.read_text().splitlines())) > 500]
    assert not long


def test_nothing_is_pickled() -> None:
    """No room reads or writes pickles, directly or through torch and numpy."""
    for room in ROOMS:
        for path in files(room):
            assert not {"pickle", "cPickle", "dill", "joblib"} & {n.split(".")[0] for n in imports(path)}, path
            text = path.read_text()
            assert "torch.load(" not in text and "torch.save(" not in text, path
            assert "allow_pickle=True" not in text, path
