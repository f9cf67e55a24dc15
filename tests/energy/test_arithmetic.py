from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.energy.arithmetic import add_pj, multiply_pj, sum_bits
from spikeclip_fpga.energy.coefficients import CoefficientError, Coefficients

WIDTH = st.integers(1, 64)


def test_horowitz_operations_are_met_exactly() -> None:
    table = Coefficients()
    assert (add_pj(8, table), add_pj(32, table)) == (Fraction(3, 100), Fraction(1, 10))
    assert (multiply_pj(8, 8, table), multiply_pj(32, 32, table)) == (Fraction(2, 10), Fraction(31, 10))
    # Horowitz has 0.05 pJ for 16 bits, which is no coefficient here.
    assert float(add_pj(16, table)) == pytest.approx(0.05, rel=0.07)
    assert multiply_pj(3, 4, table) == Fraction(2, 10) * 12 / 64


@given(WIDTH, WIDTH, WIDTH)
def test_more_bits_cost_more(a: int, b: int, more: int) -> None:
    table = Coefficients()
    assert 0 < add_pj(a, table) < add_pj(a + more, table)
    assert 0 < multiply_pj(a, b, table) == multiply_pj(b, a, table) < multiply_pj(a + more, b, table)


@pytest.mark.parametrize(("text", "name"), [('{"e_add_8": 0.2}', "e_add_8"), ('{"e_mul_32": 0.1}', "e_mul_8")])
def test_a_wider_operation_that_costs_less_is_refused(text: str, name: str) -> None:
    odd = Coefficients.from_json(text)
    with pytest.raises(CoefficientError, match=f"coefficient {name}: expected at most"):
        add_pj(4, odd)
        multiply_pj(4, 4, odd)


@given(st.integers(2, 8), st.integers(1, 8), st.integers(1, 2000))
def test_a_sum_fits_its_width_and_no_smaller_one(weight_bits: int, input_bits: int, fan_in: int) -> None:
    lowest = -(2 ** (weight_bits - 1)) * (2**input_bits - 1) * fan_in
    bits = sum_bits(weight_bits, input_bits, fan_in)
    assert -(2 ** (bits - 1)) <= lowest < -(2 ** (bits - 2))
