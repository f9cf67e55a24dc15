from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spikeclip_fpga.host.power import EnergyReport, measure, measure_idle, measure_recording, open_source, read_report
from spikeclip_fpga.host.power.errors import FrozenError, ProtocolError, RecordingError, ReportError, TooSlowError
from spikeclip_fpga.host.power.intervals import Estimate
from spikeclip_fpga.host.power.replay import Recording, load_recording
from spikeclip_fpga.host.power.report import from_json

# 2.1 W for 2 ms an image, 0.5 W of it above idle.
TOTAL_MJ, DYNAMIC_MJ = 4.2, 1.0


def run(bench: Any, **source: Any) -> EnergyReport:
    return measure(bench.source(**source), bench.board.run_batch, clock=bench.clock)


def test_known_energy_is_recovered(bench: Any) -> None:
    report = run(bench, noise_w=0.002)
    assert report.energy_total_mj.value == pytest.approx(TOTAL_MJ, rel=0.01)
    assert report.energy_dynamic_mj.value == pytest.approx(DYNAMIC_MJ, rel=0.01)
    assert report.configured_idle_w.value == pytest.approx(1.6, rel=0.01)
    assert report.active_w.value == pytest.approx(2.1, rel=0.01)
    assert report.time_per_image_ms.value == pytest.approx(2.0, rel=1e-6)
    assert len(report.active_windows) == len(report.idle_windows) == 5
    # Whole batches of 0.1 s, until 10 s have passed.
    assert all(row.images in (5000, 5050) and row.samples >= 499 for row in report.active_windows)
    assert report.images == sum(row.images for row in report.active_windows)


@pytest.mark.parametrize("drift_w_per_s", [0.002, -0.002])
def test_drift_cancels_in_the_dynamic_energy(bench: Any, drift_w_per_s: float) -> None:
    """0.25 W over the measurement, half the difference looked for; idle and active in turn take it out."""
    bench.board.drift_w_per_s = drift_w_per_s
    report = run(bench, noise_w=0.002)
    # Of five pairs, alternately idle and active first, one is left: 11 s of drift, by five.
    assert report.energy_dynamic_mj.value == pytest.approx(DYNAMIC_MJ + 11 * drift_w_per_s * 2 / 5, abs=0.003)
    assert report.energy_dynamic_mj.low95 <= DYNAMIC_MJ <= report.energy_dynamic_mj.high95
    assert report.lag1_total > 0.3


@pytest.mark.parametrize(("correlation", "noise_w"), [(0.0, 0.2), (0.95, 0.05)])
def test_interval_covers_the_truth(new_bench: Any, correlation: float, noise_w: float) -> None:
    """Over 100 seeded runs, white noise and noise that resembles itself for a second."""
    covered = {"total": 0, "dynamic": 0}
    widths = []
    for seed in range(100):
        bench = new_bench()
        source = bench.source(noise_w=noise_w, correlation=correlation, rate_hz=20, seed=seed)
        report = measure(source, bench.board.run_batch, warmup_s=0.5, clock=bench.clock)
        covered["total"] += report.energy_total_mj.low95 <= TOTAL_MJ <= report.energy_total_mj.high95
        covered["dynamic"] += report.energy_dynamic_mj.low95 <= DYNAMIC_MJ <= report.energy_dynamic_mj.high95
        widths.append(report.energy_total_mj.half_width)
    assert covered["total"] >= 93 and covered["dynamic"] >= 93, covered
    # Not by being vague: a perfect interval of a mean of 1,000 samples, t of 4, in mJ.
    samples = 1000 * (1 - correlation) / (1 + correlation)
    assert sum(widths) / 100 < 2 * 2.776 * noise_w * 2 / samples**0.5


def test_every_window_holds_one_state_only(bench: Any) -> None:
    """A sensor that averages over a second must not smear idle into active."""
    memory = [1.6] * 50

    def smear(_: int, watts: float) -> float:
        memory.append(watts)
        return sum(memory[-50:]) / 50

    report = measure(bench.source(noise_w=0.01, fault=smear), bench.board.run_batch, settle_s=1.5, clock=bench.clock)
    assert report.energy_dynamic_mj.value == pytest.approx(DYNAMIC_MJ, rel=0.01)


