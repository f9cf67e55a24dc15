"""sc_align equals golden.align, beat by beat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.hw import beats
from spikeclip_fpga.hw.ops.align import Align
from spikeclip_fpga.hw.ops.operator import ParameterError
from spikeclip_fpga.hw.simulate import BuildError, SimulationError, build

from .conftest import Prover

# channels, pe, T, bits of a current, bits of a bias, least shift, most shift
CONFIGURATIONS = [
    (8, 2, 4, 8, 8, 0, 3),
    (1, 1, 1, 1, 1, 0, 0),
    (8, 8, 4, 8, 6, 2, 2),  # one shift: no shifters
    (6, 3, 2, 5, 9, 0, 1),
    (6, 2, 3, 9, 4, 1, 2),
    (5, 5, 5, 7, 12, 0, 7),
    (12, 4, 3, 12, 5, 3, 6),
    (7, 1, 6, 6, 3, 5, 5),
    (4, 2, 7, 10, 16, 0, 4),
    (9, 3, 8, 4, 20, 0, 10),  # a bias wider than any current
    (96, 8, 4, 11, 10, 0, 3),
    (48, 4, 4, 13, 8, 2, 4),
    (4, 1, 9, 2, 2, 0, 2),
    (4, 4, 12, 8, 7, 4, 8),
    (2, 2, 16, 15, 11, 0, 5),
    (3, 1, 16, 3, 14, 1, 1),
    (10, 5, 1, 20, 18, 0, 12),
    (3, 3, 1, 16, 8, 0, 0),
    (2, 1, 11, 1, 6, 0, 15),
    (16, 16, 4, 9, 9, 0, 3),
    (24, 6, 2, 30, 2, 0, 6),
]
POSITIONS = 20


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: "-".join(map(str, c)))
def test_every_beat_equals_golden(configuration: Any, prove_operator: Prover) -> None:
    channels, pe, steps, width, bias_width, least, most = configuration
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1

    def constants(seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        shift = rng.integers(least, most + 1, channels)
        bias = rng.integers(-(1 << (bias_width - 1)), 1 << (bias_width - 1), channels)
        if seed == 0:
            shift[0], shift[-1] = least, most
            bias[0] = -(1 << (bias_width - 1))
        return shift, bias

    options: dict[str, Any] = {"pe": pe, "timesteps": steps, "low": low, "high": high}
    fits = [Align.fitted(*constants(seed), **options) for seed in range(5)]
    # One compilation holds the constants of all runs.
    names = ("bias_width", "extra_width", "out_width")
    operator = replace(fits[0], shift=least, **{name: max(getattr(f, name) for f in fits) for name in names})
    operator = replace(operator, extra_width=max(operator.extra_width, (most - least).bit_length()))

    def case(seed: int) -> Any:
        shift, bias = constants(seed)
        currents = np.random.default_rng(100 + seed).integers(low, high + 1, (POSITIONS, channels * steps))
        currents[0], currents[1] = low, high
        aligned = operator.golden(currents, shift, bias)
        expected = beats.pack(aligned.reshape(-1, pe * steps), operator.out_width)
        np.testing.assert_array_equal(operator.from_beats({"out": expected}), aligned)
        return operator.files(shift, bias), operator.to_beats(currents), {"out": expected}

    run = prove_operator(operator, case)["none"]
    assert run.latency("in", "out") == operator.latency()
    assert (run.frame_intervals("out", operator.folds) == operator.initiation_interval()).all()


def test_a_reset_in_the_middle_leaves_nothing_behind() -> None:
    shift, bias = np.array([0, 1, 2, 3]), np.array([1, -2, 3, -4])
    operator = Align.fitted(shift, bias, pe=1, timesteps=3, low=-8, high=7)
    currents = np.random.default_rng(0).integers(-8, 8, (9, 12))
    streams, expected = operator.to_beats(currents), operator.golden(currents, shift, bias)
    model = build(operator.top, operator.sources, operator.parameters())
    with model.open(operator.files(shift, bias)) as simulation:
        with pytest.raises(SimulationError, match="output out did 5 of 500 beats"):  # stops within a position
            simulation.run({"in": streams["in"][:5]}, {"out": 500}, watchdog=50)
        simulation.reset()
        run = simulation.run(streams, {"out": 36})
    np.testing.assert_array_equal(operator.from_beats(run.outputs), expected)


def test_impossible_parameters_are_refused_on_both_sides() -> None:
    shift, bias = np.arange(8) % 4, np.arange(8)
    operator = Align.fitted(shift, bias, pe=2, timesteps=4, low=-8, high=7)
    with pytest.raises(ParameterError, match="channels 8 is not a multiple of pe 3"):
        replace(operator, pe=3)
    with pytest.raises(ParameterError, match="timesteps: expected 1 to 16, got 17"):
        replace(operator, timesteps=17)
    with pytest.raises(ParameterError, match="shift: expected 0 to 3, got 1 to 4"):
        operator.files(shift + 1, bias)
    with pytest.raises(ParameterError, match="bias needs 6 bits, bias_width is 4"):
        operator.files(shift, bias + 20)
    with pytest.raises(ParameterError, match=r"bias: expected \(8,\), got \(4,\)"):
        operator.files(shift, bias[:4])
    for parameters, message in (
        ({"PE": 3}, "sc_align: CHANNELS 8 is not a multiple of PE 3"),
        ({"T": 17}, "sc_align: T 17 is not in 1 to 16"),
        ({"OUT_WIDTH": 3}, "sc_align: OUT_WIDTH 3 holds neither IN_WIDTH \\+ SHIFT 4 nor BIAS_WIDTH 4"),
    ):
        with pytest.raises(BuildError, match=message):
            build(operator.top, operator.sources, {**operator.parameters(), **parameters})
