"""Vivado's script: from the RTL to accelerator.bit and accelerator.hwh, with features of the free edition alone.

    script = tcl.write(job.out / "vivado", Design("pynq-z2", part, clk_mhz=100.0), rtl=job.rtl, shell=files)
    vivado -mode batch -source script

The script names files relative to itself, so that the build folder may be moved, and goes on where it stopped.
NOT RUN IN VIVADO YET: tests run it in a Tcl interpreter in which Vivado's commands only note their arguments.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from . import wrapper
from .flow import CLOSING, OPENING, PATCH, POWER
from .geometry import ShellError
from .hwh import DMA_PARAMETERS, DMA_VLNV, SPAN, ZYNQ, Design

SCRIPT = "build.tcl"
# The IP derives these from what is connected.
_DERIVED = ("c_s_axis_s2mm_tdata_width",)
# The Zynq PS without its board's preset: what the fabric sees. DDR, MIO and PLLs are set up by the boot loader of
# the SD card's image (PYNQ's, made from TUL's or Digilent's board files), before Linux and long before a bitstream
# is loaded; pynq then sets the fabric clock's divisors from the .hwh. For a boot without such an image, take the
# preset of the board's vendor instead. The 50 MHz crystal is that of the PYNQ-Z1 and Z2.
_ZYNQ_SETTINGS = {
    "PCW_CRYSTAL_PERIPHERAL_FREQMHZ": "50",
    "PCW_FPGA0_PERIPHERAL_FREQMHZ": "{clk_mhz:g}",
    "PCW_EN_CLK0_PORT": "1",
    "PCW_EN_RST0_PORT": "1",
    "PCW_USE_M_AXI_GP0": "1",
    "PCW_USE_S_AXI_HP0": "1",
    "PCW_S_AXI_HP0_DATA_WIDTH": "64",  # as after reset; 32 would be a setting of the boot loader's
}
_ZYNQMP_SETTINGS = {
    "PSU__FPGA_PL0_ENABLE": "1",
    "PSU__CRL_APB__PL0_REF_CTRL__SRCSEL": "IOPLL",
    "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": "{clk_mhz:g}",
    "PSU__USE__FABRIC__RST": "1",
    "PSU__USE__M_AXI_GP0": "1",
    "PSU__USE__M_AXI_GP1": "0",
    "PSU__USE__M_AXI_GP2": "0",
    "PSU__USE__S_AXI_GP2": "1",
    "PSU__MAXIGP0__DATA_WIDTH": "128",  # both as after reset
    "PSU__SAXIGP2__DATA_WIDTH": "128",
}
_NAME = re.compile(r"[\w./-]+")


def write(folder: Path, design: Design, *, rtl: Path, shell: Sequence[Path]) -> Path:
    """Write build.tcl to ``folder`` and return it.

    rtl: the accelerator's folder, with sources.f. shell: the shell's files (wrapper.write). Raises ShellError for
    a missing file, or a name that Tcl would read otherwise.
    """
    listing = rtl / "sources.f"
    if not listing.is_file():
        raise ShellError(f"{listing}: no such file; make the RTL first")
    sources = [*(rtl / name for name in listing.read_text().split()), *shell]
    headers = sorted(p for p in rtl.iterdir() if p.suffix in (".vh", ".svh"))
    memories = sorted(rtl.glob("*.mem"))
    digest = hashlib.sha256()
    for path in (*sources, *headers, *memories):
        if not path.is_file():
            raise ShellError(f"{path}: no such file; make the RTL again")
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(
        (
            OPENING.format(board=design.board, part=design.part, clk_mhz=f"{design.clk_mhz:g}"),
            _paths("sources", folder, sources),
            _paths("headers", folder, headers),
            _paths("memories", folder, memories),
            _make_design(design),
            PATCH,
            POWER,
        )
    )
    digest.update(text.encode())
    path = folder / SCRIPT
    path.write_text(f"{text}\nset key {digest.hexdigest()[:16]}\n{CLOSING}")
    return path


def _paths(name: str, folder: Path, paths: Sequence[Path]) -> str:
    """Return a Tcl list of paths relative to the script."""
    lines = []
    for path in paths:
        relative = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
        if not _NAME.fullmatch(relative):
            raise ShellError(f"{path.name}: a file name for Tcl has letters, digits and ._- only; rename it")
        lines.append(f"    {relative}\n")
    return f"set {name} {{\n{''.join(lines)}}}\n"


def _dictionary(settings: dict[str, str]) -> str:
    return " ".join(f"CONFIG.{name} {{{value}}}" for name, value in settings.items())


def _make_design(design: Design) -> str:
    """Return the Tcl procedure that draws the block design."""
    ps, dma, shell = design.processor, design.dma, design.id_block
    zynq = ps is ZYNQ
    settings = {k: v.format(clk_mhz=design.clk_mhz) for k, v in (_ZYNQ_SETTINGS if zynq else _ZYNQMP_SETTINGS).items()}
    direct = {name: str(value) for name, value in DMA_PARAMETERS.items() if name not in _DERIVED}
    master_clock = "M_AXI_GP0_ACLK" if zynq else "maxihpm0_fpd_aclk"
    slave_clock = "S_AXI_HP0_ACLK" if zynq else "saxihp0_fpd_aclk"
    clocked = [
        *(f"{ps.instance}/{pin}" for pin in (master_clock, slave_clock)),
        *(f"{dma}/{pin}" for pin in ("s_axi_lite_aclk", "m_axi_mm2s_aclk", "m_axi_s2mm_aclk")),
        *("registers/aclk", "memory/aclk", "reset_0/slowest_sync_clk", f"{shell}/clk_i"),
    ]
    resets = [f"{dma}/axi_resetn", "registers/aresetn", "memory/aresetn", f"{shell}/rst_ni"]
    links = [
        (f"{ps.instance}/{ps.master}", "registers/S00_AXI"),
        ("registers/M00_AXI", f"{dma}/S_AXI_LITE"),
        ("registers/M01_AXI", f"{shell}/s_axi"),
        (f"{dma}/M_AXI_MM2S", "memory/S00_AXI"),
        (f"{dma}/M_AXI_S2MM", "memory/S01_AXI"),
        ("memory/M00_AXI", f"{ps.instance}/{ps.slave}"),
        (f"{dma}/M_AXIS_MM2S", f"{shell}/s_axis"),
        (f"{shell}/m_axis", f"{dma}/S_AXIS_S2MM"),
    ]
    ddr = 0x2000_0000 if zynq else 0x8000_0000
    lines = [
        "create_bd_design spikeclip",
        f"create_bd_cell -type ip -vlnv {ps.vlnv} {ps.instance}",
        f"set_property -dict {{{_dictionary(settings)}}} [get_bd_cells {ps.instance}]",
        *(f"make_bd_intf_pins_external [get_bd_intf_pins {ps.instance}/{n}]" for n in ("DDR", "FIXED_IO") if zynq),
        f"create_bd_cell -type ip -vlnv {DMA_VLNV} {dma}",
        f"set_property -dict {{{_dictionary(direct)}}} [get_bd_cells {dma}]",
        "create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect:1.0 registers",
        "set_property -dict {CONFIG.NUM_SI {1} CONFIG.NUM_MI {2}} [get_bd_cells registers]",
        "create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect:1.0 memory",
        "set_property -dict {CONFIG.NUM_SI {2} CONFIG.NUM_MI {1}} [get_bd_cells memory]",
        "create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset:5.0 reset_0",
        f"create_bd_cell -type module -reference {wrapper.TOP} {shell}",
        *(f"connect_bd_intf_net [get_bd_intf_pins {a}] [get_bd_intf_pins {b}]" for a, b in links),
        *(f"connect_bd_net [get_bd_pins {ps.instance}/{ps.clock}] [get_bd_pins {pin}]" for pin in clocked),
        f"connect_bd_net [get_bd_pins {ps.instance}/{ps.reset}] [get_bd_pins reset_0/ext_reset_in]",
        *(f"connect_bd_net [get_bd_pins reset_0/peripheral_aresetn] [get_bd_pins {pin}]" for pin in resets),
        f"place_slave {ps.instance}/Data {dma}/S_AXI_LITE 0x{ps.dma_base:08X} 0x{SPAN:X}",
        f"place_slave {ps.instance}/Data {shell}/s_axi 0x{ps.id_base:08X} 0x{SPAN:X}",
        f"place_slave {dma}/Data_MM2S {ps.instance}/{ps.slave} 0x00000000 0x{ddr:X}",
        f"place_slave {dma}/Data_S2MM {ps.instance}/{ps.slave} 0x00000000 0x{ddr:X}",
        "validate_bd_design",
        "save_bd_design",
    ]
    return "\nproc make_design {} {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"
