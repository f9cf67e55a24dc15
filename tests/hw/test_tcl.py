"""Vivado's script in a Tcl interpreter without Vivado: files, ports, widths, addresses are the RTL's and the host's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from spikeclip_fpga.hw import boards
from spikeclip_fpga.hw.shell import hwh, tcl, wrapper
from spikeclip_fpga.hw.shell.geometry import Geometry, ShellError
from spikeclip_fpga.hw.verilate import verilator_root

STUB = Path(__file__).parent / "vivado_stub.tcl"
SHAPE = Geometry(in_bytes=3, frame_bytes=48, pe=3, out_width=18, out_bits=56, elements=24)
ACCELERATOR = """module spikeclip_accelerator (
  input ap_clk, input ap_rst_n, input [23:0] s_axis_0_tdata, input s_axis_0_tvalid, output s_axis_0_tready,
  output [55:0] m_axis_0_tdata, output m_axis_0_tvalid, input m_axis_0_tready);
endmodule
"""
ZYNQ = [board for board in boards.BOARDS.values() if board.shell == boards.ZYNQ]
# Clock and reset inputs of AMD's IP, by its name, as their product guides (PG021, PG247, PG164) have them.
CLOCKS = {
    "axi_dma": {"s_axi_lite_aclk", "m_axi_mm2s_aclk", "m_axi_s2mm_aclk"},
    "smartconnect": {"aclk"},
    "proc_sys_reset": {"slowest_sync_clk"},
    "processing_system7": {"M_AXI_GP0_ACLK", "S_AXI_HP0_ACLK"},
    "zynq_ultra_ps_e": {"maxihpm0_fpd_aclk", "saxihp0_fpd_aclk"},
    "spikeclip_shell": {"clk_i"},
}
RESETS = {"axi_dma": {"axi_resetn"}, "smartconnect": {"aresetn"}, "spikeclip_shell": {"rst_ni"}}
# What Vivado writes of a Zynq-7000's clocks.
HANDOFF = """<EDKSYSTEM><MODULES><MODULE INSTANCE="processing_system7_0"><PARAMETERS>
<PARAMETER NAME="PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ" VALUE="100.000000"/>
<PARAMETER NAME="PCW_ACT_FPGA1_PERIPHERAL_FREQMHZ" VALUE="10.000000"/>
<PARAMETER NAME="PCW_ACT_FPGA2_PERIPHERAL_FREQMHZ" VALUE="10.000000"/>
<PARAMETER NAME="PCW_ACT_FPGA3_PERIPHERAL_FREQMHZ" VALUE="10.000000"/>
</PARAMETERS></MODULE></MODULES></EDKSYSTEM>
"""


@dataclass
class Played:
    """What a run of the script did: how it ended, and Vivado's commands with their arguments."""

    error: str
    calls: list[list[str]] = field(default_factory=list)

    def of(self, command: str) -> list[list[str]]:
        return [call[1:] for call in self.calls if call[0] == command]


def interpret(program: str, folder: Path) -> None:
    """Run a Tcl program in an interpreter: Python's own, or tclsh; skip without both."""
    try:
        import tkinter
    except ImportError:
        tclsh = shutil.which("tclsh")
        if tclsh is None:
            pytest.skip("no Tcl: neither Python's tkinter nor tclsh is installed")
        path = folder / "play.tcl"
        path.write_text(program)
        subprocess.run([tclsh, str(path)], check=True, capture_output=True, cwd=folder)
    else:
        tkinter.Tcl().eval(program)


def play(
    script: Path, folder: Path, *, slack: str = "max 0.5 min 0.02", handoff: str = HANDOFF, broken: str = ""
) -> Played:
    """Run build.tcl with Vivado's commands stubbed."""
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "record"
    (folder / "handoff").write_text(handoff)
    interpret(
        f"set script {{{script}}}\nset record {{{record}}}\nset slack {{{slack}}}\nset broken_run {{{broken}}}\n"
        f"set file [open {{{folder / 'handoff'}}}]\nset handoff [read $file]\nclose $file\n{STUB.read_text()}",
        folder,
    )
    (failed, message), *calls = [entry.split("\x1f") for entry in record.read_text().split("\x1e")]
    return Played(message if failed == "1" else "", calls)


