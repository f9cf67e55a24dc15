"""sc_spike_attention equals golden.attention, beat by beat."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.hw import beats
from spikeclip_fpga.hw.ops.fork import Fork
from spikeclip_fpga.hw.ops.operator import ParameterError
from spikeclip_fpga.hw.ops.spike_attention import SpikeAttention
from spikeclip_fpga.hw.simulate import STALLS, BuildError, Gate, SimulationError, build
from spikeclip_fpga.quantize import golden

from .conftest import Prover

# channels, heads, tokens, T, pe
CONFIGURATIONS = [
    (8, 2, 4, 4, 2),
    (2, 1, 1, 1, 1),  # one token: nothing is read back
    (2, 2, 3, 1, 1),  # one channel per head
    (2, 1, 2, 4, 2),  # two lines of K^T V
    (8, 2, 4, 4, 4),  # a head in a beat
    (8, 2, 4, 4, 1),
    (6, 1, 5, 2, 3),
    (6, 3, 7, 3, 1),
    (12, 2, 3, 4, 2),
    (12, 2, 3, 5, 3),
    (12, 3, 1, 4, 2),
    (10, 2, 8, 6, 1),
    (9, 3, 4, 7, 3),
    (16, 4, 6, 4, 2),
    (16, 1, 2, 8, 4),
    (4, 2, 15, 9, 2),
    (4, 1, 16, 12, 1),
    (6, 2, 4, 16, 3),
    (4, 2, 3, 16, 1),
    (5, 5, 4, 4, 1),
    (24, 2, 9, 4, 6),
    (96, 8, 16, 4, 4),  # tiny
]
FRAMES = 4


def frames(operator: SpikeAttention, seed: int, number: int = FRAMES) -> list[np.ndarray]:
    """Return q, k, v words (number, N, D): full, empty, then of random rates."""
    rng = np.random.default_rng(seed)
    shape = (number, operator.tokens, operator.dim, operator.timesteps)
    words = [golden.pack((rng.random(shape) < rng.random((number, 1, 1, 1))).astype(np.int64)) for _ in range(3)]
    for each in words:
        each[0] = (1 << operator.timesteps) - 1
    words[seed % 3][1] = 0
    return words


def packed(counts: np.ndarray, operator: SpikeAttention) -> np.ndarray:
    return beats.pack(counts.reshape(-1, operator.pe * operator.timesteps), operator.out_width)


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: "-".join(map(str, c)))
def test_every_beat_equals_golden(configuration: Any, prove_operator: Prover) -> None:
    dim, heads, tokens, steps, pe = configuration
    operator = SpikeAttention.fitted(dim=dim, heads=heads, tokens=tokens, timesteps=steps, pe=pe)
    if dim % 4 == 0:  # the narrowest counts, without a sign
        operator = replace(operator, out_width=operator.out_width - 1)

    def case(seed: int) -> Any:
        words = frames(operator, seed)
        counts = operator.golden(*words)
        expected = packed(counts, operator)
        np.testing.assert_array_equal(operator.from_beats({"out": expected}), counts)
        return {}, operator.to_beats(*words), {"out": expected}

    run = prove_operator(operator, case)["none"]
    assert run.latency("k", "out") == operator.latency()
    assert (run.frame_intervals("out", tokens * operator.folds) == operator.initiation_interval()).all()


def test_base_at_its_size() -> None:
    operator = SpikeAttention.fitted(dim=384, heads=12, tokens=64, timesteps=4, pe=32)
    words = frames(operator, 0, 3)
    model = build(operator.top, operator.sources, operator.parameters())
    for pattern in ("none", "bursts"):
        with model.open() as simulation:
            expected = packed(operator.golden(*words), operator)
            run = simulation.run(operator.to_beats(*words), {"out": len(expected)}, stalls=STALLS[pattern])
        np.testing.assert_array_equal(run.outputs["out"], expected)
        if pattern == "none":
            assert (run.frame_intervals("out", 64 * operator.folds) == operator.initiation_interval()).all()
    assert operator.initiation_interval() == 24_576
    assert operator.memory_bits() == {"ktv": 688_128, "q": 101_376, "head": 384}


def test_tiny_meets_its_frame_rate_with_one_channel_a_beat() -> None:
    operator = SpikeAttention.fitted(dim=96, heads=8, tokens=16, timesteps=4, pe=1)
    assert operator.initiation_interval() == 18_432 < 100e6 / 2500
    assert operator.memory_bits() == {"ktv": 46_080, "q": 6_912, "head": 144}


@pytest.mark.parametrize("configuration", [(12, 2, 3, 4, 1), (12, 2, 4, 2, 3), (8, 4, 5, 3, 2), (16, 1, 2, 4, 4)])
def test_inputs_in_step_neither_block_nor_slow_it(configuration: Any, tmp_path: Path) -> None:
    """A fork in front: no beat of q, k or v can come before the others have taken theirs but one."""
    dim, heads, tokens, steps, pe = configuration
    operator = SpikeAttention.fitted(dim=dim, heads=heads, tokens=tokens, timesteps=steps, pe=pe)
    fork = Fork(3, 3 * pe * steps)
    width, out = pe * steps, operator.output_widths()["out"]
    names = ("q", "k", "v")
    wires = "".join(f"  logic {n}_valid, {n}_ready; logic [{3 * width - 1}:0] {n};\n" for n in names)
    fork_ports = "".join(
        f", .out{i}_valid_o({n}_valid), .out{i}_ready_i({n}_ready), .out{i}_data_o({n})" for i, n in enumerate(names)
    )
    ports = "".join(
        f", .{n}_valid_i({n}_valid), .{n}_ready_o({n}_ready), .{n}_data_i({n}[{i * width}+:{width}])"
        for i, n in enumerate(names)
    )
    parameters = ", ".join(f".{name}({json.dumps(value)})" for name, value in operator.parameters().items())
    top = tmp_path / "in_step.sv"
    top.write_text(
        fork.wrapper("three") + f"module in_step (input logic clk_i, rst_ni, in_valid_i, output logic in_ready_o,\n"
        f"  input logic [{3 * width - 1}:0] in_data_i, output logic out_valid_o, input logic out_ready_i,\n"
        f"  output logic [{out - 1}:0] out_data_o);\n{wires}"
        f"  three u_fork (.clk_i, .rst_ni, .in_valid_i, .in_ready_o, .in_data_i{fork_ports});\n"
        f"  sc_spike_attention #({parameters}) u_dut (.clk_i, .rst_ni{ports},\n"
        "    .out_valid_o, .out_ready_i, .out_data_o);\n"
        "endmodule\n"
    )
    model = build("in_step", [*operator.sources, *fork.sources, top], strict=False)
    words = frames(operator, 1)
    joined = beats.pack(np.concatenate([w.reshape(-1, pe) for w in words], axis=1), steps)
    expected = packed(operator.golden(*words), operator)
    for seed, (pattern, stalls) in enumerate(STALLS.items()):
        with model.open(seed=seed + 1) as simulation:
            run = simulation.run({"in": joined}, {"out": len(expected)}, stalls=stalls, seed=seed)
        np.testing.assert_array_equal(run.outputs["out"], expected, err_msg=pattern)
        if pattern == "none":
            assert run.initiation_interval("out", tokens * operator.folds) == operator.initiation_interval()


@pytest.mark.parametrize("slow", ["q", "k", "v"])
def test_one_input_may_be_late(slow: str) -> None:
    operator = SpikeAttention.fitted(dim=8, heads=2, tokens=4, timesteps=4, pe=2)
    words = frames(operator, 2)
    with build(operator.top, operator.sources, operator.parameters()).open() as simulation:
        run = simulation.run(operator.to_beats(*words), {"out": FRAMES * 16}, gates={slow: Gate(0.02)})
    np.testing.assert_array_equal(operator.from_beats(run.outputs), operator.golden(*words))


def test_a_reset_in_the_middle_leaves_nothing_behind() -> None:
    operator = SpikeAttention.fitted(dim=8, heads=2, tokens=4, timesteps=4, pe=2)
    words = frames(operator, 2)
    streams, expected = operator.to_beats(*words), operator.golden(*words)
    with build(operator.top, operator.sources, operator.parameters()).open() as simulation:
        with pytest.raises(SimulationError, match="output out did 16 of 500 beats"):  # in the second frame
            simulation.run({n: s[:27] for n, s in streams.items()}, {"out": 500}, watchdog=400)
        simulation.reset()
        run = simulation.run(streams, {"out": FRAMES * 16})
    np.testing.assert_array_equal(operator.from_beats(run.outputs), expected)


def test_impossible_parameters_are_refused_on_both_sides() -> None:
    operator = SpikeAttention.fitted(dim=8, heads=2, tokens=4, timesteps=4, pe=2)
    with pytest.raises(ParameterError, match="dim 8 is not a multiple of heads 3"):
        replace(operator, heads=3)
    with pytest.raises(ParameterError, match="head_dim 4 is not a multiple of pe 8"):
        replace(operator, pe=8)
    with pytest.raises(ParameterError, match="dim: expected 2 to 8192, got 1"):
        replace(operator, dim=1, heads=1)
    with pytest.raises(ParameterError, match="out_width: expected 5 to 48 for counts up to 16, got 4"):
        replace(operator, out_width=4)
    for parameters, message in (
        ({"HEADS": 3}, "sc_spike_attention: DIM 8 is not a multiple of HEADS 3"),
        ({"PE": 3}, "sc_spike_attention: DIM / HEADS 4 is not a multiple of PE 3"),
        ({"T": 17}, "sc_spike_attention: T 17 is not in 1 to 16"),
        ({"OUT_WIDTH": 4}, "sc_spike_attention: OUT_WIDTH 4 does not hold counts up to TOKENS DIM / HEADS 16"),
    ):
        with pytest.raises(BuildError, match=message):
            build(operator.top, operator.sources, {**operator.parameters(), **parameters})
