"""sc_fork gives every output every beat, in order, whichever of them stalls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.hw.ops.fork import Fork
from spikeclip_fpga.hw.ops.operator import ParameterError
from spikeclip_fpga.hw.simulate import STALLS, BuildError, Gate, Model, SimulationError, build

# outputs, bits of a beat
CONFIGURATIONS = [
    *((2, width) for width in (1, 7, 8, 16, 32, 33, 96)),
    *((3, width) for width in (1, 8, 16, 31, 64, 200)),
    *((4, width) for width in (2, 24, 65, 128)),
    *((5, 12), (6, 48), (7, 9), (16, 8)),
]
BEATS = 300


def wrapped(operator: Fork, folder: Path) -> Model:
    """Compile the fork with a named stream for each output, as the bench needs."""
    path = folder / "fork_wrapper.sv"
    path.write_text(operator.wrapper("fork_wrapper"))
    return build("fork_wrapper", [*operator.sources, path])


def stream(operator: Fork, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    line = rng.integers(0, 2, (BEATS, operator.width), np.uint8)
    packed = np.packbits(np.pad(line, ((0, 0), (0, -operator.width % 32))), axis=1, bitorder="little")
    return packed.view("<u4").astype(np.uint32)


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: "-".join(map(str, c)))
def test_every_output_gets_every_beat(configuration: tuple[int, int], tmp_path: Path) -> None:
    operator = Fork(*configuration)
    model = wrapped(operator, tmp_path)
    for name, width in {**operator.input_widths(), **operator.output_widths()}.items():
        assert model.width(name) == width
    counts = dict.fromkeys(operator.output_widths(), BEATS)
    for seed, (pattern, stalls) in enumerate(STALLS.items()):
        data = stream(operator, seed)
        with model.open(seed=seed + 1) as simulation:
            for again in range(2):
                run = simulation.run({"in": data}, counts, stalls=stalls, seed=10 * seed + again)
                for name, beats in operator.golden(data).items():
                    np.testing.assert_array_equal(run.outputs[name], beats, err_msg=f"{pattern}: {name}")
                if pattern == "none":
                    for name in counts:
                        assert run.latency("in", name) == operator.latency()
                        assert (run.frame_intervals(name, 1) == operator.initiation_interval()).all()


def test_each_output_may_be_the_slow_one(tmp_path: Path) -> None:
    operator = Fork(3, 16)
    model, data = wrapped(operator, tmp_path), stream(operator, 0)
    for slow in operator.output_widths():
        with model.open() as simulation:
            run = simulation.run({"in": data}, dict.fromkeys(operator.output_widths(), BEATS), gates={slow: Gate(0.2)})
        for name in operator.output_widths():
            np.testing.assert_array_equal(run.outputs[name], data)
            # The others are at most one beat ahead.
            assert (run.moved[name] <= run.moved[slow]).all() and (run.moved[name][1:] > run.moved[slow][:-1]).all()


def test_an_output_that_never_takes_a_beat_lets_the_others_have_it(tmp_path: Path) -> None:
    operator = Fork(3, 16)
    data, counts = stream(operator, 0)[:4], dict.fromkeys(operator.output_widths(), 4)
    stuck = "input in did 1 of 4 beats, output out0 did 1 of 4 beats, output out1 did 0 of 4 beats, output out2 did 1"
    with wrapped(operator, tmp_path).open() as simulation:
        with pytest.raises(SimulationError, match=stuck):
            simulation.run({"in": data}, counts, gates={"out1": Gate(1e-9)}, watchdog=40)
        simulation.reset()
        run = simulation.run({"in": data}, counts)
    np.testing.assert_array_equal(run.outputs["out1"], data)


def test_impossible_parameters_are_refused_on_both_sides() -> None:
    operator = Fork(2, 8)
    with pytest.raises(ParameterError, match="outputs: expected 2 to 16, got 1"):
        replace(operator, outputs=1)
    with pytest.raises(ParameterError, match="width: expected 1 to 8192, got 0"):
        replace(operator, width=0)
    with pytest.raises(BuildError, match="sc_fork: OUTPUTS 1 is below 2 or WIDTH 8 below 1"):
        build(operator.top, operator.sources, {"OUTPUTS": 1, "WIDTH": 8})
