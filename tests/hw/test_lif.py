"""sc_lif equals golden.lif, beat by beat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.hw.ops.lif import Lif
from spikeclip_fpga.hw.ops.operator import ParameterError
from spikeclip_fpga.hw.simulate import BuildError, SimulationError, build

from .conftest import Prover

# channels, pe, T, bits of a current, frac_bits, leak_k, leak_n, reset, broadcast
CONFIGURATIONS: list[tuple[int, int, int, int, int, int, int, str, bool]] = [
    (8, 2, 4, 8, 4, 29, 5, "subtract", False),
    (8, 8, 4, 8, 4, 29, 5, "subtract", True),
    (1, 1, 1, 2, 0, 0, 0, "subtract", False),
    (3, 1, 1, 11, 4, 29, 5, "zero", True),
    (6, 3, 2, 5, 3, 1, 1, "zero", False),
    (6, 2, 2, 9, 0, 1, 0, "subtract", False),
    (5, 5, 3, 7, 2, 24, 5, "subtract", False),
    (12, 4, 3, 12, 6, 230, 8, "subtract", True),
    (7, 1, 5, 6, 4, 29, 5, "zero", False),
    (4, 2, 5, 10, 1, 16, 5, "subtract", False),
    (10, 5, 6, 8, 4, 3, 2, "subtract", False),
    (9, 3, 7, 4, 5, 7, 3, "zero", True),
    (16, 16, 4, 9, 4, 29, 5, "subtract", False),
    (96, 8, 4, 11, 4, 29, 5, "subtract", False),
    (48, 4, 4, 13, 4, 29, 5, "subtract", True),
    (4, 1, 8, 8, 4, 29, 5, "subtract", False),
    (4, 4, 8, 8, 4, 32, 5, "zero", False),
    (6, 2, 9, 7, 3, 0, 5, "subtract", False),
    (2, 2, 11, 15, 4, 341, 9, "subtract", False),
    (2, 1, 12, 8, 2, 29, 5, "zero", True),
    (3, 3, 16, 8, 4, 29, 5, "subtract", False),
    (2, 2, 16, 5, 0, 13, 4, "zero", False),
    (4, 2, 16, 6, 4, 29, 5, "subtract", True),
    (2, 1, 4, 20, 10, 1001, 10, "subtract", False),
]
POSITIONS = 40


def constants(rng: np.random.Generator, channels: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    threshold = rng.integers(1, max(2, high), channels)
    bias = rng.integers(-high // 4 - 1, high // 4 + 1, channels)
    return threshold, bias


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: "-".join(map(str, c)))
def test_every_beat_equals_golden(configuration: Any, prove_operator: Prover) -> None:
    channels, pe, steps, width, frac_bits, leak_k, leak_n, reset, broadcast = configuration
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    options: dict[str, Any] = {
        **{"pe": pe, "timesteps": steps, "low": low, "high": high, "frac_bits": frac_bits},
        **{"leak_k": leak_k, "leak_n": leak_n, "reset": reset, "broadcast": broadcast},
    }
    pairs = [constants(np.random.default_rng(seed), channels, (high + 1) << frac_bits) for seed in range(5)]
    fits = [Lif.fitted(*pair, **options) for pair in pairs]
    # One compilation holds the constants of all runs.
    widest = {name: max(getattr(f, name) for f in fits) for name in ("threshold_width", "bias_width", "membrane_width")}
    operator = replace(fits[0], **widest)
    rates = []

    def case(seed: int) -> Any:
        threshold, bias = pairs[seed]
        rng = np.random.default_rng(100 + seed)
        currents = rng.integers(low, high + 1, (POSITIONS, channels * operator.input_steps))
        currents[:2], currents[2:4] = low, high  # the ends of the ranges
        words = operator.golden(currents, threshold, bias)
        rates.append(np.bitwise_count(words).mean() / steps)
        streams = operator.to_beats(currents)
        np.testing.assert_array_equal(operator.from_beats({"out": pack_words(words, operator)}), words)
        return operator.files(threshold, bias), streams, {"out": pack_words(words, operator)}

    runs = prove_operator(operator, case)
    assert 0.02 < np.mean(rates) < 0.98
    assert runs["none"].latency("in", "out") == operator.latency()
    assert (runs["none"].frame_intervals("out", operator.folds) == operator.initiation_interval()).all()


def pack_words(words: np.ndarray, operator: Lif) -> np.ndarray:
    """Return golden's words (positions, C) as beats, independently of the operator's own adapters."""
    out = np.zeros((words.size // operator.pe, operator.pe * operator.timesteps), np.uint8)
    for beat, row in enumerate(words.reshape(-1, operator.pe)):
        for p, word in enumerate(row):
            for t in range(operator.timesteps):
                out[beat, p * operator.timesteps + t] = int(word) >> t & 1
    spare = -out.shape[1] % 32
    return np.packbits(np.pad(out, ((0, 0), (0, spare))), axis=1, bitorder="little").view("<u4")


def test_a_reset_in_the_middle_leaves_nothing_behind() -> None:
    threshold, bias = np.array([20, 30, 40, 50]), np.array([1, -2, 3, -4])
    operator = Lif.fitted(threshold, bias, pe=1, timesteps=3, low=-8, high=7)
    currents = np.random.default_rng(0).integers(-8, 8, (9, 12))
    streams, expected = operator.to_beats(currents), operator.golden(currents, threshold, bias)
    model = build(operator.top, operator.sources, operator.parameters())
    with model.open(operator.files(threshold, bias)) as simulation:
        with pytest.raises(SimulationError, match="output out did 5 of 500 beats"):  # stops within a position
            simulation.run({"in": streams["in"][:5]}, {"out": 500}, watchdog=50)
        simulation.reset()
        run = simulation.run(streams, {"out": 36})
    np.testing.assert_array_equal(operator.from_beats(run.outputs), expected)


def test_impossible_parameters_are_refused_on_both_sides() -> None:
    threshold, bias = np.arange(1, 9), np.zeros(8, np.int64)
    operator = Lif.fitted(threshold, bias, pe=2, timesteps=4, low=-8, high=7)
    with pytest.raises(ParameterError, match="channels 8 is not a multiple of pe 3"):
        replace(operator, pe=3)
    with pytest.raises(ParameterError, match="timesteps: expected 1 to 16, got 17"):
        replace(operator, timesteps=17)
    with pytest.raises(ParameterError, match="leak_k: expected 0 to 32, got 33"):
        replace(operator, leak_k=33)
    with pytest.raises(ParameterError, match="threshold needs 10 bits, threshold_width is 5"):
        operator.files(threshold + 300, bias)
    for parameters, message in (
        ({"PE": 3}, "sc_lif: CHANNELS 8 is not a multiple of PE 3"),
        ({"T": 17}, "sc_lif: T 17 is not in 1 to 16"),
        ({"LEAK_K": 33}, "sc_scale_floor: K 33 is above 2\\^N = 32"),
    ):
        with pytest.raises(BuildError, match=message):
            build(operator.top, operator.sources, {**operator.parameters(), **parameters})
