"""activity.saif in Vivado's script, in a Tcl interpreter without Vivado: grafted where the accelerator is, or told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spikeclip_fpga.hw import boards
from spikeclip_fpga.hw.activity.saif import SaifFile

from .test_tcl import Played, make, play

SAIF = """(SAIFILE
(SAIFVERSION "2.0")
(TIMESCALE 1 ps)
(DURATION 1000)
 (INSTANCE top
  (NET
   (ap_clk (T0 500) (T1 500) (TX 0) (TC 200))
  )
  (INSTANCE spikeclip_accelerator
   (NET
    (LIF_rtl_0_out0_tdata\\[0\\] (T0 1) (T1 999) (TX 0) (TC 3))
    (LIF_rtl_0_out0_tdata\\[1\\] (T0 1) (T1 999) (TX 0) (TC 4))
   )
   (INSTANCE u_LIF_rtl_0
    (PORT
     (out_valid_o (T0 1) (T1 999) (TX 0) (TC 5))
    )
   )
  )
 )
)
"""
CELL = "spikeclip_i/accelerator/inst/u_accelerator"


def played_with(folder: Path, settings: str, saif: str | None = SAIF) -> tuple[Path, Played]:
    """Run the script of a small build with the stub's settings and activity.saif beside it."""
    script = make(folder / "build", boards.find("pynq-z2"))
    if saif is not None:
        (script.parent / "activity.saif").write_text(saif)
    # The stub sources the script it is told; this one sets what the stub leaves empty.
    wrapped = folder / "wrapped.tcl"
    wrapped.write_text(f"{settings}\nsource {{{script}}}\n")
    return script, play(wrapped, folder / "run")


def test_power_is_always_reported_after_the_implementation(tmp_path: Path) -> None:
    script, played = played_with(tmp_path, "", saif=None)
    assert played.error == "" and not played.of("read_saif")
    assert played.of("report_power") == [["-file", str(script.parent / "reports" / "power.rpt")]]
    names = [call[0] for call in played.calls]
    assert names.index("open_run") < names.index("report_power") < names.index("write_bitstream")


def test_the_counts_go_where_the_accelerator_is(tmp_path: Path) -> None:
    """The instance comes from the implemented design, not from names written here; the wrapper is stripped."""
    _, played = played_with(tmp_path, f"set cells {CELL}")
    assert played.error == ""
    ((*options, path),) = played.of("read_saif")
    assert options[:2] == ["-strip_path", "spikeclip_wrapper"]
    with SaifFile(Path(path)) as saif:
        signals = list(saif)
        assert saif.duration_ps == 1000
    place = ("spikeclip_wrapper", *CELL.split("/"))
    assert [(s.scope, s.name, s.bits, s.toggles, s.is_alias) for s in signals] == [
        (place, "LIF_rtl_0_out0_tdata", 2, 7, False),
        ((*place, "u_LIF_rtl_0"), "out_valid_o", 1, 5, True),
    ]
    names = [call[0] for call in played.calls]
    assert names.index("read_saif") < names.index("report_power")
    (found,) = [call for call in played.of("get_cells") if "-hierarchical" in call]
    assert re.search(r"ORIG_REF_NAME == spikeclip_accelerator\b", found[-1])


@pytest.mark.parametrize(
    ("settings", "saif"),
    [
        ("set cells {}", SAIF),
        ("set cells {a b}", SAIF),
        (f"set cells {CELL}", SAIF.replace("spikeclip_accelerator", "other")),
        (f"set cells {CELL}; set saif_error {{ERROR: [Power 33-1] no}}", SAIF),
    ],
    ids=["none", "two", "another design", "Vivado refuses"],
)
def test_a_file_that_does_not_fit_costs_no_bitstream(settings: str, saif: str, tmp_path: Path) -> None:
    script, played = played_with(tmp_path, settings, saif)
    assert played.error == "" and (script.parent / "accelerator.bit").is_file()
    assert len(played.of("report_power")) == 1
    assert len(played.of("read_saif")) == ("saif_error" in settings)


def test_a_new_file_of_counts_does_not_start_the_project_anew(tmp_path: Path) -> None:
    script, _ = played_with(tmp_path, "")
    (script.parent / "activity.saif").write_text(SAIF)
    assert not play(script, tmp_path / "run").of("create_project")
