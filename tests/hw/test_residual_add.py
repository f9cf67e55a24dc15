"""sc_residual_add equals golden.add, beat by beat, however apart its two inputs come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.hw import beats
from spikeclip_fpga.hw.ops.operator import ParameterError
from spikeclip_fpga.hw.ops.residual_add import ResidualAdd
from spikeclip_fpga.hw.simulate import BuildError, Gate, SimulationError, build

from .conftest import Prover

# channels, pe, T, bits of a, of b, of the sum
CONFIGURATIONS = [
    (8, 2, 4, 8, 8, 9),
    (1, 1, 1, 1, 1, 2),
    (6, 3, 2, 5, 9, 10),
    (6, 2, 3, 9, 4, 10),
    (5, 5, 5, 7, 12, 13),
    (12, 4, 3, 12, 5, 13),
    (7, 1, 6, 6, 3, 7),
    (4, 2, 7, 10, 16, 17),
    (9, 3, 8, 4, 20, 21),
    (96, 8, 4, 11, 10, 12),
    (48, 4, 4, 13, 13, 14),
    (4, 1, 9, 2, 2, 3),
    (4, 4, 12, 8, 7, 9),
    (2, 2, 16, 15, 11, 16),
    (3, 1, 16, 3, 14, 15),
    (10, 5, 1, 20, 18, 21),
    (3, 3, 1, 16, 8, 17),
    (2, 1, 11, 1, 6, 7),
    (16, 16, 4, 9, 9, 10),
    (24, 6, 2, 30, 2, 31),
    (8, 4, 4, 8, 12, 10),  # the caller proves that sums need less than b's range
]
POSITIONS = 30


def operands(operator: ResidualAdd, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    limit = 1 << (operator.out_width - 1)
    halves = [min(limit // 2, 1 << (width - 1)) for width in (operator.a_width, operator.b_width)]
    ends = [(-half, half) for half in halves]
    a, b = (rng.integers(*end, (POSITIONS, operator.channels * operator.timesteps)) for end in ends)
    for i in range(2):
        a[i], b[i] = ends[0][i] - i, ends[1][i] - i
    return a, b


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: "-".join(map(str, c)))
def test_every_beat_equals_golden(configuration: Any, prove_operator: Prover) -> None:
    operator = ResidualAdd(*configuration)

    def case(seed: int) -> Any:
        a, b = operands(operator, seed)
        total = operator.golden(a, b)
        expected = beats.pack(total.reshape(-1, operator.lanes), operator.out_width)
        np.testing.assert_array_equal(operator.from_beats({"out": expected}), total)
        return {}, operator.to_beats(a, b), {"out": expected}

    run = prove_operator(operator, case)["none"]
    assert run.latency("a", "out") == run.latency("b", "out") == operator.latency()
    assert (run.frame_intervals("out", operator.folds) == operator.initiation_interval()).all()


@pytest.mark.parametrize("slow", ["a", "b"])
def test_one_input_waits_for_the_other(slow: str) -> None:
    operator = ResidualAdd(*CONFIGURATIONS[0])
    a, b = operands(operator, 0)
    model = build(operator.top, operator.sources, operator.parameters())
    with model.open() as simulation:
        run = simulation.run(
            operator.to_beats(a, b), {"out": a.size // operator.lanes}, gates={slow: Gate(0.1), "out": Gate(0.7)}
        )
        np.testing.assert_array_equal(operator.from_beats(run.outputs), operator.golden(a, b))
        # A beat of the fast input is taken before the slow one has come; then the sum waits.
        streams = {"a": operator.to_beats(a, b)["a"][:3], "b": operator.to_beats(a, b)["b"][:3]}
        streams[slow] = streams[slow][:1]
        with pytest.raises(
            SimulationError, match=f"input {'b' if slow == 'a' else 'a'} did 2 of 3 beats, output out did 1"
        ):
            simulation.run(streams, {"out": 3}, watchdog=50)


def test_impossible_parameters_are_refused_on_both_sides() -> None:
    operator = ResidualAdd(*CONFIGURATIONS[0])
    with pytest.raises(ParameterError, match="channels 8 is not a multiple of pe 3"):
        replace(operator, pe=3)
    with pytest.raises(ParameterError, match="timesteps: expected 1 to 16, got 0"):
        replace(operator, timesteps=0)
    with pytest.raises(ParameterError, match="out_width: expected 8 or more, got 7"):
        replace(operator, out_width=7)
    for parameters, message in (
        ({"LANES": 0}, "sc_residual_add: LANES 0 is below 1"),
        ({"OUT_WIDTH": 7}, "sc_residual_add: OUT_WIDTH 7 holds neither A_WIDTH 8 nor B_WIDTH 8"),
    ):
        with pytest.raises(BuildError, match=message):
            build(operator.top, operator.sources, {**operator.parameters(), **parameters})
