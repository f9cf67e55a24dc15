from __future__ import annotations

from fractions import Fraction

import pytest

from spikeclip_fpga.energy import papers
from spikeclip_fpga.energy.coefficients import Coefficients

ROWS = [papers.reproduce(column) for column in papers.TABLE]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.published.data_set)
def test_the_papers_reductions_follow_from_their_rates(row: papers.Reproduced) -> None:
    assert abs(row.difference) <= Fraction(1, 100)
    assert 0 <= row.exact - row.truncated < Fraction(1, 100)
    assert abs(row.exact - row.rounded) <= Fraction(1, 200)
    assert row.exact == 100 - Fraction(90 * 4, 460) * row.published.rate_percent


def test_their_range() -> None:
    shown = [row.published.reduction_percent for row in ROWS]
    assert (max(shown), min(shown)) == (Fraction("78.66"), Fraction("77.06"))
    assert [row.published.rate_percent for row in (ROWS[0], ROWS[2])] == [Fraction("27.26"), Fraction("29.30")]


def test_their_last_digit_was_cut_off_not_rounded() -> None:
    assert all(row.if_truncated for row in ROWS)
    assert [row.published.data_set for row in ROWS if row.if_rounded] == ["CIFAR10"]
    # All six are one unit of the last digit low.
    assert {row.difference for row in ROWS} == {Fraction(1, 100)}


def test_a_column_that_no_rate_explains_is_seen() -> None:
    odd = papers.reproduce(papers.Published("odd", Fraction("27.26"), Fraction("3.17"), Fraction("78.60")))
    assert not odd.if_truncated
    assert not odd.if_rounded
    assert odd.difference == Fraction("0.07")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.published.data_set)
def test_their_energy_is_within_the_bounds_of_the_operations_it_implies(row: papers.Reproduced) -> None:
    rate = row.published.rate_percent / 100
    for flops, side in zip(row.flops, (-1, 1), strict=True):
        energy_mj = Fraction("0.9") * 4 * rate * flops / 10**9
        assert 0 < side * (energy_mj - row.published.energy_mj) < Fraction(6, 1000)


def test_one_operation_count_explains_all_their_energies_and_is_not_their_networks() -> None:
    bounds = papers.implied_flops(ROWS)
    assert bounds is not None
    low, high = bounds
    assert (round(float(low) / 1e9, 3), round(float(high) / 1e9, 3)) == (3.230, 3.233)
    ours = papers.flops(papers.NETWORK)["papers"]
    assert 3.50 < low / ours < high / ours < 3.52
    # Nor is it the count of all T steps.
    assert not low <= 4 * ours <= high


def test_energies_of_two_networks_have_no_common_count() -> None:
    other = papers.reproduce(papers.Published("other", Fraction(28), Fraction("5.00"), Fraction("78.08")))
    assert papers.implied_flops([ROWS[0], other]) is None


def test_other_coefficients_change_the_table() -> None:
    cheaper = papers.reproduce(papers.TABLE[0], Coefficients.from_json('{"e_ac": 0.1}'))
    assert cheaper.exact == 100 - Fraction(10 * 4, 460) * Fraction("27.26")


def test_their_equations_on_their_shapes_give_other_energies() -> None:
    shapes = papers.flops(papers.NETWORK)
    for column in papers.TABLE:
        dense = Fraction("4.6") * (shapes["first convolution"] + shapes["projection"])
        events = Fraction("0.9") * 4 * column.rate_percent / 100 * shapes["spiking layers"]
        found = papers.energy_by_shapes_mj(column)
        assert found == (dense + events) / 10**9
        assert 3.4 < column.energy_mj / found < 3.6