def make(out: Path, board: boards.Board, clk_mhz: float = 100.0) -> Path:
    """Write rtl/ and vivado/ of a build to ``out``; return the script."""
    rtl, vivado = out / "rtl", out / "vivado"
    rtl.mkdir(parents=True)
    (rtl / "spikeclip_accelerator.v").write_text(ACCELERATOR)
    (rtl / "weights.mem").write_text("0\n")
    (rtl / "swg.svh").write_text("// a header\n")
    (rtl / "sources.f").write_text("spikeclip_accelerator.v\n")
    files = wrapper.write(vivado, SHAPE, bytes(32), rtl=rtl)
    return tcl.write(vivado, hwh.Design(board.name, board.part, clk_mhz=clk_mhz), rtl=rtl, shell=files)


def ports(sources: list[Path], top: str, folder: Path) -> dict[str, tuple[str, int]]:
    """Return port -> (direction, width) of a module, as Verilator elaborates it."""
    program = verilator_root() / "bin" / "verilator_bin"
    options = ["--json-only", "--no-timing", "-Wno-fatal", "-Wno-lint", "--Mdir", str(folder), "--top-module", top]
    subprocess.run(
        [str(program), *options, *map(str, sources)],
        check=True,
        capture_output=True,
        env={"VERILATOR_ROOT": str(verilator_root())},
    )

    def walk(node: Any) -> Iterator[dict[str, Any]]:
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        if isinstance(node, dict):
            yield node
        for child in children:
            yield from walk(child)

    nodes = list(walk(json.loads((folder / f"V{top}.tree.json").read_text())))
    ranges = {n["addr"]: n.get("range", "0:0") for n in nodes if n.get("type") == "BASICDTYPE"}
    module = next(n for n in nodes if n.get("type") == "MODULE" and n.get("origName") == top)
    found = {}
    for n in module["stmtsp"]:
        if n["type"] == "VAR" and n.get("isPrimaryIO"):
            high, low = map(int, ranges[n["dtypep"]].split(":"))
            found[n["name"]] = (n["direction"].lower(), high - low + 1)
    return found


@dataclass
class Drawn:
    """A board's block design as the script draws it: cells (instance -> kind), nets, links of interfaces."""

    design: hwh.Design
    out: Path
    played: Played

    @property
    def vlnvs(self) -> dict[str, str]:
        return {call[-1]: call[3] for call in self.played.of("create_bd_cell")}

    @property
    def kinds(self) -> dict[str, str]:
        return {name: kind.split(":")[2] if ":" in kind else kind for name, kind in self.vlnvs.items()}

    @property
    def links(self) -> dict[str, str]:
        return dict(self.played.of("connect_bd_intf_net"))  # type: ignore[arg-type]


@pytest.fixture(params=ZYNQ, ids=lambda board: board.name)
def drawn(request: pytest.FixtureRequest, tmp_path: Path) -> Drawn:
    board = request.param
    script = make(tmp_path / "build", board, clk_mhz=125.0)
    played = play(script, tmp_path / "run")
    assert played.error == ""
    return Drawn(hwh.Design(board.name, board.part, clk_mhz=125.0), tmp_path / "build", played)


def test_the_project_has_the_boards_part_clock_and_cells(drawn: Drawn) -> None:
    design, ps = drawn.design, drawn.design.processor
    assert drawn.played.of("create_project")[0][-2:] == ["-part", design.part]
    assert drawn.vlnvs[ps.instance] == ps.vlnv and drawn.vlnvs[design.dma] == hwh.DMA_VLNV
    assert hwh.SHELL_VLNV.split(":")[2] == drawn.kinds[design.id_block] == "spikeclip_shell"
    clock = "PCW_FPGA0_PERIPHERAL_FREQMHZ" if ps is hwh.ZYNQ else "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"
    assert settings_of(drawn.played, ps.instance)[clock] == "125"
    assert ["top", "spikeclip_wrapper", "sources_1"] in drawn.played.of("set_property")


def test_every_clock_and_reset_is_driven_once(drawn: Drawn) -> None:
    ps, kinds = drawn.design.processor, drawn.kinds
    driven: dict[str, str] = {}
    for source, sink in drawn.played.of("connect_bd_net"):
        assert sink not in driven
        driven[sink] = source
    assert {s: {k for k, v in driven.items() if v == s} for s in set(driven.values())} == {
        f"{ps.instance}/{ps.clock}": {f"{cell}/{pin}" for cell, kind in kinds.items() for pin in CLOCKS[kind]},
        "reset_0/peripheral_aresetn": {f"{cell}/{pin}" for cell, kind in kinds.items() for pin in RESETS.get(kind, ())},
        f"{ps.instance}/{ps.reset}": {"reset_0/ext_reset_in"},
    }