def test_board_idle_is_reported(bench: Any) -> None:
    bench.board.idle_w = 1.2
    before = measure_idle(bench.source(noise_w=0.001), clock=bench.clock)
    bench.board.idle_w = 1.6
    report = measure(bench.source(noise_w=0.001), bench.board.run_batch, board_idle=before, clock=bench.clock)
    assert report.board_idle_w == before and before.value == pytest.approx(1.2, abs=1e-3)
    assert "power, board idle           1.2 W [" in report.table()


def test_coarse_sensor_widens_the_interval_by_its_step(bench: Any) -> None:
    report = run(bench, step_w=0.025)
    assert report.active_w.half_width >= 0.0125
    assert report.energy_dynamic_mj.half_width >= 0.025 * 2 * 0.999
    assert report.energy_total_mj.low95 <= TOTAL_MJ <= report.energy_total_mj.high95


def test_a_sensor_that_never_moves_is_frozen(bench: Any) -> None:
    with pytest.raises(FrozenError, match=r"synthetic: 1 W in every window, idle and active, with a step of 1 W"):
        measure(bench.source(step_w=1.0, fault=lambda *_: 1.0), bench.board.run_batch, clock=bench.clock)


def test_too_few_windows_or_samples_are_refused_before_anything_runs(bench: Any) -> None:
    source = bench.source(rate_hz=0.5)
    with pytest.raises(ProtocolError, match="synthetic: windows: expected 5 or more, got 4"):
        measure(source, bench.board.run_batch, windows=4, clock=bench.clock)
    with pytest.raises(TooSlowError, match=r"synthetic: 0.5 Hz gives 5 samples in windows of 10 s.*window_s=20"):
        measure(source, bench.board.run_batch, clock=bench.clock)
    assert source.count == 0
    with pytest.raises(ProtocolError, match="workload: expected the number of images of a batch, 1 or more, got 0"):
        measure(bench.source(noise_w=0.01), lambda: 0, clock=bench.clock)


def test_what_the_workload_raises_passes_through(bench: Any) -> None:
    def fails() -> int:
        raise ConnectionError("the board went away")

    with pytest.raises(ConnectionError, match="went away"):
        measure(bench.source(noise_w=0.01), fails, clock=bench.clock)


def test_report_survives_json(bench: Any, tmp_path: Path) -> None:
    report = run(bench, noise_w=0.01)
    report.write(tmp_path / "energy.json")
    assert read_report(tmp_path / "energy.json") == report
    table = report.table()
    for text in ("synthetic", "all the board draws", "not stated", "50 Hz", "images/s", "mJ [", "not measured"):
        assert text in table, text


def _damaged(data: dict[str, Any], case: str) -> None:
    if case == "unit missing":
        del data["energy_total_mj"]["unit"]
    elif case == "other unit":
        data["energy_total_mj"]["unit"] = "J"
    elif case == "bare number":
        data["active_w"] = 2.1
    elif case == "no interval":
        del data["energy_dynamic_mj"]["low95"]
    elif case == "newer schema":
        data["schema"] = 2
    elif case == "other format":
        data["format"] = "something"
    elif case == "no boundary":
        del data["sensor"]["boundary"]
    elif case == "text for number":
        data["sampling"]["rate_hz"] = "50"
    elif case == "unknown field":
        data["energy_j"] = 1.0
    elif case == "interval beside the value":
        data["active_w"]["low95"] = 1e6


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("unit missing", "energy_total_mj: expected a value with a unit"),
        ("other unit", "energy_total_mj: unit: expected 'mJ', got 'J'"),
        ("bare number", "active_w: expected a value with a unit, got 2.1"),
        ("no interval", r"energy_dynamic_mj: missing \['low95'\]"),
        ("newer schema", "schema: expected 1, got 2"),
        ("other format", "format: expected 'spikeclip-fpga/energy'"),
        ("no boundary", r"sensor: missing \['boundary'\]"),
        ("text for number", "sampling: rate_hz: expected a finite number, got '50'"),
        ("unknown field", r"unknown \['energy_j'\]"),
        ("interval beside the value", "active_w: expected low95 <= value <= high95"),
    ],
)
def test_damaged_reports_are_refused(bench: Any, tmp_path: Path, case: str, message: str) -> None:
    data = json.loads(run(bench, noise_w=0.01).to_json())
    _damaged(data, case)
    with pytest.raises(ReportError, match=message):
        from_json(json.dumps(data))
    (tmp_path / "energy.json").write_text("{")
    with pytest.raises(ReportError, match=r"energy\.json: no JSON"):
        read_report(tmp_path / "energy.json")


