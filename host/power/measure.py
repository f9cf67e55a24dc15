"""Measure the energy of an inference: idle and active windows in turn, then joules with their 95 % interval.

    E_total = integral of P dt / N          E_dynamic = (P_active - P_idle) t / N

Each pair of windows is one observation. Windows of many seconds are nearly independent however the samples inside
are correlated; taking idle and active in turn, every other pair the other way round, lets slow drift (temperature,
supply) cancel in the difference, and what is left of it shows as spread.
Noise slower than a window is beyond an interval from five of them: where lag1_total is high, take longer windows.
Before every window its state is held for ``settle_s``, so that a sensor that averages sees one state only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from .clock import Clock, RealClock
from .errors import FrozenError, ProtocolError, TooSlowError
from .intervals import Estimate, difference_estimate, lag1, mean_estimate
from .replay import Recording
from .report import EnergyReport, Pairing, Procedure, Sampling, Sensor, WindowRow
from .sampler import FEWEST_SAMPLES, Sampler, Window, cut
from .source import PowerSource, require_positive

FEWEST_WINDOWS = 5
Workload = Callable[[], int]


def _require(source: PowerSource, windows: int, window_s: float, rate_hz: float) -> None:
    require_positive(source.name, window_s=window_s, rate_hz=rate_hz)
    if windows < FEWEST_WINDOWS:
        raise ProtocolError(
            f"{source.name}: windows: expected {FEWEST_WINDOWS} or more, got {windows}; fewer give no usable interval"
        )
    if rate_hz * window_s < FEWEST_SAMPLES:
        raise TooSlowError(
            f"{source.name}: {rate_hz:.3g} Hz gives {rate_hz * window_s:.3g} samples in windows of {window_s:.3g} s, "
            f"expected {FEWEST_SAMPLES} or more; give window_s={FEWEST_SAMPLES / rate_hz * 1.25:.2g} or more, "
            "or use a faster sensor"
        )


def _idle_window(sampler: Sampler, window_s: float, settle_s: float) -> Window:
    sampler.wait(settle_s)
    start = sampler.clock.now()
    sampler.wait(window_s)
    return sampler.window(start, sampler.clock.now())


def _run_for(sampler: Sampler, workload: Workload, seconds: float) -> tuple[float, float, int]:
    """Run batches until ``seconds`` have passed; return start, end and images. Raises ProtocolError."""
    start, images = sampler.clock.now(), 0
    while sampler.clock.now() - start < seconds:
        done = workload()
        if done < 1:
            raise ProtocolError(f"workload: expected the number of images of a batch, 1 or more, got {done!r}")
        images += done
        sampler.check()
    return start, sampler.clock.now(), images


def _active_window(sampler: Sampler, workload: Workload, window_s: float, settle_s: float) -> Window:
    _run_for(sampler, workload, settle_s)
    start, end, images = _run_for(sampler, workload, window_s)
    sampler.wait(1.5 / sampler.rate_hz)  # for the reading under way at the window's end
    return sampler.window(start, end, images)


def measure_idle(
    source: PowerSource,
    *,
    windows: int = 5,
    window_s: float = 10.0,
    settle_s: float = 1.0,
    rate_hz: float | None = None,
    clock: Clock | None = None,
) -> Estimate:
    """Return the mean power in W while nothing runs, e.g. of the board before it is configured. Raises PowerError."""
    _require(source, windows, window_s, source.rate_hz if rate_hz is None else rate_hz)
    with Sampler(source, clock or RealClock(), rate_hz) as sampler:
        rows = [_idle_window(sampler, window_s, settle_s) for _ in range(windows)]
    return _power(rows, source.resolution_w)


def measure(
    source: PowerSource,
    workload: Workload,
    *,
    windows: int = 5,
    window_s: float = 10.0,
    warmup_s: float = 10.0,
    settle_s: float = 1.0,
    rate_hz: float | None = None,
    board_idle: Estimate | None = None,
    clock: Clock | None = None,
) -> EnergyReport:
    """Return the energy per image of ``workload``, which runs one batch and returns its number of images.

    windows: pairs of idle and active windows, >= 5. window_s: length of each; an active one ends with its batch.
    rate_hz: samples per second, the source's own by default. board_idle: of :func:`measure_idle`, taken before the
    device was configured. Raises PowerError: see errors.py; what the workload raises passes through.
    """
    rate = source.rate_hz if rate_hz is None else rate_hz
    _require(source, windows, window_s, rate)
    settle = max(settle_s, 3 / rate)
    with Sampler(source, clock or RealClock(), rate) as sampler:
        if warmup_s > 0:
            _run_for(sampler, workload, warmup_s)
        idle, active = [], []
        for pair in range(windows):
            if pair % 2 == 0:
                idle.append(_idle_window(sampler, window_s, settle))
            active.append(_active_window(sampler, workload, window_s, settle))
            if pair % 2 == 1:
                idle.append(_idle_window(sampler, window_s, settle))
        sampling = Sampling(sampler.measured_rate_hz, sampler.samples, sampler.late, sampler.dropped)
    sensor = _sensor(source)
    return _report(
        sensor, sampling, Procedure("interleaved", windows, window_s, warmup_s, settle), idle, active, board_idle
    )


def measure_recording(
    recording: Recording,
    idle: Sequence[tuple[float, float]],
    active: Sequence[tuple[float, float, int]],
    *,
    boundary: str,
    board_idle: Estimate | None = None,
) -> EnergyReport:
    """Return the energy per image of a recording made elsewhere.

    idle: (start, end) in s of the recording; a single span is split into as many as there are active ones.
    active: (start, end, images), >= 5. Raises RecordingError for spans outside, PowerError as measure() does.
    """
    if len(active) < FEWEST_WINDOWS:
        raise ProtocolError(f"{recording.name}: active: expected {FEWEST_WINDOWS} spans or more, got {len(active)}")
    spans = list(idle)
    if len(spans) == 1:
        (start, end), parts = spans[0], len(active)
        spans = [(start + (end - start) * k / parts, start + (end - start) * (k + 1) / parts) for k in range(parts)]
    if len(spans) < 2:
        raise ProtocolError(f"{recording.name}: idle: expected a span or more, got none; energy needs a baseline")
    for span in [*spans, *((start, end) for start, end, _ in active)]:
        recording.require(*span)
    if any(images < 1 for _, _, images in active):
        raise ProtocolError(f"{recording.name}: active: expected 1 image or more in every span, got {list(active)}")
    trace = (recording.name, recording.time_s, recording.power_w)
    rows = [cut(*trace, start, end) for start, end in spans]
    work = [cut(*trace, start, end, images) for start, end, images in active]
    rate, count = recording.rate_hz, len(recording.time_s)
    return _report(
        Sensor(recording.name, boundary, rate, recording.resolution_w, None, "recording"),
        Sampling(rate, count, 0, 0),
        Procedure("separate", len(work), sum(row.duration_s for row in work) / len(work), 0.0, 0.0),
        rows,
        work,
        board_idle,
    )


def _sensor(source: PowerSource) -> Sensor:
    return Sensor(source.name, source.boundary, source.rate_hz, source.resolution_w, source.accuracy_pct, source.detail)


def _power(rows: Sequence[Window], resolution_w: float | None) -> Estimate:
    """Return the mean power in W; its interval is no narrower than half the sensor's step to either side."""
    return mean_estimate([row.power_w for row in rows], [row.error_w for row in rows], "W", (resolution_w or 0.0) / 2)