def test_all_interfaces_are_connected_and_are_those_of_the_stand_in_hwh(drawn: Drawn) -> None:
    design = drawn.design
    ends = [end for link in drawn.links.items() for end in link]
    assert len(ends) == len(set(ends)) == 16 and {end.split("/")[0] for end in ends} <= set(drawn.kinds)
    modules = list(ET.fromstring(hwh.write(design).encode()).iter("MODULE"))
    assert {m.get("INSTANCE") for m in modules} == {design.dma, design.id_block, design.processor.instance}
    for module in modules:
        name, buses = module.get("INSTANCE"), {str(b.get("NAME")) for b in module.iter("BUSINTERFACE")}
        assert {end.split("/")[1] for end in ends if end.split("/")[0] == name} == buses
    assert drawn.links[f"{design.dma}/M_AXIS_MM2S"] == f"{design.id_block}/s_axis"
    assert drawn.links[f"{design.id_block}/m_axis"] == f"{design.dma}/S_AXIS_S2MM"


def test_ports_and_widths_are_the_rtls_as_verilator_sees_them(drawn: Drawn, tmp_path: Path) -> None:
    vivado = drawn.out / "vivado"
    sources = [
        *sorted(vivado.glob("*.sv")),
        vivado / "spikeclip_shell.v",
        drawn.out / "rtl" / "spikeclip_accelerator.v",
    ]
    rtl = ports(sources, "spikeclip_shell", tmp_path / "tree")
    named = {f"{name}_{s.lower()}": p for name, (_, signals) in wrapper.INTERFACES.items() for s, p in signals.items()}
    assert rtl == named | {"clk_i": ("input", 1), "rst_ni": ("input", 1)}
    settings = settings_of(drawn.played, drawn.design.dma)
    assert (settings["c_include_sg"], settings["c_sg_length_width"]) == ("0", "26")
    assert rtl["s_axis_tdata"][1] == int(settings["c_m_axis_mm2s_tdata_width"]) == 8 * rtl["s_axis_tkeep"][1]
    assert rtl["m_axis_tdata"][1] == hwh.DMA_PARAMETERS["c_s_axis_s2mm_tdata_width"] == 8 * rtl["m_axis_tkeep"][1]
    assert hwh.SPAN == 1 << rtl["s_axi_araddr"][1] == 1 << rtl["s_axi_awaddr"][1]
    # Vivado takes a port's interface and signal from its attribute: each port has the one of its own name.
    text = (vivado / "spikeclip_shell.v").read_text()
    attributes = re.findall(
        r'X_INTERFACE_INFO = "\S+ (\w+) (\w+)" \*\)\s*(?:\(\*.*?\*\)\s*)?\w+ (?:\[\S+ )?(\w+)', text
    )
    assert {port for _, _, port in attributes} == set(rtl)
    assert all(port in (f"{name}_{signal.lower()}", name) for name, signal, port in attributes)


def test_addresses_are_where_the_host_looks(drawn: Drawn) -> None:
    design, ps = drawn.design, drawn.design.processor
    placed = {}
    for call in drawn.played.of("assign_bd_address"):
        options = dict(zip(call[1:-1:2], call[2:-1:2], strict=True))
        place = int(options["-offset"], 0), int(options["-range"], 0)
        placed[options["-target_address_space"], call[-1]] = place
    assert placed[f"{ps.instance}/Data", f"/{design.dma}/S_AXI_LITE/reg0"] == (ps.dma_base, hwh.SPAN)
    assert placed[f"{ps.instance}/Data", f"/{design.id_block}/s_axi/reg0"] == (ps.id_base, hwh.SPAN)
    for channel in ("MM2S", "S2MM"):
        (segment,) = [s for space, s in placed if space == f"{design.dma}/Data_{channel}"]
        assert "DDR_LOW" in segment and placed[f"{design.dma}/Data_{channel}", segment][0] == 0
    assert len(placed) == 4
    hidden = {call[-1] for call in drawn.played.of("exclude_bd_addr_seg")}
    assert not hidden & {segment for _, segment in placed} and len(hidden) == (0 if ps is hwh.ZYNQ else 3)


def settings_of(played: Played, cell: str) -> dict[str, str]:
    """Return the CONFIG settings a cell is given."""
    (text,) = [call[1] for call in played.of("set_property") if call[0] == "-dict" and call[2] == cell]
    return dict(re.findall(r"CONFIG\.(\w+) \{([^}]*)\}", text))


