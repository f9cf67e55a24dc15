"""Yosys' figures: how LUT pairs are counted, what is refused, and the resource model against synthesis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.hw import netlist, stock_resources
from spikeclip_fpga.hw.ops import memory
from spikeclip_fpga.hw.ops.align import Align
from spikeclip_fpga.hw.ops.fork import Fork
from spikeclip_fpga.hw.ops.lif import Lif
from spikeclip_fpga.hw.ops.operator import Operator
from spikeclip_fpga.hw.ops.readout import Readout
from spikeclip_fpga.hw.ops.residual_add import ResidualAdd
from spikeclip_fpga.hw.ops.spike_attention import SpikeAttention
from spikeclip_fpga.hw.ops.spike_mvau import SpikeMvau
from spikeclip_fpga.hw.ops.spike_pool import SpikePool
from spikeclip_fpga.hw.synth import SynthesisError, synthesise

Built = tuple[Operator, Mapping[str, str]]


def lut(size: int, output: int, *inputs: int) -> dict[str, Any]:
    pins = {f"I{i}": [bit] for i, bit in enumerate(inputs)}
    assert len(inputs) == size
    return {"type": f"LUT{size}", "connections": {**pins, "O": [output]}}


def counted(**cells: dict[str, Any]) -> netlist.Usage:
    return netlist.count({"modules": {"top": {"attributes": {}, "cells": cells}}}, "top")


def test_two_luts_share_a_site_up_to_five_inputs() -> None:
    assert counted(a=lut(3, 20, 1, 2, 3), b=lut(3, 21, 3, 4, 5)).lut == 1
    assert counted(a=lut(4, 20, 1, 2, 3, 6), b=lut(3, 21, 3, 4, 5)).lut == 2  # six inputs
    assert counted(a=lut(2, 20, 1, 2), b=lut(2, 21, 3, 4)).lut == 2  # nothing in common
    assert counted(a=lut(6, 20, 1, 2, 3, 4, 5, 6), b=lut(2, 21, 1, 2)).lut == 2
    three = counted(a=lut(2, 20, 1, 2), b=lut(2, 21, 1, 2), c=lut(2, 22, 1, 2))
    assert (three.lut, three.lut_raw) == (2, 3)


def carry(s: list[int], di: list[int], o: list[int]) -> dict[str, Any]:
    directions = {"S": "input", "DI": "input", "O": "output", "CO": "output"}
    pins = {"S": s, "DI": di, "O": o, "CO": [90, 91, 92, 93]}
    return {"type": "CARRY4", "connections": pins, "port_directions": directions}


def test_a_carry_bit_takes_its_own_pair_first_and_only_a_registered_sum_lets_another_out() -> None:
    own = {"s": lut(4, 20, 1, 2, 3, 4), "d": lut(2, 21, 1, 2)}
    assert counted(**own, c=carry([20, 0, 0, 0], [21, 0, 0, 0], [30, 31, 32, 33])).lut == 1
    register = {"type": "FDRE", "connections": {"D": [30], "Q": [40]}, "port_directions": {"D": "input", "Q": "output"}}
    chain = carry([20, 0, 0, 0], [9, 0, 0, 0], [30, 31, 32, 33])
    assert counted(**own, c=chain, f=register).lut == 1
    assert counted(**own, c=chain, f=lut(1, 41, 30)).lut == 3  # the sum takes the pin
    two = {"a": lut(2, 20, 1, 2), "b": lut(2, 21, 1, 2)}
    assert counted(**two, c=carry([20, 21, 0, 0], [9, 9, 0, 0], [30, 31, 32, 33])).lut == 2  # both are S


def test_memory_in_luts_and_instances_are_counted() -> None:
    pins = {"CLK": [1], "CE": [2], "A0": [3], "A1": [3], "A2": [3], "A3": [3]}
    shift = {"type": "SRL16E", "connections": pins}
    ram, block = {"type": "RAM32M", "connections": {}}, {"type": "RAMB36E1", "connections": {}}
    inner = {"attributes": {}, "cells": {"a": shift, "b": shift, "c": shift, "r": ram, "m": block}}
    cell = {"type": "inner", "connections": {}}
    modules = {"inner": inner, "top": {"attributes": {}, "cells": {"x": cell, "y": cell}}}
    usage = netlist.count({"modules": modules}, "top")
    assert (usage.lut, usage.lut_memory, usage.bram18) == (12, 12, 4)
    with pytest.raises(netlist.NetlistError, match="RAM7X7: LUTs of this memory cell are not known"):
        counted(r={"type": "RAM7X7", "connections": {}})


def test_what_cannot_be_synthesised_is_refused_in_a_line(tmp_path: Path) -> None:
    pytest.importorskip("pyosys", reason="pip install pyosys")
    source = Fork(2, 8).sources[0]
    with pytest.raises(SynthesisError, match="sc_fork: family: expected one of xc7, xcup, got xc9"):
        synthesise("sc_fork", [source], family="xc9")
    with pytest.raises(SynthesisError, match=r"fork\.sv:\d+: .*sc_fork: OUTPUTS 1 is below 2"):
        synthesise("sc_fork", [source], {"OUTPUTS": 1})
    with pytest.raises(SynthesisError, match="no such file"):
        synthesise("sc_fork", [tmp_path / "fork.sv"])
    operator, files = mvau(12, 8, 4, 2, 4, 4)
    with pytest.raises(SynthesisError, match=r"rom\.sv:\d+: .*failed to open file 'weights\.mem'"):
        synthesise(operator.top, operator.sources, operator.parameters(), {})
    assert files


def test_without_yosys_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SynthesisError, match="pyosys: not installed; pip install pyosys"):
        synthesise("sc_fork", [Fork(2, 8).sources[0]])


def mvau(mw: int, mh: int, simd: int, pe: int, steps: int, width: int) -> Built:
    rng, top = np.random.default_rng(0), 1 << (width - 1)
    weight = np.clip(np.round(rng.normal(0, top / 3, (mh, mw))), -top, top - 1).astype(np.int64)
    weight[0, 0] = -top
    operator = SpikeMvau.fitted(weight, simd=simd, pe=pe, timesteps=steps, w_width=width)
    return operator, operator.files(weight)


def lif(channels: int, pe: int, steps: int, width: int, **options: Any) -> Built:
    rng, half = np.random.default_rng(0), 1 << (width - 1)
    threshold, bias = rng.integers(half // 4, half * 4, channels), rng.integers(-half, half, channels)
    operator = Lif.fitted(threshold, bias, pe=pe, timesteps=steps, low=-half, high=half - 1, **options)
    return operator, operator.files(threshold, bias)


def align(channels: int, pe: int, steps: int, width: int, most: int) -> Built:
    rng, half = np.random.default_rng(0), 1 << (width - 1)
    shift, bias = rng.integers(0, most + 1, channels), rng.integers(-half, half, channels)
    operator = Align.fitted(shift, bias, pe=pe, timesteps=steps, low=-half, high=half - 1)
    return operator, operator.files(shift, bias)


def readout(channels: int, pe: int, tokens: int, steps: int) -> Built:
    weight = np.random.default_rng(0).integers(-128, 128, steps)
    operator = Readout.fitted(weight, channels=channels, pe=pe, tokens=tokens, shift=8)
    return operator, operator.files(weight)


def attention(dim: int, heads: int, tokens: int, steps: int, pe: int) -> Built:
    return SpikeAttention.fitted(dim=dim, heads=heads, tokens=tokens, timesteps=steps, pe=pe), {}


# None of these was used to fit the model. The last number: how far the LUTs may be off, in percent.
HELD_OUT: dict[str, tuple[Callable[[], Built], int]] = {
    "spike_mvau 432x96, SIMD 9, PE 2": (lambda: mvau(432, 96, 9, 2, 4, 4), 15),
    "spike_mvau 192x96, SIMD 16, PE 1, 3 bit": (lambda: mvau(192, 96, 16, 1, 4, 3), 15),
    "spike_mvau 96x96, SIMD 6, PE 2, T 6, 6 bit": (lambda: mvau(96, 96, 6, 2, 6, 6), 15),
    "lif PE 2, T 4": (lambda: lif(96, 2, 4, 12), 15),
    "lif PE 1, T 6, broadcast": (lambda: lif(48, 1, 6, 10, broadcast=True), 15),
    "spike_attention 48, PE 3": (lambda: attention(48, 4, 16, 4, 3), 15),
    "align PE 3": (lambda: align(96, 3, 4, 12, 3), 15),
    "spike_pool max": (lambda: (SpikePool(48, 6, 4, 16, 16, mode="max", in_width=9), {}), 15),
    "residual_add": (lambda: (ResidualAdd(96, 3, 4, 12, 13, 14), {}), 15),
    "readout": (lambda: readout(96, 2, 16, 4), 25),
}


@pytest.mark.parametrize("name", HELD_OUT)
def test_the_resource_model_agrees_with_synthesis(name: str) -> None:
    pytest.importorskip("pyosys", reason="pip install pyosys")
    build, percent = HELD_OUT[name]
    operator, files = build()
    usage = synthesise(operator.top, operator.sources, operator.parameters(), files).usage
    model = operator.resources()
    lut_error, ff_error = 100 * (model.lut / usage.lut - 1), 100 * (model.ff / usage.ff - 1)
    print(
        f"{name}: LUT {usage.lut}, model {model.lut} ({lut_error:+.0f} %); "
        f"FF {usage.ff}, model {model.ff} ({ff_error:+.0f} %)"
    )
    assert model.bram18 == usage.bram18
    assert (model.dsp, model.uram) == (usage.dsp, usage.uram) == (0, 0)
    assert abs(lut_error) <= percent
    assert abs(ff_error) <= 25


def test_memories_go_to_block_ram_when_that_saves_enough() -> None:
    assert memory.rom_style(64, 288) == memory.ram_style(32, 96) == "distributed"
    assert memory.rom_style(144, 288) == memory.ram_style(1152, 20) == "block"
    shapes = ((144, 288), (2304, 16), (16384, 1), (512, 37), (1152, 48))
    assert [memory.block_ram(*shape)[0] for shape in shapes] == [8, 3, 1, 2, 4]


# FINN's width converter: bits of a beat in and out.
@pytest.mark.parametrize(("before", "after"), [(8, 48), (48, 8)])
def test_the_model_of_finns_width_converter_agrees_with_synthesis(before: int, after: int) -> None:
    pytest.importorskip("pyosys", reason="pip install pyosys")
    finn = pytest.importorskip("finn", reason="pip install finn-plus")
    folder = Path(finn.__path__[0]) / "finn-rtllib" / "dwc" / "hdl"
    sources = [folder / "dwc_axi.sv", folder / "vpc.sv"]
    usage = synthesise("dwc_axi", sources, {"IBITS": before, "OBITS": after}).usage
    model = stock_resources.width_converter(before, after)
    print(f"{before} to {after}: LUT {usage.lut}, model {model.lut}; FF {usage.ff}, {model.ff}")
    assert abs(model.lut / usage.lut - 1) <= 0.25
    assert abs(model.ff / usage.ff - 1) <= 0.35
