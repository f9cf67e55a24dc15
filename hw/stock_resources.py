"""What FINN's own RTL nodes take, as functions of plain numbers: fitted to Yosys (xc7), FINN's estimates beside them.

Measured with hw.synth on FINN 1.6.1's sources. How far FINN's own estimate is off stands in each docstring.
"""

from __future__ import annotations

import math

from .ops.memory import block_ram, ram_luts
from .ops.operator import Resources, family_of

# fifo.sv keeps up to so many beats in shift registers, more in LUT RAM, more still in block RAM.
SHIFT_DEPTH = 33
_LUT_DEPTH = 257
# Bits of a sliding window's buffer from which the tools take block RAM.
_BUFFER_BITS = 4096
# The DSP's multiplier ports: the wide one of DSP48E1 and DSP48E2, the narrow one; bits of its accumulator.
_WIDE, _NARROW, _ACCUMULATOR = {"xc7": 25, "xcup": 27}, 18, 48
# MVAU_rtl's core in Yosys (xc7, FINN 1.6.1), 14 foldings, LUTs within 10 %, registers within 20 % but for the smallest:
# constant, per bit of the sums over SIMD, per carry between lanes, per bit of a result.
_CORE_LUT, _CORE_FF = (25.0, 0.97, 7.4, 1.4), (59.0, 1.7, 9.6, 2.2)
# Its weights' streamer: constant, per bit of a line. Yosys has 3.6 LUT and 12.1 registers a bit, of which 7 registers
# and 2 LUT are a queue that Vivado makes of shift registers, and 3 registers belong to an AXI port nobody is at.
_STREAM_LUT, _STREAM_FF = (20.0, 1.6), (60.0, 2.1)


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


def lanes(weight_bits: int, activation_bits: int, part: str) -> int:
    """Return how many products of one activation a DSP makes in MVAU_rtl, with weights of a symmetric range."""
    room = _WIDE[family_of(part)] - weight_bits
    return 1 + room // (weight_bits + activation_bits - 1)


def mvau_dsp(pe: int, simd: int, weight_bits: int, activation_bits: int, part: str) -> int:
    """Return the DSPs of an MVAU_rtl, as Yosys finds them; FINN says ceil(PE/4) SIMD whatever the widths."""
    return -(-pe // lanes(weight_bits, activation_bits, part)) * simd


def lane_widths(pe: int, weight_bits: int, activation_bits: int, acc_bits: int, part: str) -> list[int]:
    """Return the bits that each of ``pe`` output channels has in its DSPs' sums; the top lane holds all."""
    number = lanes(weight_bits, activation_bits, part)
    least = weight_bits + activation_bits - 1
    slack = _WIDE[family_of(part)] - weight_bits - (number - 1) * least
    widths = []
    for i in range(1, number):
        extra = -(-slack // (number - i))
        widths.append(least + extra)
        slack -= extra
    widths.append(min(acc_bits, _ACCUMULATOR - sum(widths)))
    full, rest = divmod(pe, number)
    return widths * full + (widths[number - rest :] if rest else [])


def mvau(
    pe: int, simd: int, weight_bits: int, activation_bits: int, acc_bits: int, part: str, beats: int = 2
) -> Resources:
    """Return an MVAU_rtl without its weights: sums over SIMD and of the lanes' carries, the queue of results.

    beats: of an input vector, which is replayed for each group of ``pe`` channels; 1 if there is one group. The
    queue is counted as shift registers, a LUT a bit; Yosys makes registers of it.
    """
    widths = lane_widths(pe, weight_bits, activation_bits, acc_bits, part)
    results = pe * acc_bits
    parts = (1, (simd - 1) * sum(widths), simd * sum(width < acc_bits for width in widths), results)
    replay = ram_luts(max(beats, 2), simd * activation_bits) if beats > 1 else 0
    lut = sum(rate * n for rate, n in zip(_CORE_LUT, parts, strict=True)) + results + replay
    ff = sum(rate * n for rate, n in zip(_CORE_FF, parts, strict=True))
    return Resources(round(lut), round(ff), dsp=mvau_dsp(pe, simd, weight_bits, activation_bits, part))


def weight_streamer(width: int) -> Resources:
    """Return what feeds an MVAU_rtl lines of ``width`` bits, without the memory: registers and their muxes."""
    return Resources(round(_STREAM_LUT[0] + _STREAM_LUT[1] * width), round(_STREAM_FF[0] + _STREAM_FF[1] * width))
