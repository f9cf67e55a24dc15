from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from spikeclip_fpga.energy.coefficients import CoefficientError, Coefficients


def test_an_override_changes_one_value_and_says_so() -> None:
    found = Coefficients.from_json('{"e_ac": 0.5, "e_mul": {"value": 2, "process": "28 nm", "source": "mine"}}')
    assert (found.e_ac.value, found.e_ac.unit, found.e_ac.source) == (0.5, "pJ", "overridden by the user")
    assert (found.e_mul.value, found.e_mul.process, found.e_mul.source) == (2, "28 nm", "mine")
    assert found.e_mac == Coefficients().e_mac


def test_what_is_written_can_be_read_again() -> None:
    written = {name: {k: v for k, v in c.items() if k != "unit"} for name, c in Coefficients().to_json().items()}
    assert Coefficients.from_json(json.dumps(written)) == Coefficients()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "coefficients: not JSON"),
        ("[1]", "coefficients: expected a JSON object .* got list"),
        ('{"e_acc": 1}', "coefficient e_acc: unknown; expected one of e_ac, e_mac"),
        ('{"e_ac": 0}', "coefficient e_ac: expected a number above 0"),
        ('{"e_ac": NaN}', "coefficient e_ac: expected a number above 0"),
        ('{"e_ac": Infinity}', "coefficient e_ac: expected a number above 0"),
        ('{"e_ac": true}', "coefficient e_ac: expected a number above 0"),
        ('{"e_ac": {"value": 1, "unit": "nJ"}}', "coefficient e_ac: expected a number above 0, or an object"),
        ('{"e_ac": {"source": "mine"}}', "coefficient e_ac: expected a number above 0, or an object"),
    ],
)
def test_other_overrides_are_refused(text: str, message: str) -> None:
    with pytest.raises(CoefficientError, match=message) as found:
        Coefficients.from_json(text)
    assert "\n" not in str(found.value)


def test_the_memory_model_is_the_least_squares_line_through_horowitz_caches() -> None:
    bits = 8 * np.array([8e3, 32e3, 1e6])
    slope, base = np.polyfit(bits, [10.0, 20.0, 100.0], 1)
    given = Coefficients()
    assert round(base, 1) == given.sram_base.value
    assert float(f"{slope:.2e}") == given.sram_per_bit.value
    assert given.sram_access_pj(0) == 13.2
    assert given.sram_access_pj(10**6) == pytest.approx(13.2 + 10.9)


def test_exact_is_the_decimal_that_was_written() -> None:
    given = Coefficients()
    assert (given.e_ac.exact, given.e_mac.exact) == (Fraction(9, 10), Fraction(46, 10))
    assert given.sram_per_bit.exact == Fraction(109, 10**7)
