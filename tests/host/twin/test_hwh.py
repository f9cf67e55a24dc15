from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spikeclip_fpga.hw.shell import hwh

pytest.importorskip("pynq", reason="pynq is not installed here; this runs in the board environment")


def parsed(tmp_path: Path, design: hwh.Design) -> Any:
    from pynqmetadata.frontends import Metadata
    from pynqmetadata.views.runtime import RuntimeMetadataParser

    path = tmp_path / "accelerator.hwh"
    path.write_text(hwh.write(design))
    return RuntimeMetadataParser(Metadata(input=path))


@pytest.mark.parametrize(
    ("part", "family", "dma", "identity"),
    [
        ("xc7z020clg400-1", "processing_system7", 0x4040_0000, 0x43C0_0000),
        ("xczu3eg-sfvc784-2-e", "zynq_ultra_ps_e", 0xA000_0000, 0xA001_0000),
        ("xck26-sfvc784-2LV-c", "zynq_ultra_ps_e", 0xA000_0000, 0xA001_0000),
    ],
)
def test_pynq_finds_ip_addresses_and_clock(tmp_path: Path, part: str, family: str, dma: int, identity: int) -> None:
    found = parsed(tmp_path, hwh.Design("some-board", part, clk_mhz=125.0))
    assert found.family_ps == family
    entries = {
        name: (e["type"], e["phys_addr"], e["addr_range"]) for name, e in found.ip_dict.items() if "phys_addr" in e
    }
    assert entries == {
        "axi_dma_0": ("xilinx.com:ip:axi_dma:7.1", dma, 0x1_0000),
        "spikeclip_id": ("xilinx.com:module_ref:spikeclip_shell:1.0", identity, 0x1_0000),
    }
    clocks = found.clock_dict
    assert [clocks[i]["enable"] for i in range(4)] == [1, 0, 0, 0]
    assert clocks[0]["frequency"] == pytest.approx(125.0, rel=0.01)


def test_the_dma_is_described_as_direct_mode_with_26_bits(tmp_path: Path) -> None:
    entry = parsed(tmp_path, hwh.Design("pynq-z2", "xc7z020clg400-1")).ip_dict["axi_dma_0"]
    settings = entry["parameters"]
    assert (settings["c_include_sg"], settings["c_micro_dma"], settings["c_sg_length_width"]) == ("0", "0", "26")
    assert (settings["c_m_axis_mm2s_tdata_width"], settings["c_s_axis_s2mm_tdata_width"]) == ("32", "32")
    offsets = {name: r["address_offset"] for name, r in entry["registers"].items()}
    assert offsets["MM2S_LENGTH"] == 0x28 and offsets["S2MM_DA"] == 0x48 and offsets["S2MM_LENGTH"] == 0x58
    assert entry["registers"]["S2MM_DMASR"]["fields"]["DMADecErr"]["bit_offset"] == 6


def test_the_same_design_gives_the_same_text() -> None:
    assert hwh.write(hwh.Design("pynq-z2", "xc7z020clg400-1")) == hwh.write(hwh.Design("pynq-z2", "xc7z020clg400-1"))


@pytest.mark.parametrize(("part", "clk_mhz"), [("xcu250-figd2104-2L-e", 200.0), ("xc7z020clg400-1", 0.0)])
def test_what_cannot_be_is_refused(part: str, clk_mhz: float) -> None:
    with pytest.raises(hwh.HwhError, match=r"expected .*got"):
        hwh.Design("some-board", part, clk_mhz)
