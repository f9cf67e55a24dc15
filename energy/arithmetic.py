"""Energy of integer arithmetic of any width, drawn through Horowitz's 8- and 32-bit operations.

  adder of w bits               on the lines (0, 0) - (8, e_add_8) - (32, e_add_32) over w
  multiplier of a and b bits    on the lines (0, 0) - (64, e_mul_8) - (1024, e_mul_32) over a b

An adder grows with its width and an array multiplier with the product of its operands' widths: per bit squared,
Horowitz's two multipliers differ by 3 %. Below 8 bits nothing was tabulated, so that part is an extrapolation.
"""

from __future__ import annotations

from fractions import Fraction

from .coefficients import Coefficient, CoefficientError, Coefficients


def add_pj(bits: int, coefficients: Coefficients) -> Fraction:
    """Return the energy in pJ of an integer addition of ``bits``. Raises CoefficientError."""
    return _drawn("add", bits, (8, 32), (coefficients.e_add_8, coefficients.e_add_32))


def multiply_pj(a_bits: int, b_bits: int, coefficients: Coefficients) -> Fraction:
    """Return the energy in pJ of an integer multiplication of a by b bits. Raises CoefficientError."""
    return _drawn("mul", a_bits * b_bits, (64, 1024), (coefficients.e_mul_8, coefficients.e_mul_32))


def sum_bits(weight_bits: int, input_bits: int, fan_in: int) -> int:
    """Return the signed width that no sum of ``fan_in`` products overflows; inputs unsigned, spikes 1 bit."""
    return (((1 << input_bits) - 1) * (1 << (weight_bits - 1)) * fan_in - 1).bit_length() + 1


def _drawn(what: str, size: int, at: tuple[int, int], prices: tuple[Coefficient, Coefficient]) -> Fraction:
    low, high = (price.exact for price in prices)
    if low > high:
        raise CoefficientError(
            f"coefficient e_{what}_8: expected at most e_{what}_32, {float(high):g} pJ, got {float(low):g} pJ; "
            "a wider operation costs no less: override both"
        )
    if size <= at[0]:
        return low * size / at[0]
    return low + (high - low) * (size - at[0]) / (at[1] - at[0])
