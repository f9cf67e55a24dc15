"""Prices calibrated with a measured board: the estimate is then what was measured; other measurements are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.energy.fabric.__main__ import main
from spikeclip_fpga.energy.fabric.calibrate import calibrate, from_measurement
from spikeclip_fpga.energy.fabric.errors import FabricError
from spikeclip_fpga.energy.fabric.estimate import estimate
from spikeclip_fpga.energy.fabric.interval import Interval
from spikeclip_fpga.energy.fabric.measured import MeasuredDynamic
from spikeclip_fpga.energy.fabric.parts import prices
from spikeclip_fpga.energy.measurement_file import MeasurementError
from spikeclip_fpga.host.kinds import BackendKind

from .fabric_cases import activity, node
from .measurements import DYNAMIC_NJ, built_bundle, energy_report, save, written

BASE = prices("xc7z020clg400-1")


def measured(nj: float, down: float = 0.9, up: float = 1.1) -> MeasuredDynamic:
    return MeasuredDynamic(Interval(nj, nj * down, nj * up), "ina226", "5 V input")


@given(st.floats(1, 1e7), st.floats(0.1, 1), st.floats(1, 2))
def test_the_estimate_becomes_what_was_measured(nj: float, down: float, up: float) -> None:
    found = from_measurement(activity(), measured(nj, down, up), "measure.json", BASE)
    dynamic = estimate(activity(), found.coefficients).dynamic_nj
    assert (dynamic.value, dynamic.low, dynamic.high) == pytest.approx((nj, nj * down, nj * up))
    assert found.coefficients.static == BASE.static
    assert found.coefficients.lut.source == (
        "calibrated with measure.json (measured, sensor ina226, boundary 5 V input)"
    )
    assert set(found.factors) == {"clock", "ff", "lut", "signal", "bram", "dsp"}


def test_one_factor_scales_all_parts() -> None:
    data = activity()
    before = estimate(data, BASE)
    found = from_measurement(data, measured(2 * before.dynamic_nj.value), "measure.json", BASE)
    assert list(found.factors.values()) == pytest.approx([2.0] * 6)
    for part, value in estimate(data, found.coefficients).parts_nj.items():
        assert value.value == pytest.approx(2 * before.parts_nj[part].value)


def test_an_activity_without_energy_cannot_be_scaled() -> None:
    nothing = node(
        **dict.fromkeys(("lut", "ff", "bits", "register_bits"), 0),
        **dict.fromkeys(("toggles_per_frame", "register_toggles_per_frame"), 0.0),
        **dict.fromkeys(("bram_accesses_per_frame", "dsp_operations_per_frame"), 0.0),
    )
    with pytest.raises(FabricError, match="the activity has no dynamic energy to scale"):
        from_measurement(activity(nothing), measured(1.0), "m.json", BASE)


@pytest.fixture(scope="module")
def written_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """Return what the host writes of a simulated board, as a dictionary, and its network's digest."""
    bundle = built_bundle(tmp_path_factory.mktemp("bundle"))
    return written(bundle, energy_report()).content(), bundle.network_digest.hex()


def test_a_measurement_file_is_known_by_its_content(written_file: tuple[Any, str], tmp_path: Path) -> None:
    content, digest = written_file
    file, data = save(tmp_path / "measure.json", content), activity(subject={"network_sha256": digest})
    found = calibrate(data, file)
    assert estimate(data, found.coefficients).dynamic_nj.value == pytest.approx(DYNAMIC_NJ, rel=0.02)
    assert found.coefficients.clock.source.startswith(f"calibrated with {file} (measured, sensor bench supply")


def test_measurements_of_anything_else_are_refused(
    written_file: tuple[Any, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, digest = written_file
    emulated = BackendKind("simulation", "a simulation")
    own = {"network_sha256": digest}
    for subject, stimulus, changed, message in (
        ({}, {}, {}, "network_sha256: expected 'abab"),
        (own | {"board": "pynq-z1"}, {}, {}, "board: expected 'pynq-z1'"),
        (own, {"data": "mnist"}, {}, "name: expected 'mnist'"),
        (own, {}, {"energy": {**content["energy"], "state": "not measured", "report": None}}, "energy: not measured"),
        (own, {}, {"backend": {**content["backend"], "kind": emulated.kind}}, "expected an accelerator in hardware"),
        (own, {}, {"schema": 2}, "schema: expected 1"),
    ):
        data = activity(subject=subject)
        data["stimulus"] |= stimulus
        file = save(tmp_path / "measure.json", content | changed)
        with pytest.raises((FabricError, MeasurementError), match=message) as found:
            calibrate(data, file)
        assert "\n" not in str(found.value)
    one = save(tmp_path / "activity.json", json.dumps(activity()))
    assert main([str(one), "--calibrate", str(tmp_path / "measure.json")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_dynamic_energy_that_may_be_none_is_refused(written_file: tuple[Any, str], tmp_path: Path) -> None:
    content, digest = written_file
    report = content["energy"]["report"]
    wide = {**report["energy_dynamic_mj"], "low95": -1.0}
    changed = content | {"energy": {**content["energy"], "report": {**report, "energy_dynamic_mj": wide}}}
    with pytest.raises((FabricError, MeasurementError), match="energy_dynamic_mj: expected"):
        calibrate(activity(subject={"network_sha256": digest}), save(tmp_path / "measure.json", changed))
