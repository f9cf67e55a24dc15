"""The prices: read, written, replaced; derived from published reports; and checked against all of these."""

from __future__ import annotations

import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.energy.fabric import plausible
from spikeclip_fpga.energy.fabric.coefficients import NAMES, FabricCoefficients
from spikeclip_fpga.energy.fabric.errors import FabricError
from spikeclip_fpga.energy.fabric.estimate import estimate
from spikeclip_fpga.energy.fabric.parts import PARTS, prices
from spikeclip_fpga.energy.fabric.prices import ALPHA_HIGH, ALPHA_LOW, ASSUMED, SERIES7, ULTRASCALE_PLUS
from spikeclip_fpga.energy.fabric.published import AES, BINARY_CNN, KV260, NTT, U50_REGEX, Published
from spikeclip_fpga.energy.fabric.published import SERIES7 as REPORTS
from spikeclip_fpga.hw.boards import BOARDS

from .fabric_cases import activity, node

Z7020 = "xc7z020clg400-1"


@pytest.mark.parametrize("part", [board.part for board in BOARDS.values()])
def test_every_board_has_prices_and_they_come_back_from_json(part: str) -> None:
    found = prices(part)
    assert found.overridden(json.dumps(found.to_json())) == found
    assert found.family == ("7series" if part.startswith("xc7") else "ultrascale+")
    for name in NAMES:
        price = getattr(found, name)
        assert 0 < price.low <= price.value <= price.high, name
        assert price.source, name
        assert price.unit, name


NUMBERS = st.floats(1e-6, 1e6)


@given(st.dictionaries(st.sampled_from(NAMES), st.tuples(NUMBERS, NUMBERS, NUMBERS).map(sorted)))
def test_what_is_overridden_comes_back(entries: dict[str, list[float]]) -> None:
    raw = {name: {"low": low, "value": mid, "high": high} for name, (low, mid, high) in entries.items()}
    found = prices(Z7020).overridden(json.dumps(raw))
    for name, (low, middle, high) in entries.items():
        price = getattr(found, name)
        assert (price.low, price.value, price.high, price.source) == (low, middle, high, "overridden by the user")
    assert prices(Z7020).overridden(json.dumps(found.to_json())) == found
    unchanged = set(NAMES) - set(entries)
    assert all(getattr(found, name) == getattr(prices(Z7020), name) for name in unchanged)


def test_a_number_alone_is_exact() -> None:
    found = prices(Z7020).overridden('{"lut": 0.5}').lut
    assert (found.low, found.value, found.high, found.unit) == (0.5, 0.5, 0.5, "pJ/toggle")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "coefficients: not JSON"),
        ("[1]", "coefficients: expected a JSON object .* got list"),
        ('{"luts": 1}', "coefficient luts: unknown; expected one of clock, ff, lut"),
        ('{"lut": 0}', "coefficient lut: expected a number above 0"),
        ('{"lut": NaN}', "coefficient lut: expected a number above 0"),
        ('{"lut": true}', "coefficient lut: expected a number above 0"),
        ('{"lut": "1"}', "coefficient lut: expected a number above 0"),
        ('{"lut": {"low": 1, "high": 2}}', "coefficient lut: expected a number above 0"),
        ('{"lut": {"value": 1, "low": 2}}', "low <= value <= high"),
        ('{"lut": {"value": 1, "spread": 2}}', "coefficient lut: expected a number above 0"),
        ('{"lut": {"value": 1, "unit": "nJ"}}', "coefficient lut: unit: expected 'pJ/toggle', got 'nJ'"),
        ('{"lut": {"value": 1, "source": 2}}', "coefficient lut: source: expected text, got 2"),
        ('{"part": "xczu7ev"}', "coefficients: part: expected 'xc7z020', got 'xczu7ev'"),
        ('{"schema": 2}', "coefficients: schema: expected 1, got 2"),
    ],
)
def test_other_overrides_are_refused(text: str, message: str) -> None:
    with pytest.raises(FabricError, match=message) as found:
        prices(Z7020).overridden(text)
    assert "\n" not in str(found.value)


def assumed(table: FabricCoefficients, name: str, price_a_cycle: float) -> None:
    """Check a price and bounds that an assumed toggle rate makes of a price a cycle, to two digits."""
    price = getattr(table, name)
    assert price.value == pytest.approx(price_a_cycle / ASSUMED, rel=0.04)
    assert price.low == pytest.approx(price_a_cycle / ALPHA_HIGH, rel=0.08)
    assert price.high == pytest.approx(price_a_cycle / ALPHA_LOW, rel=0.08)


