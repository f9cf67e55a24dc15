"""SAIF of a simulation: every bit's changes and time at 1 are numpy's, in any window; the reader's refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.hw import beats
from spikeclip_fpga.hw.activity.netnames import nets
from spikeclip_fpga.hw.activity.saif import SaifError, SaifFile, Signal, totals
from spikeclip_fpga.hw.simulate import STALLS, Model, Run, SimulationError, build

PROBE = Path(__file__).parent / "activity_probe.sv"
BEATS = 200


@pytest.fixture(scope="module")
def probe() -> Model:
    return build("activity_probe", [PROBE], trace="saif", strict=False)


def bits_of(values: np.ndarray, width: int) -> np.ndarray:
    """Return (N, width) bits of (N, bytes) bytes, the lowest first."""
    return np.unpackbits(values.astype(np.uint8), axis=1, bitorder="little")[:, :width]


def registers_over_time(x: np.ndarray, run: Run) -> dict[str, np.ndarray]:
    """Return register -> (cycles, width) bits before each cycle's edge, from the beats and when they moved."""
    taken = np.searchsorted(run.moved["in"], np.arange(run.simulated))  # beats before this cycle
    last = np.concatenate([np.zeros((1, 5), np.uint8), x])[taken]
    words = bits_of(last, 40)
    history = np.concatenate([np.zeros((8, 5), np.uint8), x])
    wide = np.concatenate([history[taken + 7 - i] for i in range(8)], axis=1)
    tied = np.unpackbits(np.array([0xA5, 0x02, 0, 0, 0], np.uint8), bitorder="little")[:40]
    out = np.where((taken > 0)[:, None], words ^ tied, 0)
    count = (taken[:, None] >> np.arange(20)) & 1
    return {"wide": bits_of(wide, 300), "pair": words[:, :12], "out_data_o": out, "count": count} | {
        f"bytes[{i}]": words[:, 8 * i : 8 * i + 8] for i in range(5)
    }


def check(signal: Signal, wave: np.ndarray, window: tuple[int, int], unit: int) -> None:
    """Compare a signal with its (cycles, width) bits over a whole run."""
    first, end = window
    before = wave[max(first - 1, 0) : end - 1] if first else np.concatenate([wave[:1] * 0, wave[: end - 1]])
    assert signal.bits == wave.shape[1], signal.name
    assert signal.toggles == int((wave[first:end] != before).sum()), signal.name
    assert signal.high == unit * int(wave[first:end].sum()), signal.name


def read(path: Path) -> dict[str, Signal]:
    """Return the nets by name."""
    with SaifFile(path) as saif:
        return {signal.name: signal for signal in saif if not signal.is_alias}


@pytest.mark.parametrize("window", [(0, 100), (1, 2), (37, 150)])
@pytest.mark.parametrize("pattern", ["none", "random"])
def test_every_bit_is_counted_as_numpy_counts_it(
    window: tuple[int, int], pattern: str, probe: Model, tmp_path: Path
) -> None:
    """Counting begins with the state before the window: what is 1 then is no change."""
    x = np.random.default_rng(7).integers(0, 256, (BEATS, 5), dtype=np.uint8)
    path = tmp_path / "counts.saif"
    with probe.open(trace=path) as simulation:
        run = simulation.run(
            {"in": beats.pack(x.astype(np.int64), 8)},
            {"out": BEATS},
            stalls=STALLS[pattern],
            window=window,
            period_ps=8_000,
            hold=True,
        )
    there = read(path)
    for name, wave in registers_over_time(x, run).items():
        check(there[name], wave, window, 8_000)
    if pattern == "none":  # beat k moves in cycle k
        np.testing.assert_array_equal(run.moved["in"], np.arange(BEATS))
        wave = bits_of(x, 40)
        if window[0]:
            check(there["in_data_i"], wave, window, 8_000)
            check(there["parity"], wave.sum(axis=1, keepdims=True) % 2, window, 8_000)
    cycles = window[1] - window[0]
    assert (there["clk_i"].toggles, there["clk_i"].high) == (2 * cycles, 4_000 * cycles)
    assert there["tied"].toggles == 0 if "tied" in there else True
    assert "Constant" not in there


def test_windows_side_by_side_add_up(probe: Model, tmp_path: Path) -> None:
    x = np.random.default_rng(8).integers(0, 256, (BEATS, 5))
    sums = []
    for i, window in enumerate([(20, 70), (70, 180), (20, 180)]):
        path = tmp_path / f"{i}.saif"
        with probe.open(trace=path) as simulation:
            simulation.run({"in": beats.pack(x, 8)}, {"out": BEATS}, stalls=STALLS["bursts"], seed=3, window=window)
        sums.append({name: signal.toggles for name, signal in read(path).items()})
    assert {name: sums[0][name] + sums[1][name] for name in sums[0]} == sums[2]


