"""The fabric's energy from switching activity: by hand, in proportion, independent of the clock, in the right order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.energy.fabric.errors import FabricError
from spikeclip_fpga.energy.fabric.estimate import PARTS, estimate
from spikeclip_fpga.energy.fabric.parts import prices

from .fabric_cases import ULTRASCALE, activity, node


def exact(**values: float) -> str:
    names = {"clock": 1, "ff": 1, "lut": 1, "signal": 1, "bram": 1, "dsp": 1, "rtl_to_gates": 1, "glitch": 1}
    return json.dumps(names | values)


def by_parts(data: dict[str, Any], **values: float) -> dict[str, float]:
    found = estimate(data, prices(data["subject"]["part"]).overridden(exact(**values)))
    return {part: interval.value for part, interval in found.parts_nj.items()}


def test_by_hand() -> None:
    # Registers: 100,000 / 500 = 200 toggles of a bit; the rest: 300,000 / 1500 = 200.  LUTs 200,000, FFs 160,000.
    assert by_parts(activity()) == pytest.approx(
        {"clock": 800.0, "logic": 360.0, "signals": 360.0, "block_ram": 3.0, "dsp": 0.5}
    )
    assert by_parts(activity(), clock=2.0, ff=3.0, lut=5.0, signal=7.0, bram=11.0, dsp=13.0) == pytest.approx(
        {"clock": 1600.0, "logic": 480.0 + 1000.0, "signals": 2520.0, "block_ram": 33.0, "dsp": 6.5}
    )


def test_registers_have_their_own_rate_only_where_they_are_told_apart() -> None:
    told = activity(node(register_toggles_per_frame=0.0))
    # LUTs: 400,000 / 1500 x 1000; flip-flops do not toggle, but are on the clock.
    assert by_parts(told)["logic"] == pytest.approx(400_000 / 1500)
    assert by_parts(told)["clock"] == 800.0
    not_told = activity(node(register_bits=None, register_toggles_per_frame=None))
    assert by_parts(not_told)["logic"] == pytest.approx(400_000 / 2000 * (1000 + 800) / 1e3)
    only_registers = activity(node(bits=500, toggles_per_frame=100_000.0))
    assert by_parts(only_registers)["logic"] == pytest.approx(200 * 1.8)


def test_glitches_and_gates_raise_luts_and_their_nets_only() -> None:
    found = by_parts(activity(), glitch=1.5, rtl_to_gates=2.0)
    assert found == pytest.approx(
        {"clock": 800.0, "logic": 600.0 + 160.0, "signals": 600.0 + 160.0, "block_ram": 3.0, "dsp": 0.5}
    )


def test_bounds_are_all_low_and_all_high() -> None:
    low_high = {"value": 1.0, "low": 0.5, "high": 3.0}
    names = ("clock", "ff", "lut", "signal", "bram", "dsp", "rtl_to_gates", "glitch")
    found = estimate(activity(), prices("xc7z020").overridden(json.dumps(dict.fromkeys(names, low_high)))).parts_nj
    assert (found["clock"].low, found["clock"].high) == pytest.approx((400.0, 2400.0))
    # LUTs have two factors more than flip-flops.
    for part in ("logic", "signals"):
        assert found[part].low == pytest.approx(200 * 0.5**3 + 160 * 0.5)
        assert found[part].high == pytest.approx(200 * 3.0**3 + 160 * 3.0)
    assert (found["dsp"].low, found["dsp"].high) == pytest.approx((0.25, 1.5))


COUNTS = st.integers(0, 10**6)
RATES = st.floats(0, 1)


@st.composite
def nodes(draw: st.DrawFn) -> dict[str, Any]:
    registers, other = draw(COUNTS), draw(COUNTS)
    of_registers, of_other = registers * 1000 * draw(RATES), other * 1000 * draw(RATES)
    return node(
        **{key: draw(COUNTS) for key in ("lut", "ff", "bram18", "dsp")},
        bits=registers + other,
        toggles_per_frame=of_registers + of_other,
        register_bits=registers,
        register_toggles_per_frame=of_registers,
        bram_accesses_per_frame=draw(st.floats(0, 1e6)),
        dsp_operations_per_frame=draw(st.floats(0, 1e6)),
    )


SWITCHING = (
    *("toggles_per_frame", "register_toggles_per_frame"),
    *("bram_accesses_per_frame", "dsp_operations_per_frame"),
)


@given(nodes(), st.floats(1, 2))
def test_energy_is_proportional_to_what_switches(one: dict[str, Any], factor: float) -> None:
    slow, fast = (estimate(activity(one | {key: one[key] * f for key in SWITCHING})) for f in (1.0, factor))
    for part in PARTS:
        for bound in ("value", "low", "high"):
            was, now = getattr(slow.parts_nj[part], bound), getattr(fast.parts_nj[part], bound)
            assert now == pytest.approx(was * (1.0 if part == "clock" else factor), rel=1e-6, abs=1e-9)


@given(nodes(), st.sampled_from(("lut", "ff", "bram_accesses_per_frame", "dsp_operations_per_frame")))
def test_more_of_anything_costs_no_less(one: dict[str, Any], key: str) -> None:
    more = estimate(activity(one | {key: one[key] + 1})).dynamic_nj
    less = estimate(activity(one)).dynamic_nj
    assert (more.low, more.value, more.high) >= (less.low, less.value, less.high)


@given(nodes(), st.floats(1, 500))
def test_dynamic_energy_does_not_depend_on_the_clock(one: dict[str, Any], mhz: float) -> None:
    slow, fast = (estimate(activity(one), clk_mhz=clock) for clock in (mhz, 2 * mhz))
    assert slow.dynamic_nj == fast.dynamic_nj
    assert slow.nodes == fast.nodes
    assert fast.dynamic_w.value == pytest.approx(2 * slow.dynamic_w.value)
    assert fast.static_w == slow.static_w
    assert fast.static_nj.value == pytest.approx(slow.static_nj.value / 2)


@given(nodes())
def test_bounds_hold_the_value(one: dict[str, Any]) -> None:
    found = estimate(activity(one))
    for interval in (*found.parts_nj.values(), found.dynamic_nj, found.static_nj, found.dynamic_w):
        assert interval.low <= interval.value <= interval.high


def test_silent_input_costs_less_than_images_and_images_less_than_all_spikes() -> None:
    runs = [
        activity(node(toggles_per_frame=2e6 * rate, register_toggles_per_frame=5e5 * rate)) for rate in (0.0, 0.05, 0.5)
    ]
    silent, real, loud = (estimate(run).dynamic_nj for run in runs)
    for bound in ("low", "value", "high"):
        assert getattr(silent, bound) < getattr(real, bound) < getattr(loud, bound)
    assert estimate(runs[0]).parts_nj["clock"] == estimate(runs[2]).parts_nj["clock"]


def test_nodes_and_parts_sum_to_the_same() -> None:
    found = estimate(activity(node("a"), node("b", lut=7, ff=0), node("c", bits=0, toggles_per_frame=0.0, **NONE)))
    assert sum(n.dynamic_nj.value for n in found.nodes) == pytest.approx(found.dynamic_nj.value)
    assert found.nodes[0].alpha == 0.2
    assert found.nodes[2].alpha == 0.0


NONE = {"register_bits": None, "register_toggles_per_frame": None}


def test_16_nm_takes_less_than_28_and_less_at_a_lower_voltage() -> None:
    kv260 = {"part": "xck26-sfvc784-2LV-c", "family": "ultrascale+"}
    z7, zu7, k26 = (estimate(activity(subject=subject)) for subject in ({}, ULTRASCALE, kv260))
    assert z7.dynamic_nj.value > zu7.dynamic_nj.value > k26.dynamic_nj.value
    assert k26.parts_nj["clock"].value == pytest.approx(zu7.parts_nj["clock"].value * (0.72 / 0.85) ** 2)
    assert k26.parts_nj["block_ram"] == zu7.parts_nj["block_ram"]
    assert zu7.static_w.value > k26.static_w.value > z7.static_w.value


def test_json_has_everything_and_no_nan() -> None:
    found = estimate(activity(notes=["zero delay"]), clk_mhz=50.0)
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["kind"] == "activity-based estimate from simulation; not measured"
    assert (data["clk_mhz"], data["frames_per_second"], data["notes"]) == (50.0, 50_000.0, ["zero delay"])
    assert data["dynamic_nj"]["value"] == found.dynamic_nj.value
    assert data["nodes"][0]["parts_nj"]["dsp"] == found.nodes[0].parts_nj["dsp"].to_json()
    assert data["coefficients"]["lut"]["source"].startswith("derived from LUT as Logic")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": "other"}, "activity: format: expected 'spikeclip-fpga/activity', got 'other'"),
        ({"schema": 2}, "activity: schema: expected 1, got 2"),
        ({"stimulus": None}, "activity: stimulus: expected an object, got nothing"),
        ({"nodes": []}, "activity: nodes: expected a list with at least one node"),
        ({"nodes": [3]}, r"activity: nodes\[0\]: expected an object, got int"),
        ({"frames": 0}, "activity: frames: expected a whole number above 0"),
        ({"cycles_per_frame": 0}, "activity: cycles_per_frame: expected a number above 0"),
        ({"cycles_per_frame": float("nan")}, "activity: cycles_per_frame: expected a number of at least 0, got nan"),
        ({"notes": "none"}, "activity: notes: expected a list of texts, got str"),
    ],
)
def test_unusable_activities_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(FabricError, match=message):
        estimate(activity(**changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lut": -1}, "node mvau_0: lut: expected a number of at least 0, got -1"),
        ({"ff": True}, "node mvau_0: ff: expected a number of at least 0, got True"),
        ({"toggles_per_frame": float("inf")}, "node mvau_0: toggles_per_frame: expected a number of at least 0"),
        ({"toggles_per_frame": 4.1e6}, "node mvau_0: toggles_per_frame: expected 0 to 2 for each of 2000 bits"),
        ({"register_bits": None}, "node mvau_0: register_bits and register_toggles_per_frame: give both"),
        ({"register_bits": 2001}, "node mvau_0: other toggles: .* -1 other bits"),
        ({"register_toggles_per_frame": 400_001.0}, "node mvau_0: other toggles: .* got -1;"),
        ({"name": ""}, r"nodes\[0\]: name: expected text, got ''"),
    ],
)
def test_unusable_nodes_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(FabricError, match=message) as found:
        estimate(activity(node(**changed)))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("key", [key for key in node() if not key.startswith(("register", "layer"))])
def test_missing_keys_of_a_node_are_named(key: str) -> None:
    one = node()
    del one[key]
    with pytest.raises(FabricError, match=key):
        estimate(activity(one))


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ({"family": "spartan"}, "subject: family: expected one of 7series, ultrascale\\+, got 'spartan'"),
        ({"part": "xc7a35t"}, "part xc7a35t: no static power and prices known; there are xc7z020, xck26, xczu3eg"),
        ({"part": "xcu500"}, "part xcu500: no static power"),
        ({"family": "ultrascale+"}, "subject: family: xc7z020clg400-1 is of 7series, got 'ultrascale\\+'"),
        ({"clk_mhz": 0}, "subject: clk_mhz: expected a number above 0"),
    ],
)
def test_unknown_parts_and_families_are_refused(subject: dict[str, Any], message: str) -> None:
    with pytest.raises(FabricError, match=message):
        estimate(activity(subject=subject))


def test_prices_of_another_part_and_impossible_clocks_are_refused() -> None:
    with pytest.raises(FabricError, match="coefficients: part: expected xc7z020, got xczu7ev"):
        estimate(activity(), prices("xczu7ev-ffvc1156-2-e"))
    with pytest.raises(FabricError, match="clk_mhz: expected a number above 0, got nan"):
        estimate(activity(), clk_mhz=float("nan"))
