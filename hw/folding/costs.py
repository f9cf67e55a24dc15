"""What a node, a width converter and a FIFO take: estimates, by the resource model of each.

Our nodes ask their operator. FINN's own are taken from :mod:`hw.stock_resources`, measured with Yosys (FINN counts
no LUT for MVAU and padding, and up to 30 times too few for a converter to narrower beats), with their memories
where ram_style puts them; UltraRAMs and FIFOs are FINN's figures, the latter fitted to Vivado.
"""

from __future__ import annotations

import functools
from typing import Any

from onnx import helper
from qonnx.custom_op.registry import getCustomOp

from .. import stock_resources
from ..ops import memory
from ..ops.operator import Resources

# What is counted and limited, in the order of all arrays of resources; block RAMs of 18 kb.
COUNTED = ("lut", "bram18", "dsp", "uram")

_DOMAIN = "finn.custom_op.fpgadataflow.rtl"
# Below this, FINN's FIFO lies in LUTs: as shift registers to 33 beats, then as RAM, 64 beats of a bit a LUT.
_BLOCK_BITS = 6 * 1024
_BLOCK_DEPTH = 64


def node_resources(inst: Any, part: str) -> list[float]:
    """Return the resources of a node as it is folded, by COUNTED. Raises ParameterError."""
    op_type = inst.onnx_node.op_type
    others = [float(inst.dsp_estimation(part)), float(inst.uram_estimation(part))]
    if op_type == "FMPadding_rtl":
        return [float(stock_resources.padding(inst.get_outstream_width()).lut), 0.0, *others]
    if op_type == "ConvolutionInputGenerator_rtl":
        # Control alone, then the buffer.
        control = stock_resources.sliding_window(0, 0).lut
        lut, blocks = _memory(inst, int(inst.get_buffer_depth()), int(inst.get_instream_width()))
        return [control + lut, blocks, *others]
    if op_type == "MVAU_rtl":
        core, width = mvau(inst, part), int(inst.get_instream_width(1))
        lut, blocks = _memory(inst, int(inst.calc_wmem()), width)
        streamer = stock_resources.weight_streamer(width)
        return [float(core.lut + streamer.lut) + lut, blocks, float(core.dsp), others[1]]
    return [float(inst.lut_estimation(part)), float(inst.bram_estimation(part)), *others]


def mvau(inst: Any, part: str) -> Resources:
    """Return an MVAU_rtl as it is folded, without its weights."""
    pe, simd = inst.get_nodeattr("PE"), inst.get_nodeattr("SIMD")
    bits = (inst.get_input_datatype(1).bitwidth(), inst.get_input_datatype(0).bitwidth())
    sums = int(inst.get_output_datatype().bitwidth())
    beats = inst.get_nodeattr("MW") // simd if inst.get_nodeattr("MH") > pe else 1
    return stock_resources.mvau(pe, simd, int(bits[0]), int(bits[1]), sums, part, beats)


def fifo_style(depth: int, bits: int) -> str:
    """Return the ram_style of a FIFO of ``depth`` beats of ``bits`` bits: block RAM if it fills a third of one."""
    return "block" if depth >= _BLOCK_DEPTH and depth * bits >= _BLOCK_BITS else "auto"


@functools.cache
def fifo(depth: int, bits: int, part: str) -> tuple[float, ...]:
    """Return the resources of FINN's FIFO of ``depth`` beats of ``bits`` bits, by COUNTED."""
    node = helper.make_node(
        "StreamingFIFO_rtl",
        ["in"],
        ["out"],
        domain=_DOMAIN,
        backend="fpgadataflow",
        depth=depth,
        folded_shape=[1, bits],
        normal_shape=[1, bits],
        dataType="BINARY",
        ram_style=fifo_style(depth, bits),
    )
    return tuple(node_resources(getCustomOp(node), part))


@functools.cache
def converter(bits_in: int, bits_out: int) -> tuple[float, ...]:
    """Return the resources of FINN's width converter of ``bits_in`` to ``bits_out`` bits a beat, by COUNTED."""
    found = stock_resources.width_converter(bits_in, bits_out)
    return (float(found.lut), float(found.bram18), float(found.dsp), float(found.uram))


def _memory(inst: Any, depth: int, bits: int) -> tuple[float, float]:
    """Return LUTs and block RAMs of a written memory of ``depth`` lines of ``bits`` bits, where ram_style puts it."""
    if inst.get_nodeattr("ram_style") == "distributed":
        return float(memory.ram_luts(depth, bits)), 0.0
    blocks, muxes = memory.block_ram(depth, bits, written=True)
    return float(muxes), float(blocks)