def test_without_a_window_runs_add_up_and_waiting_costs_nothing(probe: Model, tmp_path: Path) -> None:
    """A module that waits changes nothing but its clock: idle cycles add no toggles."""
    x = np.random.default_rng(9).integers(0, 256, (BEATS, 5))
    found = []
    for drain in (20, 520):
        path = tmp_path / f"{drain}.saif"
        with probe.open(trace=path) as simulation:
            for _ in range(2):
                simulation.run({"in": beats.pack(x, 8)}, {"out": BEATS}, hold=True, drain=drain)
        found.append(read(path))
    few, many = ({n: s.toggles for n, s in each.items() if n != "clk_i"} for each in found)
    assert few == many and few["out_data_o"] > 5000
    assert found[1]["clk_i"].toggles - found[0]["clk_i"].toggles == 2 * 2 * 500


def test_nets_are_told_from_their_other_names(probe: Model, tmp_path: Path) -> None:
    path = tmp_path / "counts.saif"
    with probe.open(trace=path) as simulation:
        simulation.run({"in": np.ones((3, 2), np.uint32)}, {"out": 3})
    with SaifFile(path) as saif:
        signals = list(saif)
    aliases = {signal.name for signal in signals if signal.is_alias}
    assert {"clk_i", "in_data_i", "out_data_o"} <= aliases
    assert {s.name: s.toggles for s in signals if s.is_alias} == {
        name: signal.toggles for name, signal in read(path).items() if name in aliases
    } | {s.name: s.toggles for s in signals if s.is_alias and s.name not in read(path)}
    there = read(path)
    assert totals(path)["top"] == (sum(s.bits for s in there.values()), sum(s.toggles for s in there.values()))


def test_a_net_begins_where_its_value_is_made() -> None:
    """Constants begin none: tied is only a name for them."""
    found = {name: is_register for (scope, name), is_register in nets("activity_probe", [PROBE]).items()}
    inputs, wires = {"clk_i", "rst_ni", "in_valid_i", "in_data_i", "out_ready_i"}, {"move", "in_ready_o", "parity"}
    assert {n for n, r in found.items() if r} == {"wide", "bytes", "pair", "count", "out_valid_o", "out_data_o"}
    assert {n for n, r in found.items() if not r} == inputs | wires | {"unused"}


def test_what_cannot_be_counted_is_refused(probe: Model, tmp_path: Path) -> None:
    data = {"in": np.ones((3, 2), np.uint32)}
    with probe.open(trace=tmp_path / "a.saif") as simulation, pytest.raises(SimulationError, match="ended at cycle"):
        simulation.run(data, {"out": 3}, window=(1, 10_000))
    with probe.open(trace=tmp_path / "a.saif") as simulation:
        with pytest.raises(ValueError, match="0 <= first < end, got"):
            simulation.run(data, {"out": 3}, window=(5, 5))
        simulation.run(data, {"out": 3}, window=(1, 3))
        with pytest.raises(ValueError, match="had one"):
            simulation.run(data, {"out": 3}, window=(1, 3))
    with pytest.raises(ValueError, match="build the model with trace='fst', got 'saif'"):
        probe.open(trace=tmp_path / "a.fst")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(VCDFILE)", "expected \\(SAIFILE"),
        ("", "cut off"),
        ("(SAIFILE (DURATION 5)\n(INSTANCE a (NET (x (T0 1) (TC 2)", r"x\.saif:2: ends within a list"),
        ("(SAIFILE (INSTANCE a (NET (x (T0 1) (TC 2.5)))))", r"x: expected a whole \(TC n\)"),
        ("(SAIFILE (INSTANCE a (NET (x (T0 1)))))", r"x: expected a whole \(TC n\)"),
        ("(SAIFILE (TIMESCALE 1 week))", "TIMESCALE: expected a number, got 1 week"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.saif"
    path.write_text(text)
    with pytest.raises(SaifError, match=message) as error, SaifFile(path) as saif:
        list(saif)
    assert "\n" not in str(error.value)
    with pytest.raises(SaifError, match="cannot be read"):
        SaifFile(tmp_path / "none.saif")


def test_saif_of_other_tools_is_read(tmp_path: Path) -> None:
    """Verilator's own writer: unescaped indices of arrays, TZ and TB, a timescale without a space."""
    path = tmp_path / "x.saif"
    path.write_text(
        '// text\n(SAIFILE\n(SAIFVERSION "2.0")\n(TIMESCALE 10ns)\n(DURATION 7)\n(INSTANCE "m" top\n(NET\n'
        "(a[3]\\[0\\] (T0 1) (T1 6) (TZ 0) (TX 0) (TB 0) (TC 2))\n(a[3]\\[1\\] (T0 1) (T1 2) (TX 0) (TC 3))\n"
        "(b (T0 7) (T1 0) (TX 0) (TC 0))\n)\n)\n)\n"
    )
    with SaifFile(path) as saif:
        assert list(saif) == [
            Signal(("top",), "a[3]", 2, 5, 8, False),
            Signal(("top",), "b", 1, 0, 0, False),
        ]
        assert saif.duration_ps == 70_000
