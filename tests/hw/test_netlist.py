"""Yosys' netlist of every operator, of LUTs, carries, registers and block RAM, equals golden under stalls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import spikeclip_fpga.hw
from spikeclip_fpga.hw import beats
from spikeclip_fpga.hw.ops.align import Align
from spikeclip_fpga.hw.ops.fork import Fork
from spikeclip_fpga.hw.ops.lif import Lif
from spikeclip_fpga.hw.ops.readout import Readout
from spikeclip_fpga.hw.ops.residual_add import ResidualAdd
from spikeclip_fpga.hw.ops.spike_attention import SpikeAttention
from spikeclip_fpga.hw.ops.spike_mvau import SpikeMvau
from spikeclip_fpga.hw.ops.spike_pool import SpikePool
from spikeclip_fpga.hw.simulate import STALLS, build
from spikeclip_fpga.hw.synth import cell_models, synthesise
from spikeclip_fpga.quantize import golden

pytest.importorskip("pyosys", reason="pip install pyosys")
LIB = Path(spikeclip_fpga.hw.__file__).parent / "lib"


@dataclass(frozen=True)
class Case:
    """A module with its inputs, and golden's outputs as beats."""

    top: str
    sources: Sequence[Path]
    parameters: Mapping[str, int | str]
    files: Mapping[str, str]
    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    cell: str  # a kind of cell that this case must prove


def words(rng: np.random.Generator, *shape: int, timesteps: int = 4) -> np.ndarray:
    return golden.pack((rng.random((*shape, timesteps)) < 0.4).astype(np.int64))


def spike_mvau(rng: np.random.Generator, folder: Path, rom: str) -> Case:
    weight = rng.integers(-8, 8, (8, 18))
    operator = SpikeMvau.fitted(weight, simd=6, pe=2, timesteps=4, rom=rom)
    x = words(rng, 20, 18)
    expected = beats.pack(operator.golden(x, weight).reshape(-1, 8), operator.acc_width)
    cell = "RAMB" if rom == "block" else "CARRY4"
    files = operator.files(weight)
    return Case(
        operator.top, operator.sources, operator.parameters(), files, operator.to_beats(x), {"out": expected}, cell
    )


def lif(rng: np.random.Generator, folder: Path, reset: str, broadcast: bool) -> Case:
    threshold, bias = rng.integers(20, 900, 12), rng.integers(-200, 200, 12)
    options = {"pe": 3, "timesteps": 4, "low": -128, "high": 127, "reset": reset, "broadcast": broadcast}
    operator = Lif.fitted(threshold, bias, **options)
    currents = rng.integers(-128, 128, (30, 12 * operator.input_steps))
    expected = beats.pack(operator.golden(currents, threshold, bias).reshape(-1, 3), 4)
    streams, files = operator.to_beats(currents), operator.files(threshold, bias)
    return Case(operator.top, operator.sources, operator.parameters(), files, streams, {"out": expected}, "CARRY4")


def pool(rng: np.random.Generator, folder: Path, mode: str) -> Case:
    width = 7 if mode == "max" else 1
    operator = SpikePool(6, 3, 4, 5, 7, mode=mode, in_width=width, kernel=3, stride=2, pad=1)
    if mode == "or":
        maps = words(rng, 3, 5, 7, 6)
        expected = beats.pack(operator.golden(maps).reshape(-1, 3), 4)
    else:
        maps = rng.integers(-64, 64, (3, 5, 7, 24))
        expected = beats.pack(operator.golden(maps).reshape(-1, 12), 7)
    streams = operator.to_beats(maps)
    return Case(operator.top, operator.sources, operator.parameters(), {}, streams, {"out": expected}, "FDRE")


def attention(rng: np.random.Generator, folder: Path, dim: int, tokens: int) -> Case:
    operator = SpikeAttention.fitted(dim=dim, heads=2, tokens=tokens, timesteps=4, pe=2)
    q, k, v = (words(rng, 4, tokens, dim) for _ in range(3))
    expected = beats.pack(operator.golden(q, k, v).reshape(-1, 8), operator.out_width)
    cell = "RAMB" if dim > 20 else "RAM32M"
    streams = operator.to_beats(q, k, v)
    return Case(operator.top, operator.sources, operator.parameters(), {}, streams, {"out": expected}, cell)