def _write_recording(path: Path, bench: Any) -> tuple[list[tuple[float, float]], list[tuple[float, float, int]]]:
    """Record 5 s idle and 5 s active five times at 20 Hz, as a bench meter's log."""
    source = bench.source(noise_w=0.01, rate_hz=20)
    rows, idle, active = ["# logged by a meter", "Time [ms],Power [mW],note"], [], []
    for k in range(200 * 5):
        at = k * 50
        bench.board.working = at % 10000 >= 5000
        rows.append(f"{at},{source.read().power_w * 1e3:.4f},x")
    for k in range(5):
        idle.append((10.0 * k, 10.0 * k + 5))
        active.append((10.0 * k + 5, 10.0 * k + 10, 2500))
    path.write_text("\n".join(rows) + "\n")
    return idle, active


def test_energy_of_a_recording(bench: Any, tmp_path: Path) -> None:
    idle, active = _write_recording(tmp_path / "meter.csv", bench)
    recording = load_recording(tmp_path / "meter.csv")
    report = measure_recording(recording, idle, active, boundary="5 V input")
    assert report.energy_total_mj.value == pytest.approx(TOTAL_MJ, rel=0.01)
    assert report.energy_dynamic_mj.value == pytest.approx(DYNAMIC_MJ, rel=0.01)
    assert report.energy_dynamic_mj.low95 <= DYNAMIC_MJ <= report.energy_dynamic_mj.high95
    assert report.procedure.pairing == "separate" and report.sensor.boundary == "5 V input"
    assert from_json(report.to_json()) == report
    one_idle = measure_recording(recording, [(0.0, 5.0)], active, boundary="5 V input")
    assert len(one_idle.idle_windows) == 5
    with pytest.raises(ProtocolError, match="idle: expected a span or more, got none"):
        measure_recording(recording, [], active, boundary="5 V input")


def test_replay_through_the_whole_measurement(bench: Any, tmp_path: Path) -> None:
    """A recorded log, played at virtual speed beside a workload that was on when it was recorded."""
    rows = ["time_s,voltage_v,current_a"]
    for k in range(20 * 200):
        at = k / 20
        rows.append(f"{at:.2f},5.0,{(1.6 + 0.5 * (k % 7 == 0)) / 5:.6f}")
    (tmp_path / "log.csv").write_text("\n".join(rows))
    spec = f"csv:path={tmp_path / 'log.csv'},boundary=5 V input"
    with open_source(spec, clock=bench.clock) as source:
        report = measure(source, bench.board.run_batch, window_s=7.0, clock=bench.clock)
    assert report.active_w.value == pytest.approx(1.6 + 0.5 / 7, rel=0.01)
    assert report.sensor.detail == "replayed, not measured now"


def test_estimates_print_value_and_interval() -> None:
    assert str(Estimate.of(4.2, 0.1, "mJ")) == "4.2 mJ [4.1, 4.3]"


def test_spans_outside_a_recording_are_refused(bench: Any, tmp_path: Path) -> None:
    _, active = _write_recording(tmp_path / "meter.csv", bench)
    recording: Recording = load_recording(tmp_path / "meter.csv")
    with pytest.raises(RecordingError, match=r"meter\.csv: expected a span within 0 to 49\.95 s, got 40 to 60 s"):
        measure_recording(recording, [(0.0, 5.0), (40.0, 60.0)], active, boundary="5 V input")
