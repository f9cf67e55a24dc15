"""How every operator is compared with golden: all stall patterns, frames back to back, cycles measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spikeclip_fpga.hw.ops.operator import Operator
from spikeclip_fpga.hw.simulate import STALLS, Run, build

# (seed) -> ROM files, input streams, expected output streams
Case = Callable[[int], tuple[dict[str, str], dict[str, np.ndarray], dict[str, np.ndarray]]]
Prover = Callable[..., dict[str, Run]]


def prove(operator: Operator, case: Case, *, optimise: str = "-O1") -> dict[str, Run]:
    """Compare one compiled operator with golden's beats under every stall pattern, each with its own data.

    Every instance runs twice without a reset between. Returns the first run of each pattern.
    """
    model = build(operator.top, operator.sources, operator.parameters(), optimise=optimise)
    for name, width in {**operator.input_widths(), **operator.output_widths()}.items():
        assert model.width(name) == width
    runs = {}
    for seed, (pattern, stalls) in enumerate(STALLS.items()):
        files, inputs, expected = case(seed)
        with model.open(files, seed=seed + 1) as simulation:
            for again in range(2):
                counts = {name: len(beats) for name, beats in expected.items()}
                run = simulation.run(inputs, counts, stalls=stalls, seed=10 * seed + again)
                for name, beats in expected.items():
                    np.testing.assert_array_equal(run.outputs[name], beats, err_msg=f"{pattern}: {name}")
                runs.setdefault(pattern, run)
    return runs


@pytest.fixture
def prove_operator() -> Prover:
    """Return :func:`prove`."""
    return prove
