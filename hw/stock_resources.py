"""What FINN's own RTL nodes take, as functions of plain numbers: fitted to Yosys (xc7), FINN's estimates beside them.

Measured with hw.synth on FINN 1.6.1's sources. How far FINN's own estimate is off stands in each docstring.
"""

from __future__ import annotations

import math

from .ops.memory import block_ram, ram_luts
from .ops.operator import Resources

# fifo.sv keeps up to so many beats in shift registers, more in LUT RAM, more still in block RAM.
SHIFT_DEPTH = 33
_LUT_DEPTH = 257
# Bits of a sliding window's buffer from which the tools take block RAM.
_BUFFER_BITS = 4096


def fifo(depth: int, width: int) -> Resources:
    """Return a StreamingFIFO_rtl of ram_style auto.

    To depth 33 not a measurement: the count is one SRLC32E a bit with 20 LUTs of control, as FINN and Vivado have
    it; Yosys keeps that queue in registers (491 LUT, 1,046 FF for 32 x 32). Beyond, within 15 % of Yosys.
    """
    if depth <= SHIFT_DEPTH:
        return Resources(20 + width, 20 + width)
    if depth <= _LUT_DEPTH:
        return Resources(30 + ram_luts(depth - 1, width), 27 + 2 * width)
    blocks, muxes = block_ram(depth - 1, width, written=True)
    return Resources(43 + muxes, 62 + width, blocks)


def width_converter(in_width: int, out_width: int) -> Resources:
    """Return a StreamingDataWidthConverter_rtl, within 20 % of Yosys.

    To wider beats it is cheap. To narrower ones it is a barrel of muxes: 275 LUT for 64 to 8 bits, 645 for 96 to 4.
    """
    if out_width % in_width == 0:
        return Resources(in_width + out_width // in_width + 8, out_width + in_width + 8)
    steps = math.lcm(in_width, out_width) // out_width
    return Resources(round(1.43 * in_width * math.log2(steps)), round(1.3 * in_width + out_width))


def padding(width: int) -> Resources:
    """Return an FMPadding_rtl with beats of ``width`` bits, within 5 % of Yosys; its AXI-lite port is included."""
    return Resources(round(52 + 0.5 * width), round(70 + 1.9 * width))


def sliding_window(depth: int, width: int) -> Resources:
    """Return a ConvolutionInputGenerator_rtl of default style with ``depth`` beats of ``width`` bits buffered.

    Some 200 LUTs of control and the buffer, within 15 % of Yosys. FINN says 300 without a buffer in LUTs.
    """
    if depth * width < _BUFFER_BITS:
        return Resources(195 + ram_luts(depth, width), 105)
    blocks, muxes = block_ram(depth, width, written=True)
    return Resources(210 + muxes, 100, blocks)


def mvau(pe: int, simd: int) -> Resources:
    """Return an MVAU_rtl of 8-bit weights and activations on DSP48E1, without its weights.

    From two points only (PE 6, SIMD 3: 597 LUT; PE 3, SIMD 1: 206 LUT). FINN says 0 LUTs; its DSPs hold.
    """
    lanes = pe * simd
    return Resources(128 + 26 * lanes, 450 + 52 * lanes, dsp=-(-pe // 4) * simd)
