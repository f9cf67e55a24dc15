"""pynq's own sensor API, with libsensors simulated at its C interface."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spikeclip_fpga.host.power.errors import SourceMissingError
from spikeclip_fpga.host.power.pynq_rails import PynqRails

SOURCE = Path(__file__).with_name("simulated_libsensors.c")
SCRIPT = """
import json, os, sys
from spikeclip_fpga.host.power import Sampler, VirtualClock, PowerError
from spikeclip_fpga.host.power.pynq_rails import PynqRails
said = {}
try:
    source = PynqRails(["VCCINT"])
    reading = source.read()
    said["reading"] = [reading.power_w, reading.voltage_v, reading.current_a]
    said["boundary"] = source.boundary
    try:
        PynqRails(["VCCAUX"])
    except PowerError as error:
        said["voltage only"] = str(error)
    os.remove(os.environ["SIMULATED_SENSORS"] + "/power1_input")  # readings fail from now on; pynq does not say so
    clock = VirtualClock()
    try:
        with Sampler(source, clock) as sampler:
            sampler.wait(30)
    except PowerError as error:
        said["failing"] = f"{type(error).__name__}: {error}"
except PowerError as error:
    said["error"] = str(error)
print(json.dumps(said))
"""


def run(folder: Path, **environment: str) -> dict[str, Any]:
    pytest.importorskip("pynq")
    kept = {key: value for key, value in os.environ.items() if key != "PYNQ_REMOTE_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**kept, "SIMULATED_SENSORS": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_real_pynq_over_simulated_libsensors(tmp_path: Path) -> None:
    pytest.importorskip("pynq")
    compiler = shutil.which("cc") or shutil.which("gcc") or pytest.skip("no C compiler")
    subprocess.run(
        [compiler, "-w", "-shared", "-fPIC", "-o", str(tmp_path / "libsensors.so"), str(SOURCE)], check=True, timeout=60
    )
    for name, value in {"in1_input": 0.85, "curr1_input": 2.0, "power1_input": 1.71, "in2_input": 1.8}.items():
        (tmp_path / name).write_text(str(value))
    said = run(tmp_path, LD_LIBRARY_PATH=str(tmp_path))
    assert said["reading"] == [1.71, 0.85, 2.0] and said["boundary"] == "rail VCCINT"
    assert "rail VCCAUX has neither power nor both voltage and current" in said["voltage only"]
    # pynq drops libsensors' error code and gives the last value for ever.
    assert said["failing"].startswith("FrozenError: pynq rails VCCINT: gave 1.71 W")


def test_pynq_without_libsensors_is_an_error(tmp_path: Path) -> None:
    pynq = pytest.importorskip("pynq")
    if getattr(pynq.pmbus, "_lib", None) is not None:
        pytest.skip("this machine has libsensors.so")
    assert "pynq cannot load libsensors.so, without which every sensor reads 0" in run(tmp_path)["error"]


def test_a_remote_board_s_rails_are_not_this_machine_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYNQ_REMOTE_DEVICES", "192.168.2.99")
    with pytest.raises(SourceMissingError, match="pynq reads the sensors of this machine, not of the remote board"):
        PynqRails(["VCCINT"])


def test_without_pynq_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYNQ_REMOTE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(SourceMissingError, match=r"the package pynq does not import .*; pip install pynq"):
        PynqRails(["VCCINT"])


def test_rails_of_pynq_s_classes_are_summed(tmp_path: Path) -> None:
    pmbus = pytest.importorskip("pynq").pmbus

    def sensor(name: str, raw: float, unit: str, scale: float) -> Any:
        (tmp_path / name).write_text(str(raw))
        return pmbus.SysFSSensor(str(tmp_path / name), unit, name, scale)

    rails = {name: pmbus.Rail(name) for name in ("VCCINT", "VCCBRAM", "12V")}
    rails["VCCINT"].power = sensor("power1_input", 1_500_000, "W", 1e-6)
    rails["VCCBRAM"].voltage, rails["VCCBRAM"].current = sensor("in1", 850, "V", 1e-3), sensor("curr1", 200, "A", 1e-3)
    source = PynqRails(["VCCINT", "VCCBRAM"], available=rails)
    assert source.read().power_w == pytest.approx(1.5 + 0.85 * 0.2)
    assert source.boundary == "sum of rails VCCINT, VCCBRAM"
    (tmp_path / "power1_input").write_text("1600000")
    assert source.read().power_w == pytest.approx(1.77)
    with pytest.raises(SourceMissingError, match=r"pynq rails 5V: .*which are: 12V, VCCBRAM, VCCINT"):
        PynqRails(["5V"], available=rails)
    with pytest.raises(SourceMissingError, match=r"none .this board has no sensors"):
        PynqRails(["5V"], available={})