def align(rng: np.random.Generator, folder: Path) -> Case:
    shift, bias = rng.integers(0, 4, 12), rng.integers(-99, 100, 12)
    operator = Align.fitted(shift, bias, pe=3, timesteps=4, low=-128, high=127)
    currents = rng.integers(-128, 128, (30, 48))
    expected = beats.pack(operator.golden(currents, shift, bias).reshape(-1, 12), operator.out_width)
    streams, files = operator.to_beats(currents), operator.files(shift, bias)
    return Case(operator.top, operator.sources, operator.parameters(), files, streams, {"out": expected}, "CARRY4")


def residual_add(rng: np.random.Generator, folder: Path) -> Case:
    operator = ResidualAdd(12, 3, 4, 9, 7, 10)
    a, b = rng.integers(-256, 256, (30, 48)), rng.integers(-64, 64, (30, 48))
    expected = beats.pack(operator.golden(a, b).reshape(-1, 12), 10)
    streams = operator.to_beats(a, b)
    return Case(operator.top, operator.sources, operator.parameters(), {}, streams, {"out": expected}, "CARRY4")


def fork(rng: np.random.Generator, folder: Path) -> Case:
    operator = Fork(3, 40)
    path = folder / "three_ways.sv"
    path.write_text(operator.wrapper("three_ways"))
    data = beats.pack(rng.integers(0, 1 << 20, (200, 2)), 20)
    return Case("three_ways", [*operator.sources, path], {}, {}, {"in": data}, operator.golden(data), "FDRE")


def readout(rng: np.random.Generator, folder: Path) -> Case:
    time_weight = rng.integers(-128, 128, 4)
    operator = Readout.fitted(time_weight, channels=12, pe=3, tokens=5, shift=4)
    x = words(rng, 6, 5, 12)
    expected = beats.pack(operator.golden(x, time_weight).reshape(-1, 3), operator.out_width)
    streams, files = operator.to_beats(x), operator.files(time_weight)
    return Case(operator.top, operator.sources, operator.parameters(), files, streams, {"out": expected}, "CARRY4")


def fifo(rng: np.random.Generator, folder: Path, depth: int, style: str) -> Case:
    data = beats.pack(rng.integers(0, 1 << 20, (2 * depth + 50, 2)), 20)
    parameters: dict[str, int | str] = {"DEPTH": depth, "WIDTH": 40, "RAM_STYLE": style}
    return Case(
        "sc_fifo",
        [LIB / "fifo.sv"],
        parameters,
        {},
        {"in": data},
        {"out": data},
        "RAMB" if style == "block" else "RAM32M",
    )


CASES: dict[str, Callable[[np.random.Generator, Path], Case]] = {
    "spike_mvau, weights in LUTs": lambda r, f: spike_mvau(r, f, "distributed"),
    "spike_mvau, weights in block RAM": lambda r, f: spike_mvau(r, f, "block"),
    "lif": lambda r, f: lif(r, f, "subtract", False),
    "lif, reset to zero, broadcast": lambda r, f: lif(r, f, "zero", True),
    "spike_pool, or": lambda r, f: pool(r, f, "or"),
    "spike_pool, max": lambda r, f: pool(r, f, "max"),
    "spike_attention": lambda r, f: attention(r, f, 8, 4),
    "spike_attention, block RAM": lambda r, f: attention(r, f, 48, 6),
    "align": align,
    "residual_add": residual_add,
    "fork": fork,
    "readout": readout,
    "fifo, LUT RAM": lambda r, f: fifo(r, f, 24, "distributed"),
    "fifo, block RAM": lambda r, f: fifo(r, f, 600, "block"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_netlist_equals_golden(name: str, tmp_path: Path) -> None:
    case = CASES[name](np.random.default_rng(0), tmp_path)
    netlist = synthesise(case.top, case.sources, case.parameters, case.files)
    assert sum(n for kind, n in netlist.usage.cells.items() if kind.startswith(case.cell))
    model = build(case.top, [netlist.verilog, *cell_models(tmp_path / "cells")], strict=False)
    with model.open() as simulation:
        for seed in range(2):
            counts = {stream: len(data) for stream, data in case.outputs.items()}
            run = simulation.run(case.inputs, counts, stalls=STALLS["random"], seed=seed)
            for stream, data in case.outputs.items():
                np.testing.assert_array_equal(run.outputs[stream], data, err_msg=stream)
