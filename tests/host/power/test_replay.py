from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.host.power import SOURCES, VirtualClock, load_recording, open_source
from spikeclip_fpga.host.power.errors import PowerError, RecordingError, SourceSettingsError
from spikeclip_fpga.host.power.replay import CsvReplay


def csv(folder: Path, text: str) -> Path:
    path = folder / "log.csv"
    path.write_text(text)
    return path


def test_columns_units_and_comments(tmp_path: Path) -> None:
    recording = load_recording(csv(tmp_path, "# meter 7\ntime_ms,note,Power [mW]\n0,a,1500\n\n20,b,1600\n40,c,1700\n"))
    np.testing.assert_allclose(recording.time_s, [0, 0.02, 0.04])
    np.testing.assert_allclose(recording.power_w, [1.5, 1.6, 1.7])
    assert recording.rate_hz == pytest.approx(50) and recording.resolution_w == pytest.approx(0.1)
    product = load_recording(csv(tmp_path, "Time (s),Voltage (V),Current (mA)\n0,5,300\n1,5,310\n2,4,320\n"))
    np.testing.assert_allclose(product.power_w, [1.5, 1.55, 1.28])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; expected a header such as time_s,power_w"),
        ("time_s,power\n0,1\n1,1\n2,1\n", "column 'power': expected a unit, one of power_w, power_mw, power_uw"),
        ("time,power_w\n0,1\n1,1\n2,1\n", "column 'time': expected a unit"),
        ("time_w,power_w\n0,1\n1,1\n2,1\n", "column 'time_w': expected a unit"),
        ("time_s,volts\n0,1\n", "expected columns time_s and power_w"),
        ("time_s,power_w,power_mw\n0,1,1\n", "column 'power_mw': a second power; leave one"),
        ("time_s,power_w\n0,1\n1,OVLD\n2,1\n", "line 3: power: expected a number, got '1,OVLD'"),
        ("time_s,power_w\n0,1\n1\n2,1\n", "line 3: power: expected a number, got '1'"),
        ("time_s,power_w\n0,1\n1,nan\n2,1\n", "line 3: power: expected a finite number, 0 or more for power, got nan"),
        ("time_s,power_w\n0,1\n1,-2\n2,1\n", "line 3: power: .*got -2"),
        ("time_s,power_w\n0,1\n# pause\n2,1\n1,1\n3,1\n", "line 5: time 1 s does not come after 2 s; sort it"),
        (
            "time_s,power_w\n0,1\n1,1\n2,1\n3,1\n13,1\n14,1\n",
            "line 6: gap of 10 s after 3 s, expected steps of about 1 s",
        ),
        ("time_s,power_w\n0,1\n1,1\n", "2 samples, expected 3 or more"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        load_recording(csv(tmp_path, text))


def test_missing_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"none\.csv: cannot be read"):
        load_recording(tmp_path / "none.csv")


def test_replay_holds_each_sample_until_the_next_and_ends(tmp_path: Path) -> None:
    clock = VirtualClock(100.0)
    path = csv(tmp_path, "time_s,power_w\n" + "".join(f"{7 + k / 10},{1 + k}\n" for k in range(10)))
    source = CsvReplay(path, boundary="5 V input", clock=clock)
    assert source.read().power_w == 1
    for expected in (1, 2, 2, 3):
        clock.sleep(0.05)
        assert source.read().power_w == expected
    clock.sleep(2.0)
    with pytest.raises(RecordingError, match=r"log\.csv: ends after 0\.9 s, and the measurement goes on"):
        source.read()


def test_sources_open_from_text(tmp_path: Path) -> None:
    path = csv(tmp_path, "time_s,power_w\n0,1\n1,2\n2,3\n")
    source = open_source(f"csv:path={path},boundary=5 V input of the board")
    assert isinstance(source, CsvReplay) and source.boundary == "5 V input of the board"
    (tmp_path / "hwmon0").mkdir()
    (tmp_path / "hwmon0" / "name").write_text("ina226\n")
    (tmp_path / "hwmon0" / "power1_input").write_text("2500000\n")
    other = open_source(f"hwmon:chip=ina226,boundary=x,rate_hz=5,root={tmp_path}")
    assert other.read().power_w == 2.5 and other.rate_hz == 5.0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "magic:x=1",
            "source 'magic': expected one of csv, hwmon, ina219, ina226, ina260, joulescope, pynq, scpi, xrt",
        ),
        (
            "ina226:volts=5",
            "source ina226: 'volts=5': expected key=value with a key of bus, address, boundary, shunt_ohm",
        ),
        ("ina226:address", "source ina226: 'address': expected key=value"),
        ("ina226:shunt_ohm=big,boundary=x", "source ina226: shunt_ohm: expected a number, got 'big'"),
        ("hwmon:chip=ina226", "source hwmon: needs boundary; give boundary=..."),
        ("xrt:", "source xrt: needs device"),
        (
            "ina226:bus=/nowhere/i2c-3,address=0x45,shunt_ohm=0.1,max_current_a=0.8,boundary=x",
            "/nowhere/i2c-3: no such I2C",
        ),
    ],
)
def test_wrong_text_is_named(spec: str, message: str) -> None:
    with pytest.raises(PowerError, match=message):
        open_source(spec)


def test_every_source_takes_text() -> None:
    assert set(SOURCES) == {"csv", "hwmon", "ina219", "ina226", "ina260", "joulescope", "pynq", "scpi", "xrt"}
    for name in SOURCES:
        with pytest.raises(SourceSettingsError, match="expected key=value with a key of "):
            open_source(f"{name}:no_such_key=1")
