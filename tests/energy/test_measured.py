from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikeclip_fpga.energy.measured import Measured, NotMeasured, read_measurement
from spikeclip_fpga.energy.measurement_file import MeasurementError
from spikeclip_fpga.energy.subject import ImageSet
from spikeclip_fpga.host.bundle import Bundle
from spikeclip_fpga.host.kinds import backend_kind
from spikeclip_fpga.host.power import Estimate

from .measurements import (
    DYNAMIC_NJ,
    TOTAL_NJ,
    built_bundle,
    energy_report,
    save,
    subject_of_bundle,
    written,
)

REMOVE = object()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return built_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def content(bundle: Bundle) -> dict[str, Any]:
    return written(bundle, energy_report()).content()


def changed(content: dict[str, Any], keys: str, value: Any) -> dict[str, Any]:
    """Return a copy with the field at dotted ``keys`` set, or removed."""
    found = copy.deepcopy(content)
    *path, last = [int(key) if key.isdigit() else key for key in keys.split(".")]
    inner: Any = found
    for key in path:
        inner = inner[key]
    if value is REMOVE:
        del inner[last]
    else:
        inner[last] = value
    return found


def refused(path: Path, content: Any, bundle: Bundle, **subject: Any) -> str:
    with pytest.raises(MeasurementError) as found:
        read_measurement(save(path, content), subject_of_bundle(bundle, **subject))
    message = str(found.value)
    assert "\n" not in message and message.startswith(str(path))
    return message.removeprefix(str(path))


def test_joules_of_a_known_board_in_nanojoules(content: dict[str, Any], bundle: Bundle, tmp_path: Path) -> None:
    found = read_measurement(save(tmp_path / "measure.json", content), subject_of_bundle(bundle))
    assert isinstance(found, Measured)
    for part, expected in ((found.total, TOTAL_NJ), (found.dynamic, DYNAMIC_NJ)):
        assert part.value_nj == pytest.approx(expected, rel=0.02)
        assert part.low_nj <= part.value_nj <= part.high_nj
    assert (found.sensor, found.boundary, found.backend) == ("bench supply", "5 V input of the board", "pynq")
    assert (found.board, found.clk_mhz, found.windows, found.batch) == ("pynq-z2", 100.0, 5, 50)
    assert found.rate_hz == pytest.approx(20, rel=0.05) and found.images_per_second == pytest.approx(500)
    assert found.configured_idle_w == pytest.approx(1.6, rel=0.01) and found.board_idle_w is None
    assert len(found.notes) == 1 and "not by their digest" in found.notes[0]
    assert found.to_json()["state"] == "measured" and json.loads(json.dumps(found.to_json()))


def test_an_image_digest_is_compared_where_there_is_one(
    content: dict[str, Any], bundle: Bundle, tmp_path: Path
) -> None:
    images, path = ImageSet("fashion-mnist", "test", 10, "ab" * 32), tmp_path / "m.json"
    same = changed(content, "data.sha256", "ab" * 32)
    found = read_measurement(save(path, same), subject_of_bundle(bundle, images=images))
    assert isinstance(found, Measured) and found.notes == ()
    other = changed(content, "data.sha256", "cd" * 32)
    assert f"data: sha256: expected '{'ab' * 32}'" in refused(path, other, bundle, images=images)


def test_no_file_and_no_energy_are_not_measured_and_never_a_number(bundle: Bundle, tmp_path: Path) -> None:
    subject, path = subject_of_bundle(bundle), tmp_path / "m.json"
    empty = save(path, written(bundle, None).content())
    emulated = save(tmp_path / "e.json", written(bundle, None, backend_kind("fast", False), backend="fast").content())
    for where in (None, empty, emulated):
        found = read_measurement(where, subject)
        assert isinstance(found, NotMeasured) and str(found) == "not measured"
        assert set(found.to_json()) == {"state", "reason"} and found.to_json()["state"] == "not measured"


def test_a_path_that_leads_nowhere_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"none\.json: cannot be read"):
        read_measurement(tmp_path / "none.json", subject_of_bundle(bundle))


def test_without_a_board_of_its_own_the_subject_takes_any_and_says_so(
    content: dict[str, Any], bundle: Bundle, tmp_path: Path
) -> None:
    path = save(tmp_path / "m.json", content)
    found = read_measurement(path, subject_of_bundle(bundle, board=None, clk_mhz=None))
    assert isinstance(found, Measured) and "of no board, the measurement of pynq-z2" in found.notes[0]


@pytest.mark.parametrize("backend", ["golden", "fast", "rtl", "twin"])
def test_energy_of_what_is_no_hardware_is_refused(backend: str, bundle: Bundle, tmp_path: Path) -> None:
    found = written(bundle, energy_report(), backend_kind(backend, True), backend=backend).content()
    message = refused(tmp_path / "m.json", found, bundle)
    assert f"expected an accelerator in hardware, got {backend}" in message and "of no accelerator" in message


