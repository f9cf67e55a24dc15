from __future__ import annotations

import numpy as np
import pytest

from spikeclip_fpga.host.power.intervals import batch_error, difference_estimate, lag1, mean_estimate, t_quantile


# Student's t, 97.5 %: any statistics table.
@pytest.mark.parametrize(
    ("dof", "quantile"),
    [
        (1, 12.7062),
        (2, 4.30265),
        (3, 3.18245),
        (4, 2.77645),
        (5, 2.57058),
        (30, 2.04227),
        (1000, 1.96234),
    ],
)
def test_t_quantiles_are_the_table_s(dof: int, quantile: float) -> None:
    assert t_quantile(dof) == pytest.approx(quantile, rel=1e-5)


def test_fractional_degrees_lie_between() -> None:
    assert t_quantile(5) < t_quantile(4.5) < t_quantile(4)


NONE = [0.0] * 5


def test_interval_by_hand() -> None:
    # 1..5 up and down: lag-1 correlation is negative, so nothing is widened. s^2 = 2.5, se = sqrt(0.5).
    estimate = mean_estimate([3.0, 5.0, 1.0, 4.0, 2.0], NONE, "W")
    assert estimate.value == 3
    assert estimate.half_width == pytest.approx(2.776445 * np.sqrt(0.5), rel=1e-5)


def test_drifting_windows_widen_the_interval() -> None:
    assert lag1([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(0.4)
    level = mean_estimate([3.0, 5.0, 1.0, 4.0, 2.0], NONE, "W").half_width
    assert mean_estimate([1.0, 2.0, 3.0, 4.0, 5.0], NONE, "W").half_width == pytest.approx(level * np.sqrt(1.4 / 0.6))


def test_windows_that_agree_by_luck_keep_the_scatter_inside_them() -> None:
    # Five windows, each known to 0.1: their mean to 0.1 / sqrt(5).
    assert mean_estimate([2.0] * 5, [0.1] * 5, "W").half_width == pytest.approx(2.776445 * 0.1 / np.sqrt(5), rel=1e-5)


def test_equal_windows_have_no_autocorrelation() -> None:
    assert lag1([0.1 + 0.2] * 5) == 0
    assert mean_estimate([0.3] * 5, NONE, "W").half_width == 0
    assert mean_estimate([0.3] * 5, NONE, "W", 0.01).half_width == pytest.approx(0.01)


def test_batches_by_hand() -> None:
    # Four batches of two: means 1, 3, 1, 3; s^2 = 4/3, error = sqrt(1/3).
    assert batch_error(np.array([0.0, 2, 2, 4, 1, 1, 3, 3]), 4) == pytest.approx(np.sqrt(1 / 3))


def test_batches_see_what_neighbouring_samples_hide() -> None:
    rng, slow = np.random.default_rng(1), np.zeros(4000)
    for k in range(1, len(slow)):
        slow[k] = 0.95 * slow[k - 1] + rng.normal()
    assert batch_error(slow) > 3 * slow.std() / np.sqrt(len(slow))


def test_welch_interval_covers_at_its_rate() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        plus, minus = rng.normal(3, 0.3, 5).tolist(), rng.normal(1, 0.05, 7).tolist()
        estimate = difference_estimate((plus, NONE), (minus, [0.0] * 7), "W")
        hits += estimate.low95 <= 2 <= estimate.high95
    # 95 % nominal: 380 expected, standard deviation 4.4.
    assert 367 <= hits <= 398
