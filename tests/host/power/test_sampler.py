from __future__ import annotations

import math
import threading
import time
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.host.power import PowerSource, Reading, RealClock, Sampler
from spikeclip_fpga.host.power.checks import longest_run
from spikeclip_fpga.host.power.errors import BadReadingError, FrozenError, SilentZeroError, TooSlowError
from spikeclip_fpga.host.power.sampler import integrate


def test_integral_of_a_ramp_by_hand() -> None:
    times = np.arange(11) / 10
    # 1 W/s over [0, 1): the trapezoids to 0.9 s, then the last sample held for 0.1 s.
    energy, count = integrate(times, times, 0.0, 1.0)
    assert count == 10
    assert energy == pytest.approx(0.9**2 / 2 + 0.9 * 0.1)


def test_steady_rate_and_no_loss(bench: Any) -> None:
    source = bench.source(noise_w=0.01, rate_hz=50)
    with Sampler(source, bench.clock) as sampler:
        sampler.wait(10.0)
        window = sampler.window(0.0, 10.0)
    assert window.samples == 500 and (sampler.late, sampler.dropped) == (0, 0)
    assert sampler.measured_rate_hz == pytest.approx(50, rel=1e-6)
    assert window.power_w == pytest.approx(1.6, abs=0.003)


def test_slow_readings_are_counted_as_dropped(bench: Any) -> None:
    # A reading takes 15 ms, a period is 10 ms: every second period passes without a sample.
    source = bench.source(noise_w=0.01, rate_hz=100, read_s=0.015)
    with Sampler(source, bench.clock) as sampler:
        sampler.wait(4.0)
        assert sampler.measured_rate_hz == pytest.approx(50, rel=0.01)
        assert sampler.dropped == pytest.approx(sampler.samples, abs=2)


def test_sensor_far_slower_than_asked_is_refused(bench: Any) -> None:
    with (
        pytest.raises(TooSlowError, match=r"synthetic: asked for 100 Hz, got 25 Hz; give rate_hz=25"),
        Sampler(bench.source(noise_w=0.01, rate_hz=100, read_s=0.035), bench.clock) as sampler,
    ):
        sampler.wait(4.0)
        sampler.window(0.0, 4.0)


def test_late_samples_are_counted(bench: Any) -> None:
    source = bench.source(noise_w=0.01, rate_hz=10)
    with Sampler(source, bench.clock) as sampler:
        sampler.wait(1.0)
        # The processor is taken away in the middle of a period, three times.
        for _ in range(3):
            bench.clock.sleep(0.5)
            job = sampler._job
            job.due += 0.07  # type: ignore[union-attr]
            bench.clock.sleep(0.5)
        assert sampler.late == 3 and sampler.dropped == 0


def test_few_samples_and_gaps_are_refused(bench: Any) -> None:
    source = bench.source(noise_w=0.01, rate_hz=2)
    with Sampler(source, bench.clock) as sampler:
        sampler.wait(10.0)
        with pytest.raises(
            TooSlowError, match=r"synthetic: 4 samples in a window of 2 s, expected 8 or more.*window_s"
        ):
            sampler.window(4.0, 6.0)
    hang = {200: 4.0}

    def pause(count: int, watts: float) -> float:
        bench.clock.sleep(hang.get(count, 0.0))
        return watts

    with Sampler(bench.source(noise_w=0.01, rate_hz=50, fault=pause), bench.clock) as sampler:
        start = bench.clock.now()
        sampler.wait(10.0)
        with pytest.raises(TooSlowError, match=r"synthetic: no sample for .* s of a window of 7 s"):
            sampler.window(start, start + 7.0)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (math.nan, BadReadingError, r"synthetic: power: expected a finite number, got nan W; check"),
        (math.inf, BadReadingError, r"synthetic: power: .* got inf W"),
        (-0.5, BadReadingError, r"synthetic: expected 0 W or more, got -0.5 W; swap"),
        (0.0, SilentZeroError, r"synthetic: gave 0 W 8 times in a row.*'all the board draws'"),
        (1.7, FrozenError, r"synthetic: gave 1.7 W 102 times in a row \(2.02 s\); reconnect it.*rate_hz.*resolution_w"),
    ],
)
def test_readings_that_are_none(bench: Any, value: float, error: type[Exception], message: str) -> None:
    source = bench.source(noise_w=0.01, fault=lambda count, watts: watts if count < 30 else value)
    with pytest.raises(error, match=message) as caught, Sampler(source, bench.clock) as sampler:
        sampler.wait(5.0)
    assert "\n" not in str(caught.value)


