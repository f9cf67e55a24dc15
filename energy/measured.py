"""What `spikeclip measure` measured, in nJ per image; nothing there is "not measured", and what does not fit refused.

    found = read_measurement(Path("measure.json"), subject)     # Measured, NotMeasured, or MeasurementError

Refused: other formats and units, windows with gaps, recordings, another bundle, another image set, and every
backend that is no accelerator in hardware.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .measurement_file import (
    REPORT_FORMAT,
    REPORT_SCHEMA,
    Fields,
    MeasurementError,
    estimate,
    read_file,
    require_format,
)
from .subject import Subject

NOT_MEASURED = "not measured"
FEWEST_WINDOWS, FEWEST_SAMPLES = 5, 8
# Of the samples that a window of its length would have at the rate of the whole run.
_LEAST_SAMPLES = 0.75
# Of a window's asked length, for clocks that round; an active one ends with its batch, so it may be longer.
_LEAST_LENGTH = 0.99
_AGAIN = "measure again"
_NJ_PER_MJ = 1e6


@dataclass(frozen=True)
class Interval:
    """nJ per image with its 95 % interval."""

    value_nj: float
    low_nj: float
    high_nj: float


@dataclass(frozen=True)
class Measured:
    """Energy per image on hardware: total is all that crosses the boundary, dynamic what working adds.

    rate_hz: samples per second as measured.  configured_idle_w: the baseline of dynamic; board_idle_w: before the
    device was configured, None if not measured.  accuracy_pct: the sensor's own error, in no interval; None if not
    stated.  batch: the windows repeat the first so many images.
    """

    total: Interval
    dynamic: Interval
    sensor: str
    boundary: str
    accuracy_pct: float | None
    rate_hz: float
    configured_idle_w: float
    board_idle_w: float | None
    active_w: float
    images_per_second: float
    windows: int
    window_s: float
    images: int
    batch: int
    backend: str
    board: str
    clk_mhz: float
    created: str
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object, ``state`` "measured"."""
        return {"state": "measured", **asdict(self)}


@dataclass(frozen=True)
class NotMeasured:
    """There is no measurement, and why."""

    reason: str

    def __str__(self) -> str:
        return NOT_MEASURED

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object, ``state`` "not measured"; it has no number."""
        return {"state": NOT_MEASURED, "reason": self.reason}


def read_measurement(path: Path | None, subject: Subject) -> Measured | NotMeasured:
    """Return what a file of `spikeclip measure` says of ``subject``; NotMeasured for None and files without energy.

    Raises MeasurementError, in one line, for a file that is not there or not one, has gaps, or is of something else.
    """
    if path is None:
        return NotMeasured("no measurement was given")
    found = read_file(path)
    energy = found.inside("energy")
    state = energy.text("state")
    if state not in ("measured", NOT_MEASURED):
        raise energy.error("state", f"'measured' or {NOT_MEASURED!r}")
    if (energy.raw("report") is None) is not (state == NOT_MEASURED):
        raise energy.error("report", f"null exactly if state is {NOT_MEASURED!r} (it is {state!r})", _AGAIN)
    if state == NOT_MEASURED:
        return NotMeasured(f"{path}: says that no energy was measured")
    _require_hardware(found)
    notes = [*_require_bundle(found, subject), *_require_images(found, subject)]
    return _measured(found, energy.inside("report"), notes)


def _require_hardware(found: Fields) -> None:
    backend = found.inside("backend")
    if backend.flag("emulated") or backend.text("kind") != "hardware":
        raise MeasurementError(
            f"{found.where}: backend: expected an accelerator in hardware, got {backend.text('name')} "
            f"({backend.text('kind')}: {backend.text('text'):.80}); its joules are of no accelerator: measure a board"
        )
    if not found.inside("bundle").flag("bitstream_built"):
        raise found.inside("bundle").error("bitstream_built", "true", "pack the bundle with its bitstream, " + _AGAIN)


def _require_bundle(found: Fields, subject: Subject) -> list[str]:
    """Return notes. Raises MeasurementError unless it is the subject's network, board and clock."""
    bundle, remedy = found.inside("bundle"), "measure this network's bundle, or report on that one"
    if bundle.text("network_sha256") != subject.network_sha256:
        raise bundle.error("network_sha256", repr(subject.network_sha256), remedy)
    board, clk_mhz = bundle.text("board"), bundle.number("clk_mhz", above=0)
    if subject.board is not None and board != subject.board:
        raise bundle.error("board", repr(subject.board), remedy)
    if subject.clk_mhz is not None and clk_mhz != subject.clk_mhz:
        raise bundle.error("clk_mhz", f"{subject.clk_mhz:g}", remedy)
    return [] if subject.board is not None else [f"the estimates are of no board, the measurement of {board}"]


