"""XRT's electrical report: from a stand-in for xbutil that writes its JSON, and from pyxrt's interface."""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from spikeclip_fpga.host.power.errors import BadReadingError, SourceMissingError
from spikeclip_fpga.host.power.xrt import XrtSource

CARD = "0000:65:00.1"


def rail(name: str, volts: str, amps: str, **extra: str) -> dict[str, Any]:
    """Return a rail as XRT's sensor.cpp writes it: all values are text, absent ones 0.000."""
    present = {"0.000": "false"}
    voltage = {"volts": volts, "is_present": present.get(volts, "true")}
    return {
        "id": name,
        "description": name,
        "voltage": voltage,
        "current": {"amps": amps, "is_present": present.get(amps, "true"), **extra},
    }


def electrical(watts: str = "27.464125") -> dict[str, Any]:
    rails = [
        rail("12v_aux", "0.000", "0.000"),
        rail("12v_pex", "12.193", "1.750"),
        rail("3v3_pex", "3.295", "1.040"),
        rail("vccint", "0.851", "0.000", error_msg="sensor timed out"),
    ]
    return {"power_rails": rails, "power_consumption_max_watts": "225", "power_consumption_watts": watts}


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an xbutil into PATH that answers as the real one: a JSON file where it is told, named card only."""
    path = tmp_path / "bin" / "xbutil"
    path.parent.mkdir()
    path.write_text(
        f"""#!{sys.executable}
import json, sys
from pathlib import Path
arguments = sys.argv[1:]
assert arguments[0] == "examine" and arguments[arguments.index("--report") + 1] == "electrical"
if arguments[arguments.index("--device") + 1] != "{CARD}":
    sys.exit("ERROR: Specified device BDF not found")
data = json.loads(Path("{tmp_path}/electrical.json").read_text())
device = {{"interface_type": "pcie", "device_id": "{CARD}", "electrical": data}}
Path(arguments[arguments.index("--output") + 1]).write_text(json.dumps({{"schema_version": {{}}, "devices": [device]}}))
"""
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "electrical.json").write_text(json.dumps(electrical()))
    return tmp_path / "electrical.json"


def test_total_and_rails_by_the_tool(tool: Path) -> None:
    whole = XrtSource(CARD)
    assert whole.read().power_w == 27.464125 and whole.boundary == "whole card, as XRT sums it"
    rails = XrtSource(CARD, rails=["12v_pex", "3v3_pex"])
    assert rails.read().power_w == pytest.approx(12.193 * 1.75 + 3.295 * 1.04)
    assert rails.boundary == "card's rails 12v_pex, 3v3_pex"
    one = XrtSource(CARD, rails=["12v_pex"]).read()
    assert (one.voltage_v, one.current_a) == (12.193, 1.75)
    tool.write_text(json.dumps(electrical("28.0")))
    assert whole.read().power_w == 28.0


def test_whole_watts_are_known_to_be_coarse(tool: Path) -> None:
    assert XrtSource(CARD).resolution_w == 1e-6
    tool.write_text(json.dumps(electrical("27")))
    assert XrtSource(CARD).resolution_w == 1.0


def test_what_xrt_could_not_read_is_an_error_and_no_zero(tool: Path) -> None:
    with pytest.raises(BadReadingError, match=f"XRT card {CARD}: rail vccint: current: sensor timed out"):
        XrtSource(CARD, rails=["vccint"])
    with pytest.raises(BadReadingError, match="rail 12v_aux: voltage: not present"):
        XrtSource(CARD, rails=["12v_aux"])
    with pytest.raises(SourceMissingError, match="no rail '5v'; there are: 12v_aux, 12v_pex, 3v3_pex, vccint"):
        XrtSource(CARD, rails=["5v"])
    tool.write_text(json.dumps(electrical("N/A")))
    with pytest.raises(BadReadingError, match="power_consumption_watts: expected a number, got 'N/A'; give rails"):
        XrtSource(CARD)
    tool.write_text("{}")
    with pytest.raises(SourceMissingError, match="no electrical sensors in XRT's report"):
        XrtSource(CARD)


def test_missing_tool_and_card(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceMissingError, match="xbutil ended with 1: ERROR: Specified device BDF not found; check"):
        XrtSource("0000:99:00.1")
    monkeypatch.setenv("PATH", str(tool.parent))
    with pytest.raises(SourceMissingError, match=f"XRT card {CARD}: xrt-smi and xbutil not found; install XRT"):
        XrtSource(CARD)


def test_pyxrt(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("pyxrt")

    class Device:
        def __init__(self, index: int) -> None:
            if index:
                raise RuntimeError(f"Could not open device with index '{index}'")

        def get_info(self, key: str) -> str:
            assert key == "electrical-key"
            return json.dumps(electrical())

    module.device, module.xrt_info_device = Device, types.SimpleNamespace(electrical="electrical-key")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyxrt", module)
    assert XrtSource(0).read().power_w == 27.464125
    with pytest.raises(SourceMissingError, match="XRT card 3: Could not open device with index '3'; check the cards"):
        XrtSource(3)
    monkeypatch.setitem(sys.modules, "pyxrt", None)
    with pytest.raises(SourceMissingError, match="XRT card 0: the package pyxrt"):
        XrtSource(0)


def test_garbage_is_named() -> None:
    with pytest.raises(BadReadingError, match="XRT card 1: expected XRT's electrical report, got 'oops'"):
        XrtSource(1, report=lambda: "oops")