REPORT = "energy.report"
WRONG: list[tuple[str, Any, str]] = [
    ("format", "spikeclip-fpga/energy", "format: expected 'spikeclip-fpga/measurement', got 'spikeclip-fpga/energy'"),
    ("format", REMOVE, "format: expected 'spikeclip-fpga/measurement', which is missing"),
    ("schema", 2, "schema: expected 1, got 2; read it with the version that wrote it"),
    ("energy.state", "guessed", "energy: state: expected 'measured' or 'not measured', got 'guessed'"),
    ("energy.report", None, "report: expected null exactly if state is 'not measured'"),
    ("energy.state", "not measured", "report: expected null exactly if state is 'not measured'"),
    ("backend.emulated", True, "expected an accelerator in hardware"),
    ("backend.kind", "emulation", "expected an accelerator in hardware"),
    ("backend.emulated", "no", "emulated: expected true or false, got 'no'"),
    ("bundle.bitstream_built", False, "bitstream_built: expected true, got False"),
    ("bundle.network_sha256", "00" * 32, "network_sha256: expected"),
    ("bundle.board", "kv260", "board: expected 'pynq-z2', got 'kv260'"),
    ("bundle.clk_mhz", 125.0, "clk_mhz: expected 100, got 125.0"),
    ("data.name", "cifar10", "data: name: expected 'fashion-mnist', got 'cifar10'"),
    ("data.split", "train", "data: split: expected 'test', got 'train'"),
    ("data.images", 9, "data: images: expected 10 images, got 9"),
    (f"{REPORT}.format", "mine", "format: expected 'spikeclip-fpga/energy', got 'mine'"),
    (f"{REPORT}.schema", 3, "schema: expected 1, got 3"),
    (f"{REPORT}.energy_total_mj.unit", "J", "energy_total_mj: unit: expected 'mJ', got 'J'"),
    (f"{REPORT}.energy_dynamic_mj.unit", REMOVE, "energy_dynamic_mj: unit: expected 'mJ', which is missing"),
    (f"{REPORT}.active_w", 2.1, "active_w: expected an object, got 2.1"),
    (f"{REPORT}.energy_total_mj.low95", 99.0, "expected low95 <= value <= high95, got 99"),
    (f"{REPORT}.energy_total_mj.value", True, "value: expected a finite number, got True"),
    (f"{REPORT}.energy_total_mj.value", 10**400, "value: expected a finite number, got 1000"),
    (f"{REPORT}.board_idle_w", REMOVE, "board_idle_w: expected a value, which is missing"),
    (f"{REPORT}.sensor.boundary", " ", "sensor: boundary: expected a text, got ' '"),
    (f"{REPORT}.sensor.name", "recording meter.csv", "expected a sensor read while the accelerator ran"),
    (f"{REPORT}.sensor.detail", "replayed, not measured now", "expected a sensor read while the accelerator ran"),
    (f"{REPORT}.procedure.pairing", "separate", "expected a sensor read while the accelerator ran"),
    (f"{REPORT}.procedure.windows", 4, "procedure: windows: expected 5 or more, got 4"),
    (f"{REPORT}.procedure.windows", 6, "idle_windows: expected 6 windows, got 5"),
    (f"{REPORT}.active_windows.2", REMOVE, "active_windows: expected 5 windows, got 4"),
    (
        f"{REPORT}.active_windows.2.samples",
        40,
        "active_windows[2]: samples: expected 60 or more in 4 s at 20 Hz, got 40",
    ),
    (f"{REPORT}.active_windows.2.samples", REMOVE, "active_windows[2]: samples: expected a value"),
    (f"{REPORT}.idle_windows.0.samples", 7.5, "idle_windows[0]: samples: expected an integer"),
    (f"{REPORT}.idle_windows.1.duration_s", 3.0, "duration_s: expected 4 s or more, got 3.0; the window has a gap"),
    (f"{REPORT}.idle_windows.3.power_w", None, "power_w: expected a finite number of 0 or more, got None"),
    (f"{REPORT}.idle_windows.3.power_w", 1.9, "energy_dynamic_mj: expected 0."),
    (f"{REPORT}.active_windows.0.images", 0, "images: expected an integer of 1 or more, got 0"),
    (f"{REPORT}.images", 5, "images: expected "),
    (f"{REPORT}.sampling.rate_hz", REMOVE, "sampling: rate_hz: expected a value, which is missing"),
    (f"{REPORT}.sampling.rate_hz", 40.0, "the window has a gap"),
    (f"{REPORT}.sampling.dropped", 10**6, "dropped: expected at most the"),
    (f"{REPORT}.sampling.samples", 100, "samples: expected "),
    ("throughput.batch", 0, "throughput: batch: expected an integer of 1 or more, got 0"),
]


