"""What FINN's Thresholding and Requant take: counts from their RTL's structure, since Yosys does not take them."""

from __future__ import annotations

import math

from ..ops import memory
from ..ops.operator import Resources

# The ports of a DSP48E1's multiplier.
_WIDE, _NARROW = 25, 18


def thresholding(channels: int, pe: int, in_bits: int, out_bits: int) -> Resources:
    """Return a Thresholding_rtl: a binary search of ``out_bits`` stages, each with a comparator and its thresholds.

    Two bits of a comparison to a LUT, two pipeline registers a stage, the thresholds of stage s as a ROM of
    channels / pe * 2**s lines for each of ``pe``, a queue of results in shift registers.
    """
    fold = channels // pe
    pointer = memory.address_bits(fold) + out_bits
    lut, ff, blocks = 10.0 + pe * out_bits, 20.0 + pe * out_bits, 0
    for stage in range(out_bits):
        depth = fold << stage
        lut, ff = lut + pe * (math.ceil(in_bits / 2) + 4), ff + pe * 2 * (in_bits + pointer + 3)
        if memory.rom_style(depth, in_bits) == "block":
            taken, muxes = memory.block_ram(depth, in_bits)
            blocks, lut = blocks + pe * taken, lut + pe * muxes
        else:
            lut, ff = lut + pe * memory.rom_luts(depth, in_bits), ff + pe * in_bits
    return Resources(round(lut), round(ff), blocks)


def requant(channels: int, pe: int, in_bits: int, out_bits: int) -> Resources:
    """Return a Requant_rtl, clip(round(x scale + bias)): a DSP a lane (two beyond 25 bits), constants in a ROM.

    The bias is added and the sum rounded in the DSP; in LUTs are the clip and the selection of the result's bits.
    """
    scale = _WIDE if in_bits <= _NARROW else _NARROW
    width = pe * (scale + in_bits + scale)
    lut, ff = 12.0 + pe * (3 * out_bits + 8), 20.0 + pe * (in_bits + 2 * out_bits + 4)
    dsp, fold = pe * (1 if in_bits <= _WIDE else 2), channels // pe
    if memory.rom_style(fold, width) == "block":
        blocks, muxes = memory.block_ram(fold, width)
        return Resources(round(lut + muxes), round(ff), blocks, dsp)
    return Resources(round(lut + memory.rom_luts(fold, width)), round(ff + width), 0, dsp)
