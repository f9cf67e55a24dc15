"""LUTs and registers of lib/gated_sum.sv."""

from __future__ import annotations


def gated_sum(count: int, width: int, stages: int) -> tuple[int, int]:
    """Return LUTs and registers of a sum of ``count`` numbers of ``width`` bits, the last ``stages`` additions kept.

    A LUT per bit of an addition, of two numbers or of three. A pair takes ``width`` LUTs with its gates, its
    carry is its last bit; three numbers take a LUT for their bits and one more, and the carry. A number that
    stays alone is gated, two bits to a LUT, and passed on; the only one is gated in the accumulator.
    """
    numbers, parts = -(-count // 2), 2
    luts = count // 2 * width + count % 2 * (-(-width // 2) if count > 1 else 0)
    registers = [numbers * _width(min(2, count), width)]
    while numbers > 2:
        narrow = _width(min(parts, count), width)
        luts += numbers // 3 * (narrow + 1) + (numbers % 3 == 2) * narrow
        parts *= 3
        numbers = -(-numbers // 3)
        registers.append(numbers * _width(min(parts, count), width))
    waits = max(0, stages - len(registers)) * registers[-1]
    return luts, sum(registers[max(0, len(registers) - stages) :] if stages else []) + waits


def _width(count: int, width: int) -> int:
    """Return the bits of a sum of ``count`` unsigned numbers of ``width`` bits."""
    return (count * ((1 << width) - 1)).bit_length()
