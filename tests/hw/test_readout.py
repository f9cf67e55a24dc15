"""sc_readout equals z of golden.readout, beat by beat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.hw import beats
from spikeclip_fpga.hw.ops.operator import ParameterError
from spikeclip_fpga.hw.ops.readout import Readout
from spikeclip_fpga.hw.simulate import BuildError, SimulationError, build
from spikeclip_fpga.quantize import golden

from .conftest import Prover

# channels, pe, T, tokens, bits of a time weight, shift
CONFIGURATIONS = [
    (8, 2, 4, 4, 8, 4),
    (1, 1, 1, 1, 1, 0),
    (6, 3, 2, 5, 6, 3),
    (6, 6, 4, 3, 8, 5),  # one fold
    (5, 1, 3, 7, 4, 0),  # no rounding
    (12, 4, 4, 16, 8, 8),
    (7, 7, 5, 2, 9, 1),
    (4, 2, 6, 9, 3, 2),
    (9, 3, 7, 4, 8, 6),
    (96, 4, 4, 16, 8, 8),
    (48, 16, 4, 4, 10, 4),
    (4, 1, 8, 8, 8, 7),
    (4, 4, 9, 1, 8, 3),  # one token
    (2, 2, 11, 6, 12, 9),
    (2, 1, 12, 3, 2, 1),
    (3, 3, 16, 5, 8, 6),
    (3, 1, 16, 2, 5, 4),
    (10, 5, 1, 12, 16, 10),
    (2, 1, 4, 64, 8, 12),
    (16, 8, 2, 3, 20, 13),
    (24, 12, 4, 10, 7, 5),
]
FRAMES = 4


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: "-".join(map(str, c)))
def test_every_beat_equals_golden(configuration: Any, prove_operator: Prover) -> None:
    channels, pe, steps, tokens, width, shift = configuration
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    weights = [np.random.default_rng(seed).integers(low, high + 1, steps) for seed in range(5)]
    weights[0][:], weights[1][:] = low, high  # the ends of the ranges
    options = {"channels": channels, "pe": pe, "tokens": tokens, "shift": shift}
    fits = [Readout.fitted(weight, **options) for weight in weights]
    # One compilation holds the weights of all runs.
    widest = {name: max(getattr(f, name) for f in fits) for name in ("w_width", "acc_width", "out_width")}
    operator = replace(fits[0], **widest)

    def case(seed: int) -> Any:
        rng = np.random.default_rng(100 + seed)
        spikes = rng.random((FRAMES, tokens, channels, steps)) < rng.random((FRAMES, 1, 1, 1))
        words = golden.pack(spikes.astype(np.int64))
        words[0] = (1 << steps) - 1
        z = operator.golden(words, weights[seed])
        expected = beats.pack(z.reshape(-1, pe), operator.out_width)
        np.testing.assert_array_equal(operator.from_beats({"out": expected}), z)
        return operator.files(weights[seed]), operator.to_beats(words), {"out": expected}

    run = prove_operator(operator, case)["none"]
    assert run.latency("in", "out") == operator.latency()
    assert (run.frame_intervals("out", operator.folds) == operator.initiation_interval()).all()


def test_a_reset_in_the_middle_leaves_nothing_behind() -> None:
    weight = np.array([5, -3, 7])
    operator = Readout.fitted(weight, channels=4, pe=2, tokens=3, shift=2)
    words = np.random.default_rng(0).integers(0, 8, (5, 3, 4)).astype(np.uint16)
    streams, expected = operator.to_beats(words), operator.golden(words, weight)
    model = build(operator.top, operator.sources, operator.parameters())
    with model.open(operator.files(weight)) as simulation:
        with pytest.raises(SimulationError, match="output out did 3 of 500 beats"):  # stops within a token
            simulation.run({"in": streams["in"][:11]}, {"out": 500}, watchdog=50)
        simulation.reset()
        run = simulation.run(streams, {"out": 10})
    np.testing.assert_array_equal(operator.from_beats(run.outputs), expected)


def test_impossible_parameters_are_refused_on_both_sides() -> None:
    weight = np.array([5, -3, 7, 1])
    operator = Readout.fitted(weight, channels=8, pe=2, tokens=4, shift=4)
    with pytest.raises(ParameterError, match="channels 8 is not a multiple of pe 3"):
        replace(operator, pe=3)
    with pytest.raises(ParameterError, match="timesteps: expected 1 to 16, got 17"):
        replace(operator, timesteps=17)
    with pytest.raises(ParameterError, match="tokens: expected 1 to 65536, got 0"):
        replace(operator, tokens=0)
    with pytest.raises(ParameterError, match=r"time_weight: expected \(4,\), got \(3,\)"):
        operator.files(weight[:3])
    with pytest.raises(ParameterError, match="time_weight needs w_width 6, w_width is 4"):
        operator.files(weight * 4)
    for parameters, message in (
        ({"PE": 3}, "sc_readout: CHANNELS 8 is not a multiple of PE 3"),
        ({"T": 17}, "sc_readout: T 17 is not in 1 to 16"),
        ({"OUT_WIDTH": 9}, "sc_readout: OUT_WIDTH 9 is above ACC_WIDTH 7 - SHIFT 4"),
    ):
        with pytest.raises(BuildError, match=message):
            build(operator.top, operator.sources, {**operator.parameters(), **parameters})
