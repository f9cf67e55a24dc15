"""The command: table, JSON, prices from and to files, calibration, and errors in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spikeclip_fpga.energy.fabric.__main__ import main
from spikeclip_fpga.energy.fabric.coefficients import NAMES
from spikeclip_fpga.energy.fabric.estimate import PARTS, estimate

from .fabric_cases import activity, node, power_report


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "activity.json"
    path.write_text(
        json.dumps(activity(node("a", layer=None), node("b", layer=None), notes=["zero delay: no glitches"]))
    )
    return str(path)


def test_the_table_and_the_json(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "energy.json"
    assert main([file, "--json", str(out), "--clk-mhz", "50"]) == 0
    text = capsys.readouterr().out
    assert "tiny on xc7z020clg400-1, 50 MHz, 5e+04 images/s; activity-based estimate, not measured" in text
    first_words = [line.split("  ")[0] for line in text.splitlines()]
    for name in (*PARTS, "dynamic", "a", "b", *NAMES):
        assert name in first_words, name
    assert "note: zero delay: no glitches" in text
    found = estimate(activity(node("a"), node("b")), clk_mhz=50.0)
    assert json.loads(out.read_text())["dynamic_nj"] == found.dynamic_nj.to_json()
    assert f"{found.dynamic_nj.value / 1e3:.4g}" in text


def test_prices_from_a_file_a_calibration_and_back(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, saved, mine = (tmp_path / name for name in ("power.rpt", "saved.json", "mine.json"))
    rows = {"Clocks": ("0.100", "3"), "LUT as Logic": ("0.100", "1000"), "Register": ("0.010", "1000")}
    report.write_text(power_report(rows, {"clk": "10.0"}))
    mine.write_text('{"lut": 0.5}')
    out = [tmp_path / "one.json", tmp_path / "two.json"]
    given = ["--coefficients", str(mine), "--calibrate", str(report), "--save-coefficients", str(saved)]
    assert main([file, *given, "--json", str(out[0])]) == 0
    text = capsys.readouterr().out
    assert "calibrated: clock x 30.3" in text
    assert "calibration: clock clk, 100 MHz" in text
    assert main([file, "--coefficients", str(saved), "--json", str(out[1])]) == 0
    one, two = (json.loads(path.read_text()) for path in out)
    assert one == two
    assert one["coefficients"]["lut"]["value"] == 0.5
    assert one["coefficients"]["clock"]["value"] == pytest.approx(1.0)


def test_small_nodes_are_summed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "activity.json"
    path.write_text(json.dumps(activity(*(node(f"n{i}", layer=f"layer.{i}", lut=100 * i + 1) for i in range(40)))))
    assert main([str(path)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    rows = [words for words in lines if words and words[0].startswith("layer.")]
    others = next(words for words in lines if words[1:2] == ["others"])
    assert [words[0] for words in rows] == [f"layer.{i}" for i in range(39, 14, -1)]
    assert others[0] == "15"
    whole = next(float(words[1]) for words in lines if words[:1] == ["dynamic"])
    assert float(others[7]) + sum(float(words[6]) for words in rows) == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[]", "expected a JSON object, got list"),
        ("{}", "activity: format: expected 'spikeclip-fpga/activity', got None"),
        (json.dumps(activity(node(lut=-1))), "node mvau_0: lut: expected a number of at least 0, got -1"),
        (json.dumps(activity(node(bits=float("nan")))), "node mvau_0: bits: expected a number of at least 0, got nan"),
        (json.dumps(activity(subject={"part": "xc7k325t"})), "part xc7k325t: no static power and prices known"),
    ],
)
def test_errors_are_one_line(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "activity.json"
    path.write_text(text)
    assert main([str(path)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("energy: ")
    assert error.count("\n") == 1


def test_missing_files_are_one_line(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        [str(tmp_path / "no.json")],
        [file, "--coefficients", str(tmp_path / "no.json")],
        [file, "--calibrate", str(tmp_path / "no.rpt")],
        [file, "--clk-mhz", "-1"],
    ):
        assert main(arguments) == 1
        assert capsys.readouterr().err.count("\n") == 1