def test_zero_watts_beside_a_living_voltage_are_refused(bench: Any) -> None:
    """A chip that lost its calibration still sees the voltage move."""
    source = bench.source(noise_w=0.01)
    lively = source.read
    source.read = lambda: Reading(0.0, voltage_v=5 + 0.01 * lively().power_w)
    with pytest.raises(SilentZeroError, match="gave 0 W 8 times"), Sampler(source, bench.clock) as sampler:
        sampler.wait(1.0)


def test_a_failure_is_not_left_behind_in_silence(bench: Any) -> None:
    source = bench.source(fault=lambda *_: math.nan)
    with pytest.raises(BadReadingError), Sampler(source, bench.clock):
        bench.clock.sleep(1.0)


def test_coarse_steps_explain_equal_readings(bench: Any) -> None:
    """A quiet board behind a sensor with 25 mW steps repeats itself for long, and is no frozen sensor."""
    source = bench.source(noise_w=0.001, step_w=0.025)
    with Sampler(source, bench.clock) as sampler:
        sampler.wait(30.0)
        assert sampler.window(0.0, 30.0).power_w == pytest.approx(1.6)


def test_equal_readings_allowed_grow_with_the_step() -> None:
    runs = [longest_run(1.6, step) for step in (None, 1e-6, 1e-4, 1e-3, 2e-3, 4e-3)]
    assert runs[0] == runs[1] == 32
    assert runs == sorted(runs) and runs[-2] < runs[-1]
    assert longest_run(1.6, 0.025) == math.inf


def test_a_sensor_that_hangs_is_named(bench: Any) -> None:
    def hang(count: int, watts: float) -> float:
        bench.clock.sleep(60.0 if count == 100 else 0.0)
        return watts

    # Virtual time passes while the read hangs, and the sampler hears of it only then: as a gap.
    with (
        pytest.raises(TooSlowError, match="synthetic: no sample for"),
        Sampler(bench.source(noise_w=0.01, fault=hang), bench.clock) as sampler,
    ):
        sampler.wait(10.0)
        sampler.window(0.0, bench.clock.now())


class Wobble(PowerSource):
    """A supply read in real time."""

    name, boundary, rate_hz = "wobble", "a test", 200.0

    def __init__(self) -> None:
        self.threads: set[str] = set()
        self.hang = threading.Event()
        self.hanging = False

    def read(self) -> Reading:
        self.threads.add(threading.current_thread().name)
        if self.hanging:
            self.hang.wait(20)
        return Reading(2.0 + 0.1 * math.sin(40 * time.monotonic()))


def test_real_thread_samples_in_real_time() -> None:
    source, clock = Wobble(), RealClock()
    with Sampler(source, clock) as sampler:
        start = clock.now()
        sampler.wait(0.6)
        window = sampler.window(start, clock.now())
    assert source.threads == {"power-sampler"}
    assert window.samples >= 20 and 1.9 < window.power_w < 2.1
    assert "power-sampler" not in {thread.name for thread in threading.enumerate()}


def test_failure_in_the_thread_reaches_the_caller() -> None:
    class Breaks(Wobble):
        def read(self) -> Reading:
            raise BadReadingError("wobble: broke")

    with pytest.raises(BadReadingError, match="wobble: broke"), Sampler(Breaks(), RealClock()) as sampler:
        sampler.wait(5.0)


def test_a_hung_sensor_is_named_in_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikeclip_fpga.host.power.sampler._SILENCE_S", 0.3)
    source = Wobble()
    with pytest.raises(TooSlowError, match=r"wobble: no answer for .* s at 200 Hz"), Sampler(source) as sampler:
        sampler.wait(0.1)
        source.hanging = True
        sampler.wait(5.0)
    source.hang.set()