@pytest.mark.parametrize(("keys", "value", "words"), WRONG)
def test_what_does_not_fit_is_refused_with_the_reason(
    keys: str, value: Any, words: str, content: dict[str, Any], bundle: Bundle, tmp_path: Path
) -> None:
    assert words in refused(tmp_path / "m.json", changed(content, keys, value), bundle)


@pytest.mark.parametrize(
    ("key", "other", "words"),
    [
        ("energy_total_mj", "energy_total", "expected 'energy_total_mj', got 'energy_total', which names no unit"),
        ("energy_dynamic_mj", "energy_dynamic_j", "got another unit, 'energy_dynamic_j'"),
        ("active_w", "active_mw", "expected 'active_w', got another unit, 'active_mw'"),
        ("time_per_image_ms", "time_per_image", "got 'time_per_image', which names no unit"),
    ],
)
def test_a_key_without_its_unit_or_with_another_is_refused(
    key: str, other: str, words: str, content: dict[str, Any], bundle: Bundle, tmp_path: Path
) -> None:
    renamed = changed(content, f"{REPORT}.{other}", content["energy"]["report"][key])
    assert words in refused(tmp_path / "m.json", changed(renamed, f"{REPORT}.{key}", REMOVE), bundle)


def test_joules_in_a_field_of_millijoules_do_not_fit_the_windows(
    content: dict[str, Any], bundle: Bundle, tmp_path: Path
) -> None:
    found = copy.deepcopy(content)
    for key in ("value", "low95", "high95"):
        found["energy"]["report"]["energy_total_mj"][key] /= 1000
    message = refused(tmp_path / "m.json", found, bundle)
    assert "energy_total_mj: expected 4.19" in message and "which its windows give, got 0.00419" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("joules: many", "expected JSON that `spikeclip measure` wrote"),
        ("[1]", "expected an object, got [1]"),
        ('{"format": NaN}', "NaN, which is no finite number"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "expected JSON"),
    ],
)
def test_other_files_are_refused(text: str, words: str, bundle: Bundle, tmp_path: Path) -> None:
    assert words in refused(tmp_path / "m.json", text, bundle)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MeasurementError, match="cannot be read"):
        read_measurement(tmp_path / "binary", subject_of_bundle(bundle))
    with pytest.raises(MeasurementError, match="cannot be read"):
        read_measurement(tmp_path, subject_of_bundle(bundle))


def test_images_of_no_stated_split_compare_with_nothing(
    content: dict[str, Any], bundle: Bundle, tmp_path: Path
) -> None:
    images = ImageSet("fashion-mnist", None, 10)
    assert "the estimates state none; give --split" in refused(tmp_path / "m.json", content, bundle, images=images)


def test_a_baseline_from_before_the_configuration_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    report = dataclasses.replace(energy_report(), board_idle_w=Estimate(1.25, 1.2, 1.3, "W"))
    path = save(tmp_path / "m.json", written(bundle, report).content())
    found = read_measurement(path, subject_of_bundle(bundle))
    assert isinstance(found, Measured) and found.board_idle_w == 1.25


def leaves(value: Any, at: str = "") -> list[str]:
    """Return the dotted keys of all values in a JSON value that are neither objects nor lists."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, inner in items for leaf in leaves(inner, f"{at}.{key}" if at else str(key))]
    return [at]


# What no figure that is read depends on.
UNREAD = ("created", "accuracy", "latency", "simulated", "machine", "energy.fpga_state_before", "backend.behind")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_refused_in_one_line_or_changes_no_figure(
    data: st.DataObject, content: dict[str, Any], bundle: Bundle, tmp_path: Path
) -> None:
    """A leaf anywhere becomes something else: MeasurementError, or energies as they were. Nothing else is raised."""
    keys = data.draw(st.sampled_from([leaf for leaf in leaves(content) if not leaf.startswith(UNREAD)]))
    odd = [None, True, "", "a", [], {}, -1, 0, 0.5, 1e30, -1e30, 1e300, 5e-324, 10**400, REMOVE]
    value = data.draw(st.sampled_from(odd) | st.floats(allow_nan=True, allow_infinity=True) | st.integers())
    path, subject = tmp_path / "m.json", subject_of_bundle(bundle)
    before = read_measurement(save(path, content), subject)
    try:
        after = read_measurement(save(path, changed(content, keys, value)), subject)
    except MeasurementError as error:
        assert "\n" not in str(error) and str(error).startswith(str(path))
        return
    assert isinstance(before, Measured) and isinstance(after, Measured)
    for one, other in ((before.total, after.total), (before.dynamic, after.dynamic)):
        # Rounding of a figure, and a wider interval, are all that goes unnoticed.
        assert other.value_nj == pytest.approx(one.value_nj, rel=1e-5)
        assert other.low_nj <= other.value_nj <= other.high_nj