def test_28_nm_prices_follow_from_the_reports() -> None:
    found = prices(Z7020)
    routed = [r.clock_pj for r in REPORTS if r is not NTT]
    clock = SERIES7["clock"]
    assert clock.value == pytest.approx(statistics.median(routed), rel=0.02)
    assert (clock.low, clock.high) == pytest.approx((min(routed), max(routed)), rel=0.03)
    assumed(found, "lut", BINARY_CNN.lut_pj)
    least, printed, most = (BINARY_CNN.pj_per_cycle(w, BINARY_CNN.registers) for w in (0.0015, 0.002, 0.0025))
    assert found.ff.value == pytest.approx(printed / ASSUMED, rel=0.02)
    assert found.ff.low == pytest.approx(least / ALPHA_HIGH, rel=0.01)
    assert found.ff.high == pytest.approx(most / ALPHA_LOW, rel=0.01)
    assert found.signal.value == pytest.approx(BINARY_CNN.signal_pj / ASSUMED, rel=0.02)
    assert found.signal.high == pytest.approx(BINARY_CNN.signal_pj / ALPHA_LOW, rel=0.02)
    assert found.signal.low == pytest.approx(AES.signal_pj, rel=0.02)
    assert BINARY_CNN.bram_w and NTT.bram_w and BINARY_CNN.dsp_w and NTT.dsp_w
    assert found.bram.low < BINARY_CNN.pj_per_cycle(BINARY_CNN.bram_w, BINARY_CNN.bram18) < found.bram.high
    assert found.bram.high == pytest.approx(NTT.pj_per_cycle(NTT.bram_w, NTT.bram18) / 2, rel=0.01)
    assert found.dsp.value == pytest.approx(NTT.pj_per_cycle(NTT.dsp_w, NTT.dsps), rel=0.01)
    assert found.dsp.low == pytest.approx(BINARY_CNN.pj_per_cycle(BINARY_CNN.dsp_w, BINARY_CNN.dsps), rel=0.01)


def test_16_nm_prices_follow_from_the_reports() -> None:
    found, to_085 = prices("xczu7ev-ffvc1156-2-e"), (0.85 / 0.72) ** 2
    for name, pair in {
        "lut": (U50_REGEX.lut_pj, KV260.lut_pj * to_085),
        "signal": (U50_REGEX.signal_pj, KV260.signal_pj * to_085),
    }.items():
        assert getattr(found, name).value == pytest.approx(statistics.geometric_mean(pair) / ASSUMED, rel=0.05)
    assert found.clock.low < U50_REGEX.clock_pj < found.clock.value < KV260.clock_pj * to_085 < found.clock.high
    assert ULTRASCALE_PLUS["bram"].high == pytest.approx(10.3, rel=0.01)


@pytest.mark.parametrize("report", REPORTS, ids=lambda r: r.name)
def test_every_report_is_explained_by_a_plausible_toggle_rate(report: Published) -> None:
    # If a price were off by far, some design's nets would toggle more than once a cycle, or hardly ever.
    found = prices(Z7020)
    for name, alpha in {
        "lut": report.lut_pj / found.lut.value,
        "signal": report.signal_pj / found.signal.value,
    }.items():
        assert 0.01 < alpha < 0.7, name


ROUTED = [r for r in REPORTS if r is not NTT]


def at_the_assumed_rate(report: Published) -> float:
    """Return our estimate, in W, of a report's clocks, logic and signals at the assumed toggle rate."""
    rate = ASSUMED * 1000
    bits = report.luts + report.registers
    data = activity(
        node(
            lut=report.luts,
            ff=report.registers,
            bits=bits,
            toggles_per_frame=bits * rate,
            register_bits=None,
            register_toggles_per_frame=None,
            bram_accesses_per_frame=0.0,
            dsp_operations_per_frame=0.0,
        ),
        subject={"clk_mhz": report.mhz},
    )
    return estimate(data, prices(Z7020).overridden('{"glitch": 1}')).dynamic_w.value


@pytest.mark.parametrize("report", ROUTED, ids=lambda r: r.name)
def test_with_a_guessed_toggle_rate_vivado_is_met_within_a_factor_of_four(report: Published) -> None:
    vivado = report.clocks_w + report.lut_w + (report.registers_w or 0) + report.signals_w
    assert vivado / 4 < at_the_assumed_rate(report) < vivado * 4


@pytest.mark.parametrize("report", ROUTED, ids=lambda r: r.name)
def test_the_printed_table_prices_as_the_estimate_does(report: Published) -> None:
    # The estimate's factor from RTL to gates is not in the table: the guessed rate is one of gates.
    gates = prices(Z7020).rtl_to_gates.value
    luts = ASSUMED * (1 - gates) * report.luts * report.mhz * 1e-6
    more = luts * (prices(Z7020).lut.value + prices(Z7020).signal.value)
    assert plausible.guessed_w(report) == pytest.approx(at_the_assumed_rate(report) + more)
    line = next(line for line in plausible.table().splitlines() if line.startswith(report.name))
    assert float(line.split()[-1]) == pytest.approx(plausible.guessed_w(report) / plausible.vivado_w(report), abs=0.005)


def test_static_power_of_reports_lies_within_the_interval() -> None:
    for part, watts in {"xc7z020": (0.112, 0.136, 0.142, 0.156), "xck26": (0.302,), "xcu50": (2.335,)}.items():
        static = prices(part).static
        assert all(static.low <= w <= static.high for w in watts), part
    assert len(PARTS) == 11