def _require_images(found: Fields, subject: Subject) -> list[str]:
    """Return notes. Raises MeasurementError unless it is the subject's image set."""
    data, images = found.inside("data"), subject.images
    remedy = "measure with the same --data and --images, or count spikes on those images"
    if images.split is None:
        raise MeasurementError(
            f"{found.where}: data: split: expected the split of {images.name!r} to compare with, and the estimates "
            "state none; give --split when counting spikes"
        )
    if data.text("name") != images.name:
        raise data.error("name", repr(images.name), remedy)
    if data.text("split") != images.split:
        raise data.error("split", repr(images.split), remedy)
    if data.count("images") != images.count:
        raise data.error("images", f"{images.count} images", remedy)
    if data.content.get("sha256") is None or images.sha256 is None:
        return ["which images were measured is known by data set, split and number, not by their digest"]
    if data.text("sha256") != images.sha256:
        raise data.error("sha256", repr(images.sha256), remedy)
    return []


def _measured(found: Fields, report: Fields, notes: list[str]) -> Measured:
    require_format(report, REPORT_FORMAT, REPORT_SCHEMA)
    sensor, sampling, procedure = (report.inside(key) for key in ("sensor", "sampling", "procedure"))
    _require_no_recording(sensor, procedure)
    parts = {key: estimate(report, key) for key in ("energy_total_mj", "energy_dynamic_mj", "active_w")}
    parts |= {key: estimate(report, key) for key in ("configured_idle_w", "time_per_image_ms")}
    board_idle = None if report.raw("board_idle_w") is None else estimate(report, "board_idle_w")[0]
    rate_hz = _require_sampling(sampling)
    _require_windows(report, procedure, rate_hz)
    _require_own_windows(report, parts)
    milliseconds = parts["time_per_image_ms"][0]
    if min(parts["energy_total_mj"][0], milliseconds) <= 0:
        raise MeasurementError(f"{report.where}: expected energy and time above 0, got none; {_AGAIN}")
    bundle = found.inside("bundle")
    return Measured(
        total=Interval(*(_NJ_PER_MJ * part for part in parts["energy_total_mj"])),
        dynamic=Interval(*(_NJ_PER_MJ * part for part in parts["energy_dynamic_mj"])),
        sensor=sensor.text("name"),
        boundary=sensor.text("boundary"),
        accuracy_pct=sensor.optional("accuracy_pct"),
        rate_hz=rate_hz,
        configured_idle_w=parts["configured_idle_w"][0],
        board_idle_w=board_idle,
        active_w=parts["active_w"][0],
        images_per_second=1e3 / milliseconds,
        windows=procedure.count("windows"),
        window_s=procedure.number("window_s", above=0),
        images=report.count("images", 1),
        batch=found.inside("throughput").count("batch", 1),
        backend=found.inside("backend").text("name"),
        board=bundle.text("board"),
        clk_mhz=bundle.number("clk_mhz", above=0),
        created=report.text("created"),
        notes=tuple(notes),
    )


