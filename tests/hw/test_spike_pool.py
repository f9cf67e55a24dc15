"""sc_spike_pool equals golden.or_pool and golden.max_pool, beat by beat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.hw import beats
from spikeclip_fpga.hw.ops.operator import ParameterError
from spikeclip_fpga.hw.ops.spike_pool import SpikePool
from spikeclip_fpga.hw.simulate import BuildError, SimulationError, build

from .conftest import Prover

# channels, pe, T, height, width, mode, bits of a value, kernel, stride, pad
CONFIGURATIONS: list[tuple[int, int, int, int, int, str, int, int, int, int]] = [
    (8, 2, 4, 8, 8, "or", 1, 2, 2, 0),
    (8, 2, 4, 8, 8, "max", 9, 2, 2, 0),
    (1, 1, 1, 1, 1, "or", 1, 1, 1, 0),
    (1, 1, 1, 1, 1, "max", 1, 1, 1, 0),
    (2, 1, 1, 1, 1, "max", 4, 2, 1, 1),  # every window is mostly padding
    (6, 3, 4, 5, 7, "or", 1, 3, 2, 1),
    (6, 3, 4, 5, 7, "max", 7, 3, 2, 1),
    (4, 4, 1, 6, 6, "max", 12, 3, 2, 1),  # one fold, a static map
    (24, 4, 1, 8, 8, "max", 13, 2, 2, 0),
    (3, 1, 2, 4, 6, "max", 5, 2, 2, 1),
    (5, 1, 3, 6, 4, "max", 8, 3, 1, 1),
    (5, 5, 3, 6, 4, "or", 1, 3, 1, 1),
    (4, 2, 5, 7, 5, "max", 3, 3, 3, 2),
    (4, 2, 16, 4, 4, "or", 1, 2, 1, 0),
    (2, 1, 16, 4, 4, "max", 6, 2, 1, 1),
    (9, 3, 8, 3, 3, "or", 1, 3, 1, 0),
    (2, 2, 6, 9, 4, "max", 10, 4, 3, 1),
    (2, 1, 7, 5, 9, "max", 20, 2, 3, 0),  # some of the map is in no window
    (3, 3, 2, 6, 5, "max", 2, 3, 4, 2),
    (12, 6, 4, 4, 4, "or", 1, 2, 2, 0),
    (10, 5, 9, 4, 2, "max", 4, 2, 2, 0),
    (4, 1, 4, 7, 7, "max", 11, 5, 2, 2),
    (2, 1, 1, 3, 8, "max", 48, 3, 2, 2),
]
FRAMES = 3


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: "-".join(map(str, c)))
def test_every_beat_equals_golden(configuration: Any, prove_operator: Prover) -> None:
    operator = SpikePool(*configuration)
    steps, width = operator.timesteps, operator.in_width
    shape = (FRAMES, operator.height, operator.width, operator.channels)

    def case(seed: int) -> Any:
        rng = np.random.default_rng(seed)
        if operator.mode == "or":
            maps = np.bitwise_and.reduce(rng.integers(0, 1 << steps, (3, *shape))).astype(np.uint16)
            pooled = operator.golden(maps)
            expected = beats.pack(pooled.reshape(-1, operator.pe), steps)
        else:
            low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
            maps = rng.integers(low, high + 1, (*shape[:3], operator.channels * steps))
            maps[0] = -np.abs(maps[0])  # padding with 0 would win
            maps[0] = np.maximum(maps[0], low)
            maps[1, 0] = low
            pooled = operator.golden(maps)
            expected = beats.pack(pooled.reshape(-1, operator.pe * steps), width)
        np.testing.assert_array_equal(operator.from_beats({"out": expected}), pooled)
        return {}, operator.to_beats(maps), {"out": expected}

    run = prove_operator(operator, case)["none"]
    assert run.latency("in", "out") == operator.latency()
    assert (run.frame_intervals("out", operator.folds) == operator.initiation_interval()).all()


def test_the_window_order_is_that_of_finns_generator() -> None:
    """qonnx's Im2Col, then the interleaving FINN does for depthwise generators."""
    im2col = pytest.importorskip("qonnx.custom_op.general.im2col", reason="pip install qonnx")
    operator = SpikePool(6, 2, 1, 4, 6, mode="max", in_width=8, kernel=3, stride=2, pad=1)
    maps = np.random.default_rng(0).integers(-128, 128, (2, 4, 6, 6))
    columns = im2col.im2col_indices_nchw(maps.transpose(0, 3, 1, 2), 4, 6, 3, 3, (1, 1, 1, 1), 2, 2)
    # (C*k*k, B*H'*W') of one image after the other -> (B, H', W', C/PE, PE, k*k)
    rows, wide = operator.output_size
    windows = columns.reshape(3, 2, 9, rows, wide, 2).transpose(5, 3, 4, 0, 2, 1)
    np.testing.assert_array_equal(operator.to_beats(maps)["in"], beats.pack(windows.reshape(-1, 2), 8))


def test_a_reset_in_the_middle_leaves_nothing_behind() -> None:
    operator = SpikePool(4, 2, 2, 5, 5, mode="max", in_width=6, kernel=3, stride=2, pad=1)
    maps = np.random.default_rng(0).integers(-32, 0, (2, 5, 5, 8))
    streams, expected = operator.to_beats(maps), operator.golden(maps)
    model = build(operator.top, operator.sources, operator.parameters())
    with model.open() as simulation:
        with pytest.raises(SimulationError, match="output out did 4 of 500 beats"):  # stops within a window
            simulation.run({"in": streams["in"][:41]}, {"out": 500}, watchdog=50)
        simulation.reset()
        run = simulation.run(streams, {"out": expected.size // 4})
    np.testing.assert_array_equal(operator.from_beats(run.outputs), expected)


def test_impossible_parameters_are_refused_on_both_sides() -> None:
    operator = SpikePool(8, 2, 4, 6, 6)
    with pytest.raises(ParameterError, match="channels 8 is not a multiple of pe 3"):
        replace(operator, pe=3)
    with pytest.raises(ParameterError, match="in_width: expected 1 to 1, got 4"):
        replace(operator, in_width=4)
    with pytest.raises(ParameterError, match="pad: expected 0 to 1, got 2"):
        replace(operator, pad=2)
    with pytest.raises(ParameterError, match="height: expected 7 to 4096, got 6"):
        replace(operator, kernel=7)
    with pytest.raises(ParameterError, match="mode: expected or or max, got mean"):
        replace(operator, mode="mean")
    for parameters, message in (
        ({"PE": 3}, "sc_spike_pool: CHANNELS 8 is not a multiple of PE 3"),
        ({"T": 17}, "sc_spike_pool: T 17 is not in 1 to 16"),
        ({"IN_WIDTH": 4}, "sc_spike_pool: IN_WIDTH 4: spikes have 1 bit, MAXIMUM is 0"),
        ({"PAD": 2}, "sc_spike_pool: PAD 2 is not below KERNEL 2"),
        ({"KERNEL": 7}, "sc_spike_pool: KERNEL 7 is above the padded map's 6 x 6"),
    ):
        with pytest.raises(BuildError, match=message):
            build(operator.top, operator.sources, {**operator.parameters(), **parameters})
