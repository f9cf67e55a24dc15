"""FINN is prepared without a trace after failures; its RTL is patched, or refused if it changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")

from spikeclip_fpga.hw import finn_env, finn_rtl
from spikeclip_fpga.hw.finn_env import FinnError, prepare
from spikeclip_fpga.hw.finn_rtl import PATCHES, RtlError, collect, library
from spikeclip_fpga.hw.simulate import BuildError, build

from .finn_graphs import finn_in


@pytest.fixture(autouse=True)
def finn(tmp_path: Path) -> Iterator[None]:
    with finn_in(tmp_path / "finn"):
        yield


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_that_finds_nothing_names_file_and_version(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = (tmp_path / "library").resolve()
    shutil.copytree(library(), copy)
    changed = copy / name
    changed.write_text(PATCHES[name](changed.read_text()))
    monkeypatch.setattr(finn_rtl, "library", lambda: copy)
    with pytest.raises(FinnError, match=rf"^{name}: \w+ finds nothing to change in finn-plus \d+\.\d+\.\d+; "):
        collect({"node": [changed]}, tmp_path / "rtl")


FIFO = """module deep (
  input ap_clk, ap_rst_n, in_TVALID, out_TREADY, input [7:0] in_TDATA,
  output in_TREADY, out_TVALID, output [7:0] out_TDATA
);
  fifo #(.DEPTH(600), .DATA_WIDTH(8)) u_fifo (
    .clk(ap_clk), .rst(!ap_rst_n), .idat(in_TDATA), .ivld(in_TVALID), .irdy(in_TREADY),
    .odat(out_TDATA), .ovld(out_TVALID), .ordy(out_TREADY), .count(), .maxcount()
  );
endmodule
"""


def test_verilator_takes_the_patched_fifo_and_not_the_original(tmp_path: Path) -> None:
    wrapper, original = tmp_path / "deep.v", library() / "fifo" / "hdl" / "fifo.sv"
    wrapper.write_text(FIFO)
    collected = collect({"deep": [wrapper, original]}, tmp_path / "rtl")
    build("deep", collected.sources, strict=False)
    with pytest.raises(BuildError, match=r"fifo\.sv"):
        build("deep", [wrapper, original], strict=False)


def test_memory_files_lie_beside_the_sources_under_their_nodes_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "memblock.dat").write_text(f"{name}\n")
        path = tmp_path / name / "memblock.dat"
        (tmp_path / name / f"{name}.v").write_text(f'module {name};\n  initial $readmemh("{path}", m);\nendmodule\n')
    (tmp_path / "b" / "b_own.mem").write_text("c\n")
    (tmp_path / "b" / "extra.v").write_text('module extra;\n  parameter FILE = "b_own.mem";\nendmodule\n')
    nodes = {"a": [tmp_path / "a" / "a.v"], "b": [tmp_path / "b" / "b.v", tmp_path / "b" / "extra.v"]}
    collected = collect(nodes, tmp_path / "rtl")
    assert collected.files == {"a_memblock.mem": "a\n", "b_memblock.mem": "b\n", "b_own.mem": "c\n"}
    assert {p.name for p in (tmp_path / "rtl").iterdir()} == {*collected.files, "a.v", "b.v", "extra.v"}
    for path in collected.sources:
        assert str(tmp_path) not in path.read_text()
    assert '"a_memblock.mem"' in (tmp_path / "rtl" / "a.v").read_text()


def test_packages_come_first_and_headers_are_not_compiled(tmp_path: Path) -> None:
    for name in ("top.v", "x_pkg.sv", "defs.svh"):
        (tmp_path / name).write_text(f"// {name}\n")
    collected = collect({"n": [tmp_path / name for name in ("top.v", "defs.svh", "x_pkg.sv")]}, tmp_path / "rtl")
    assert [p.name for p in collected.sources] == ["x_pkg.sv", "top.v"]
    assert collected.includes == (tmp_path / "rtl",) and (tmp_path / "rtl" / "defs.svh").is_file()


def test_two_files_of_one_name_and_missing_files_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "skid.sv").write_text(f"// {name}\n")
    clash = {name: [tmp_path / name / "skid.sv"] for name in ("a", "b")}
    with pytest.raises(RtlError, match=r"^b: \S+/b/skid\.sv and \S+/a/skid\.sv differ, and one folder holds one"):
        collect(clash, tmp_path / "rtl")
    with pytest.raises(RtlError, match=r"^a: \S+none\.v: no such file; run PrepareIP again"):
        collect({"a": [tmp_path / "none.v"]}, tmp_path / "rtl")
    (tmp_path / "a" / "a.v").write_text('module a; initial $readmemh("gone.mem", m); endmodule\n')
    with pytest.raises(RtlError, match=r"^a: a\.v reads \S+gone\.mem: no such file; run PrepareIP again"):
        collect({"a": [tmp_path / "a" / "a.v"]}, tmp_path / "rtl")


def test_a_failure_leaves_the_environment_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import finn.xsi

    before = dict(os.environ)
    monkeypatch.setattr(finn.xsi, "_LAZY_NAMES", frozenset({"other"}))
    with pytest.raises(FinnError, match=r"finn\.xsi has other functions"):
        prepare(tmp_path / "another")
    assert dict(os.environ) == before


def test_a_vivado_of_the_users_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vivado = tmp_path / "Vivado" / "2024.2" / "bin" / "vivado"
    vivado.parent.mkdir(parents=True)
    vivado.write_text("#!/bin/sh\n")
    vivado.chmod(0o755)
    monkeypatch.delenv("XILINX_VIVADO", raising=False)
    monkeypatch.setenv("PATH", str(vivado.parent), prepend=os.pathsep)
    prepare(tmp_path / "one")
    assert "XILINX_VIVADO" not in os.environ
    monkeypatch.setenv("XILINX_VIVADO", str(vivado.parents[1]))
    monkeypatch.setenv("NUM_DEFAULT_WORKERS", "3")
    prepare(tmp_path / "two")
    assert os.environ["XILINX_VIVADO"] == str(vivado.parents[1])
    assert os.environ["NUM_DEFAULT_WORKERS"] == "3"


def test_preparing_again_changes_the_folder_and_leaves_the_home_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finn.util.basic import make_build_dir

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FINN_SETTINGS")
    (tmp_path / "home").mkdir()
    for name in ("one", "two"):
        prepare(tmp_path / name)
        assert Path(make_build_dir("x_")).parent == (tmp_path / name).resolve()
    assert not list((tmp_path / "home").iterdir())


def test_a_machine_without_finn_gets_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(finn_env.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FinnError, match="finn-plus: not installed; pip install 'spikeclip-fpga"):
        prepare(tmp_path)