def test_every_file_is_there_and_a_moved_folder_still_works(tmp_path: Path) -> None:
    make(tmp_path / "build", boards.find("pynq-z2"))
    moved = tmp_path / "moved with a space" / "build"
    shutil.copytree(tmp_path / "build", moved)
    shutil.rmtree(tmp_path / "build")
    played = play(moved / "vivado" / "build.tcl", tmp_path / "run")
    assert played.error == ""
    added = tcl_list(played.of("add_files")[0][1])
    assert all(Path(name).is_file() for name in added)
    made = {p.name for p in moved.rglob("*") if p.suffix in (".v", ".sv", ".svh", ".mem")}
    assert {Path(name).name for name in added} == made
    assert {"spikeclip_shell.v", "sc_dma_shell.sv", "sc_id.sv", "sc_fifo.sv", "weights.mem"} <= made
    assert ["include_dirs", str(moved / "rtl"), "sources_1"] in played.of("set_property")
    assert str(tmp_path) not in (moved / "vivado" / "build.tcl").read_text()


def tcl_list(text: str) -> list[str]:
    """Return the elements of a Tcl list."""
    return [a or b for a, b in re.findall(r"\{([^}]*)\}|(\S+)", text)]


def test_results_lie_beside_the_script_with_the_clocks_pynq_looks_up(tmp_path: Path) -> None:
    script = make(tmp_path / "build", boards.find("pynq-z2"))
    played = play(script, tmp_path / "run")
    assert played.error == ""
    assert (script.parent / "accelerator.bit").is_file()
    result = json.loads((script.parent / "reports" / "result.json").read_text())
    assert result == {"vivado": "2024.1", "clk_mhz": 100, "setup_slack_ns": 0.5, "hold_slack_ns": 0.02}
    parameters = {
        p.get("NAME"): p.get("VALUE") for p in ET.parse(script.parent / "accelerator.hwh").getroot().iter("PARAMETER")
    }
    for i in range(4):
        expected = parameters[f"PCW_ACT_FPGA{i}_PERIPHERAL_FREQMHZ"]
        assert parameters[f"PSU__CRL_APB__PL{i}_REF_CTRL__ACT_FREQMHZ"] == expected
    # What has the names already stays as it is.
    complete = hwh.write(hwh.Design("pynq-z2", "xc7z020clg400-1"))
    shutil.rmtree(script.parent / "project")
    play(script, tmp_path / "run", handoff=complete)
    assert (script.parent / "accelerator.hwh").read_text() == complete


def test_it_goes_on_where_it_stopped_and_starts_anew_for_other_rtl(tmp_path: Path) -> None:
    board = boards.find("pynq-z2")
    script = make(tmp_path / "build", board)
    broken = play(script, tmp_path / "run", broken="impl_1")
    assert "impl_1: route_design ERROR" in broken.error and "runme.log" in broken.error
    assert not (script.parent / "accelerator.bit").exists()
    again = play(script, tmp_path / "run")
    assert again.error == "" and not again.of("create_project") and len(again.of("open_project")) == 1
    rtl = tmp_path / "build" / "rtl"
    (rtl / "weights.mem").write_text("1\n")
    shell = [p for p in script.parent.iterdir() if p.suffix in (".v", ".sv")]
    tcl.write(script.parent, hwh.Design(board.name, board.part), rtl=rtl, shell=shell)
    assert len(play(script, tmp_path / "run").of("create_project")) == 1


@pytest.mark.parametrize("slack", ["max -0.1 min 0.02", "max 0.5 min -0.01"])
def test_missed_timing_is_an_error_and_no_bitstream(slack: str, tmp_path: Path) -> None:
    script = make(tmp_path / "build", boards.find("pynq-z2"))
    played = play(script, tmp_path / "run", slack=slack)
    assert re.fullmatch(r"timing is not met at 100 MHz: .*-0\.\d+ ns.*build with a lower clock", played.error)
    assert not played.of("write_bitstream") and len(played.of("report_timing_summary")) == 1


def test_what_cannot_be_scripted_is_refused(tmp_path: Path) -> None:
    script = make(tmp_path / "build", boards.find("pynq-z2"))
    rtl, design = tmp_path / "build" / "rtl", hwh.Design("pynq-z2", "xc7z020clg400-1")
    (rtl / "two words.mem").write_text("0\n")
    with pytest.raises(ShellError, match=r"two words\.mem: a file name for Tcl"):
        tcl.write(script.parent, design, rtl=rtl, shell=[])
    (rtl / "two words.mem").unlink()
    (rtl / "spikeclip_accelerator.v").unlink()
    with pytest.raises(ShellError, match=r"spikeclip_accelerator\.v: no such file"):
        tcl.write(script.parent, design, rtl=rtl, shell=[])
    with pytest.raises(ShellError, match=r"sources\.f: no such file"):
        tcl.write(script.parent, design, rtl=tmp_path, shell=[])
