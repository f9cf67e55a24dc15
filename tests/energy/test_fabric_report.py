"""A Vivado power report read, and prices calibrated with it: known factors come back, the rest stays."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeclip_fpga.energy.fabric.activity import read
from spikeclip_fpga.energy.fabric.calibrate import Calibration, calibrate, from_report
from spikeclip_fpga.energy.fabric.errors import FabricError
from spikeclip_fpga.energy.fabric.estimate import estimate
from spikeclip_fpga.energy.fabric.interval import Interval
from spikeclip_fpga.energy.fabric.parts import prices
from spikeclip_fpga.energy.fabric.power_report import parse

from .fabric_cases import ULTRASCALE, activity, node, power_report

ROWS_7 = {
    "Clocks": ("0.038", "3"),
    "Slice Logic": ("0.044", "30221"),
    "  LUT as Logic": ("0.036", "10966"),
    "  CARRY4": ("0.004", "1492"),
    "  Register": ("0.002", "12473"),
    "  LUT as Shift Register": ("<0.001", "325"),
    "Signals": ("0.045", "24490"),
    "Block RAM": ("0.022", "27"),
    "DSPs": ("0.028", "75"),
    "PS7": ("1.262", "1"),
    "Static Power": ("0.142", ""),
}
ROWS_PLUS = {
    "Clocks": ("0.016", "4"),
    "CLB Logic": ("0.020", "18506"),
    "  LUT as Logic": ("0.009", "5979"),
    "  LUT as Distributed RAM": ("0.008", "352"),
    "  Register": ("0.001", "9066"),
    "  CARRY8": ("<0.001", "285"),
    "Signals": ("0.017", "14883"),
    "Block RAM": ("0.025", "64.5"),
    "DSPs": ("0.002", "7"),
    "PS8": ("2.546", "1"),
}
SAIF = "routed.saif"


def test_a_report_of_7_series() -> None:
    found = parse(power_report(ROWS_7, {"clk_fpga_0": "13.0", "tck": "100.0"}))
    assert (found.part, found.state, found.confidence, found.simulation) == (
        *("xc7z020clg400-1", "routed"),
        *("Medium", None),
    )
    assert (found.total_w, found.dynamic_w, found.static_w) == (1.581, 1.439, 0.142)
    assert found.clocks == {"clk_fpga_0": pytest.approx(76.923, rel=1e-4), "tck": 10.0}
    assert found.components["LUT as Logic"].watts == 0.036
    assert found.components["LUT as Shift Register"].watts is None
    assert found.components["Static Power"].used is None
    assert found.watts(("LUT as Logic", "CARRY4", "LUT as Shift Register")) == pytest.approx(0.040)
    assert found.watts(("LUT as Shift Register", "URAM")) is None
    assert found.used(("LUT as Logic", "LUT as Shift Register")) == 11291


def test_a_report_of_ultrascale_plus() -> None:
    found = parse(power_report(ROWS_PLUS, {"clk_pl_0": "10.0"}, "xck26-sfvc784-2LV-c", "High", SAIF))
    assert (found.part, found.simulation, found.nets_matched) == ("xck26-sfvc784-2LV-c", SAIF, "87% (10/12)")
    assert found.components["Block RAM"].used == 64.5
    assert found.components["PS8"].watts == 2.546


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "power.rpt: no power report: expected a Device line"),
        ("| Device : xc7z020\n", "power.rpt: no power report"),
        (power_report(ROWS_7, {}, static="n/a"), r"power.rpt: Device Static \(W\): expected watts, got 'n/a'"),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(FabricError, match=message) as found:
        parse(text)
    assert "\n" not in str(found.value)


def calibrated(data: dict[str, Any], text: str) -> Calibration:
    counted = read(data)
    return from_report(counted, parse(text, "power.rpt"), prices(counted.part))


FACTORS = st.fixed_dictionaries({n: st.floats(0.2, 5) for n in ("clock", "ff", "lut", "signal", "bram", "dsp")})


@settings(max_examples=50)
@given(FACTORS, st.floats(0.05, 3), st.sampled_from(({}, ULTRASCALE)))
def test_known_factors_come_back(factors: dict[str, float], static: float, subject: dict[str, Any]) -> None:
    # Large enough that a milliwatt's rounding does not show.
    data = activity(
        node(
            **{"lut": 400_000, "ff": 300_000, "bram18": 2000, "dsp": 1000},
            **{"bram_accesses_per_frame": 1.5e6, "dsp_operations_per_frame": 9e5},
            register_toggles_per_frame=25_000.0,  # 50 a bit, all other bits 250
        ),
        subject=subject,
    )
    counted = read(data)
    off = Interval(1.0, 1.0, 1.0)
    truth = prices(counted.part).overridden('{"glitch": 1, "rtl_to_gates": 1}')
    truth = dataclasses.replace(
        truth, **{n: getattr(truth, n).scaled(off.times(f), "truth") for n, f in factors.items()}
    )
    watts = {p: v.value * 1e-9 * counted.clk_mhz * 1e6 / 1000 for p, v in estimate(data, truth).parts_nj.items()}
    luts = counted.clk_mhz * 1e-6 * truth.lut.value * 250 * 400_000 / 1000
    rows = {
        "Clocks": (f"{watts['clock']:.9f}", "3"),
        "LUT as Logic": (f"{luts:.9f}", "400000"),
        "Register": (f"{watts['logic'] - luts:.9f}", "300000"),
        "Signals": (f"{watts['signals']:.9f}", "700000"),
        "Block RAM": (f"{watts['block_ram']:.9f}", "1000"),
        "DSPs": (f"{watts['dsp']:.9f}", "1000"),
    }
    period = {"clk": str(1000 / counted.clk_mhz)}
    found = calibrated(data, power_report(rows, period, counted.part, saif=SAIF, static=f"{static:.9f}"))
    for name, factor in factors.items():
        assert found.factors[name] == pytest.approx(factor, rel=1e-4), name
    assert found.coefficients.static.value == pytest.approx(static, rel=1e-6)
    again = estimate(data, found.coefficients)
    for part, value in watts.items():
        assert again.dynamic_w.value * again.parts_nj[part].value / again.dynamic_nj.value == pytest.approx(value, 1e-4)


def test_a_part_of_a_larger_design_is_priced_by_the_resource() -> None:
    # Twice the design at the same rates: twice the watts and counts, the same prices.
    data = activity()
    whole = {name: (str(2 * float(w)) if w[0] != "<" else w, used) for name, (w, used) in ROWS_7.items()}
    double = {name: (w, str(2 * float(used)) if used else "") for name, (w, used) in whole.items()}
    one, two = (calibrated(data, power_report(rows, {"c": "10.0"}, saif=SAIF)) for rows in (ROWS_7, double))
    assert two.coefficients.signal.value == pytest.approx(one.coefficients.signal.value)
    assert two.coefficients.clock.value == pytest.approx(one.coefficients.clock.value)


def test_without_a_simulation_only_clocks_and_static_power_are_taken() -> None:
    found = calibrated(activity(), power_report(ROWS_7, {"clk_fpga_0": "13.0"}))
    base = prices("xc7z020clg400-1")
    assert set(found.factors) == {"clock", "static"}
    assert found.coefficients.clock.value == pytest.approx(0.038 / (12473 * 1e9 / 13) * 1e12)
    assert found.coefficients.static.value == 0.142
    for name in ("lut", "ff", "signal", "bram", "dsp", "glitch", "rtl_to_gates"):
        assert getattr(found.coefficients, name) == getattr(base, name)
    assert "no Simulation Activity File" in found.notes[-1]


@pytest.mark.parametrize(("confidence", "spread"), [("High", 0.2), ("Medium", 0.3), ("Low", 0.5), ("odd", 0.5)])
def test_prices_say_where_they_come_from_and_are_narrower(confidence: str, spread: float) -> None:
    rows = ROWS_7 | {"Clocks": ("0.380", "3")}
    found = calibrated(activity(), power_report(rows, {"c": "10.0"}, confidence=confidence, saif=SAIF))
    clock, dsp = found.coefficients.clock, found.coefficients.dsp
    assert (clock.low, clock.high) == pytest.approx((clock.value * (1 - spread), clock.value * (1 + spread)))
    assert clock.source.startswith(f"calibrated with power.rpt (report_power, routed, confidence {confidence}, SAIF")
    assert dsp.high / dsp.low < 23.0 / 4.9
    assert found.coefficients.glitch.high == 1.0
    assert found.coefficients.rtl_to_gates.low == 1.0


def test_what_is_too_small_to_print_is_left_and_one_milliwatt_is_uncertain() -> None:
    rows = ROWS_7 | {"Signals": ("<0.001", "24490"), "DSPs": ("0.001", "75")}
    found = calibrated(activity(), power_report(rows, {"c": "10.0"}, confidence="High", saif=SAIF))
    assert found.coefficients.signal == prices("xc7z020clg400-1").signal
    assert any(note.startswith("signal: left as it was") for note in found.notes)
    assert found.coefficients.dsp.high == pytest.approx(1.5 * found.coefficients.dsp.value)


def test_the_clock_nearest_to_the_activitys_is_taken() -> None:
    clocks = {"slow": "100.0", "right": "9.9", "fast": "4.0"}
    assert calibrated(activity(), power_report(ROWS_7, clocks)).notes[0].startswith("clock right, 101 MHz")
    assert "the report lists none" in calibrated(activity(), power_report(ROWS_7, {})).notes[0]


def test_reports_of_other_parts_or_without_clocks_are_refused() -> None:
    with pytest.raises(FabricError, match=r"power\.rpt: Device: expected xc7z020, got xczu7ev-ffvc1156-2-e"):
        calibrated(activity(), power_report(ROWS_7, {}, "xczu7ev-ffvc1156-2-e"))
    for changed in ({"Clocks": ("<0.001", "3")}, {"  Register": ("0.002", "0")}):
        with pytest.raises(FabricError, match=r"power\.rpt: Clocks and Register: expected at least 1 mW"):
            calibrated(activity(), power_report(ROWS_7 | changed, {}))


def test_calibrated_prices_are_written_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "power.rpt"
    file.write_text(power_report(ROWS_7, {"clk": "10.0"}, saif=SAIF))
    found = calibrate(activity(), file).coefficients
    assert prices("xc7z020clg400-1").overridden(json.dumps(found.to_json())) == found
    with pytest.raises(FabricError, match=r"missing\.rpt: cannot be read"):
        calibrate(activity(), tmp_path / "missing.rpt")
