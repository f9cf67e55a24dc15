"""sc_spike_mvau equals golden.spike_linear and the matrix of golden.spike_conv, beat by beat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.hw.ops.operator import ParameterError
from spikeclip_fpga.hw.ops.spike_mvau import SpikeMvau
from spikeclip_fpga.hw.simulate import BuildError, build
from spikeclip_fpga.quantize import golden

from .conftest import Prover

# mw, mh, simd, pe, T, bits of a weight, levels
CONFIGURATIONS = [
    (12, 8, 4, 2, 4, 4, 2),
    (1, 1, 1, 1, 1, 2, 2),
    (4, 4, 1, 1, 1, 4, 2),
    (4, 6, 4, 1, 4, 3, 1),  # SF 1: a vector in one beat
    (6, 4, 3, 4, 4, 4, 2),  # NF 1: nothing to replay
    (8, 8, 8, 8, 2, 4, 3),  # SF 1, NF 1
    (6, 5, 3, 1, 3, 5, 0),  # a tree without registers
    (10, 6, 5, 3, 5, 4, 1),
    (14, 4, 7, 2, 4, 8, 2),
    (18, 2, 9, 1, 4, 2, 2),
    (20, 9, 2, 3, 6, 6, 4),
    (27, 8, 3, 4, 4, 4, 2),
    (36, 12, 12, 4, 4, 4, 2),
    (11, 7, 11, 7, 4, 4, 2),
    (13, 3, 1, 3, 7, 7, 2),
    (16, 16, 8, 2, 8, 4, 2),
    (24, 6, 6, 3, 8, 3, 1),
    (33, 4, 11, 1, 9, 4, 2),
    (8, 4, 2, 2, 16, 4, 2),
    (12, 3, 4, 1, 16, 8, 1),
    (96, 96, 32, 8, 4, 4, 2),
    (108, 24, 12, 2, 4, 4, 2),
    (64, 10, 16, 5, 4, 4, 3),
    (2, 40, 1, 1, 2, 4, 2),
]
VECTORS = 12


def pack_currents(currents: np.ndarray, operator: SpikeMvau) -> np.ndarray:
    """Return golden's currents (vectors, MH*T) as beats, independently of the operator's own adapters."""
    width, fields = operator.acc_width, operator.pe * operator.timesteps
    words = -(-width * fields // 32)
    beats = []
    for row in currents.reshape(-1, fields):
        number = sum((int(v) % (1 << width)) << (i * width) for i, v in enumerate(row))
        beats.append([number >> (32 * i) & 0xFFFFFFFF for i in range(words)])
    return np.array(beats, np.uint32)


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: "-".join(map(str, c)))
def test_every_beat_equals_golden(configuration: Any, prove_operator: Prover) -> None:
    mw, mh, simd, pe, steps, width, levels = configuration
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    matrices = [np.random.default_rng(seed).integers(low, high + 1, (mh, mw)) for seed in range(5)]
    matrices[0][0], matrices[0][-1] = low, high  # the widest accumulators there are
    fits = [SpikeMvau.fitted(m, simd=simd, pe=pe, timesteps=steps, w_width=width, levels=levels) for m in matrices]
    operator = replace(fits[0], acc_width=max(f.acc_width for f in fits))

    def case(seed: int) -> Any:
        rng = np.random.default_rng(100 + seed)
        words = golden.pack((rng.random((VECTORS, mw, steps)) < rng.random((VECTORS, 1, 1))).astype(np.int64))
        words[0], words[1] = 0, (1 << steps) - 1
        currents = operator.golden(words, matrices[seed])
        expected = pack_currents(currents, operator)
        np.testing.assert_array_equal(operator.from_beats({"out": expected}), currents)
        return operator.files(matrices[seed]), operator.to_beats(words), {"out": expected}

    run = prove_operator(operator, case)["none"]
    assert run.latency("in", "out") == operator.latency()
    assert (run.frame_intervals("out", operator.nf) == operator.initiation_interval()).all()


def test_a_convolution_is_windows_times_the_matrix(prove_operator: Prover) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-8, 8, (6, 3, 3, 4))
    image = golden.pack(rng.integers(0, 2, (1, 5, 6, 4, 4)))
    operator = SpikeMvau.fitted(weight, simd=4, pe=3, timesteps=4)
    padded = np.pad(image[0], ((1, 1), (1, 1), (0, 0)))
    windows = np.array([padded[y : y + 3, x : x + 3].ravel() for y in range(5) for x in range(6)])
    currents = golden.spike_conv(image, weight, pad=1, timesteps=4).reshape(30, -1)
    streams = operator.to_beats(windows)
    prove_operator(operator, lambda _: (operator.files(weight), streams, {"out": pack_currents(currents, operator)}))


def test_impossible_parameters_are_refused_on_both_sides() -> None:
    weight = np.random.default_rng(0).integers(-8, 8, (8, 12))
    operator = SpikeMvau.fitted(weight, simd=4, pe=2, timesteps=4)
    with pytest.raises(ParameterError, match="mw 12 is not a multiple of simd 5"):
        replace(operator, simd=5)
    with pytest.raises(ParameterError, match="mh 8 is not a multiple of pe 0"):
        replace(operator, pe=0)
    with pytest.raises(ParameterError, match=r"weight: expected \(8, 12\), got \(12, 8\)"):
        operator.files(weight.T)
    with pytest.raises(ParameterError, match="weights need 6 bits, w_width is 4"):
        operator.files(weight * 4)
    with pytest.raises(ParameterError, match="accumulators need"):
        operator.files(np.full((8, 12), 7))
    for parameters, message in (
        ({"SIMD": 5}, "sc_spike_mvau: MW 12 is not a multiple of SIMD 5"),
        ({"PE": 3}, "sc_spike_mvau: MH 8 is not a multiple of PE 3"),
        ({"T": 0}, "sc_spike_mvau: T 0 is not in 1 to 16"),
    ):
        with pytest.raises(BuildError, match=message):
            build(operator.top, operator.sources, {**operator.parameters(), **parameters})