def _report(
    sensor: Sensor,
    sampling: Sampling,
    procedure: Procedure,
    idle: Sequence[Window],
    active: Sequence[Window],
    board_idle: Estimate | None,
) -> EnergyReport:
    idle_w, active_w = [row.power_w for row in idle], [row.power_w for row in active]
    if len({*idle_w, *active_w}) == 1 and sensor.resolution_w is not None:
        raise FrozenError(
            f"{sensor.name}: {idle_w[0]:.6g} W in every window, idle and active, with a step of "
            f"{sensor.resolution_w:.3g} W; check that it measures {sensor.boundary!r}, or use a finer sensor"
        )
    image_ms = [1e3 * row.duration_s / row.images for row in active]
    mean_ms = 1e3 * sum(row.duration_s for row in active) / sum(row.images for row in active)
    total = [1e3 * row.energy_j / row.images for row in active]
    total_errors = [row.error_w * t for row, t in zip(active, image_ms, strict=True)]
    step = (sensor.resolution_w or 0.0) * mean_ms
    if procedure.pairing == "interleaved":
        differences = [(a - i) * t for a, i, t in zip(active_w, idle_w, image_ms, strict=True)]
        errors = [math.hypot(a.error_w, i.error_w) * t for a, i, t in zip(active, idle, image_ms, strict=True)]
        dynamic = mean_estimate(differences, errors, "mJ", step)
    else:
        differences = total
        baseline = [watts * mean_ms for watts in idle_w], [row.error_w * mean_ms for row in idle]
        dynamic = difference_estimate((total, total_errors), baseline, "mJ", step)
    return EnergyReport(
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        sensor=sensor,
        sampling=sampling,
        procedure=procedure,
        images=sum(row.images for row in active),
        energy_total_mj=mean_estimate(total, total_errors, "mJ", step / 2),
        energy_dynamic_mj=dynamic,
        board_idle_w=board_idle,
        configured_idle_w=_power(idle, sensor.resolution_w),
        active_w=_power(active, sensor.resolution_w),
        time_per_image_ms=mean_estimate(image_ms, [0.0] * len(image_ms), "ms"),
        lag1_total=lag1(total),
        lag1_dynamic=lag1(differences),
        idle_windows=tuple(WindowRow(row.duration_s, row.power_w, row.error_w, 0, row.samples) for row in idle),
        active_windows=tuple(
            WindowRow(row.duration_s, row.power_w, row.error_w, row.images, row.samples) for row in active
        ),
    )


__all__ = ["FEWEST_WINDOWS", "Pairing", "Workload", "measure", "measure_idle", "measure_recording"]