def _require_no_recording(sensor: Fields, procedure: Fields) -> None:
    detail = sensor.raw("detail")
    replayed = isinstance(detail, str) and (detail == "recording" or detail.startswith("replayed"))
    if replayed or sensor.text("name").startswith("recording ") or procedure.text("pairing") != "interleaved":
        raise MeasurementError(
            f"{sensor.where}: expected a sensor read while the accelerator ran, idle and active in turn, got "
            f"{sensor.text('name'):.60} ({detail!r:.40}, {procedure.text('pairing')} windows); measure with --source"
        )


def _require_sampling(sampling: Fields) -> float:
    """Return samples per second. Raises MeasurementError if more periods passed without a sample than with one."""
    rate_hz, samples = sampling.number("rate_hz", above=0), sampling.count("samples", 1)
    sampling.count("late")
    if sampling.count("dropped") > samples:
        raise sampling.error("dropped", f"at most the {samples} samples there are", "read the sensor at a lower rate")
    return rate_hz


def _require_windows(report: Fields, procedure: Fields, rate_hz: float) -> None:
    """Raise MeasurementError unless all windows asked for are there, of full length, with samples throughout."""
    windows, window_s = procedure.count("windows"), procedure.number("window_s", above=0)
    if windows < FEWEST_WINDOWS:
        raise procedure.error("windows", f"{FEWEST_WINDOWS} or more", _AGAIN + " with --windows 5 or more")
    for key in ("idle_windows", "active_windows"):
        rows = report.rows(key)
        if len(rows) != windows:
            raise MeasurementError(f"{report.where}: {key}: expected {windows} windows, got {len(rows)}; {_AGAIN}")
        for row in rows:
            row.number("power_w", least=0)
            row.number("error_w", least=0)
            row.count("images", 1 if key == "active_windows" else 0)
            length = row.number("duration_s", above=0)
            if length < _LEAST_LENGTH * window_s:
                raise row.error("duration_s", f"{window_s:g} s or more", f"the window has a gap: {_AGAIN}")
            # One fewer: a sample on the edge may be the neighbouring window's.
            least = max(FEWEST_SAMPLES, math.ceil(_LEAST_SAMPLES * rate_hz * length) - 1)
            if row.count("samples") < least:
                said = f"{least} or more in {length:.4g} s at {rate_hz:.4g} Hz"
                raise row.error("samples", said, f"the window has a gap: free the processor or the bus and {_AGAIN}")
    total = sum(row.count("images") for row in report.rows("active_windows"))
    if report.count("images") != total:
        raise report.error("images", f"{total}, the sum over the active windows", _AGAIN)
    sampled = sum(row.count("samples") for key in ("idle_windows", "active_windows") for row in report.rows(key))
    if report.inside("sampling").count("samples") < sampled:
        raise report.inside("sampling").error("samples", f"{sampled} or more, as the windows have", _AGAIN)


def _require_own_windows(report: Fields, parts: dict[str, tuple[float, float, float]]) -> None:
    """Raise MeasurementError unless the figures are those of the windows: a value in another unit is not."""
    idle, active = report.rows("idle_windows"), report.rows("active_windows")
    idle_w, active_w = ([row.number("power_w") for row in rows] for rows in (idle, active))
    image_ms = [1e3 * row.number("duration_s") / row.count("images", 1) for row in active]
    made = {
        "energy_total_mj": [w * ms for w, ms in zip(active_w, image_ms, strict=True)],
        "energy_dynamic_mj": [(a - i) * ms for a, i, ms in zip(active_w, idle_w, image_ms, strict=True)],
        "active_w": active_w,
        "configured_idle_w": idle_w,
        "time_per_image_ms": image_ms,
    }
    for key, values in made.items():
        mean, scale = sum(values) / len(values), max(map(abs, values))
        if not abs(parts[key][0] - mean) <= 1e-6 * max(scale, abs(mean)):
            raise MeasurementError(
                f"{report.where}: {key}: expected {mean:.6g}, which its windows give, got {parts[key][0]:.6g}; {_AGAIN}"
            )
