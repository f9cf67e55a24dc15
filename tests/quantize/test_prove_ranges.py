"""The proven ranges are true bounds, and not far from what some input reaches."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.model.config import ModelConfig
from spikeclip_fpga.quantize.export import to_qonnx
from spikeclip_fpga.quantize.lower import lower, to_network
from spikeclip_fpga.quantize.network import Node
from spikeclip_fpga.quantize.passes.prove_ranges import integer_type
from spikeclip_fpga.quantize.qat import QatSpikeCLIP
from spikeclip_fpga.quantize.ranges import membrane, signed_bits


def membranes(drives: tuple[int, ...], threshold: int, leak_k: int, leak_n: int, subtract: bool) -> list[int]:
    """Return the membrane at each step."""
    v = s = 0
    out = []
    for drive in drives:
        leaked = floor(Fraction(leak_k * v, 2**leak_n))
        v = drive + (leaked - s * threshold if subtract else (1 - s) * leaked)
        s = int(v >= threshold)
        out.append(v)
    return out


def bound(low: int, high: int, threshold: int, steps: int, leak_k: int, leak_n: int, subtract: bool) -> tuple[int, int]:
    """Call the pass's bound for one channel."""
    return membrane(
        np.array([low]), np.array([high]), np.array([threshold]),
        timesteps=steps, leak_k=leak_k, leak_n=leak_n, subtract=subtract,
    )  # fmt: skip


@given(data=st.data())
def test_no_drive_leaves_the_bound(data: st.DataObject) -> None:
    steps, leak_n = data.draw(st.integers(1, 16)), data.draw(st.integers(1, 10))
    leak_k = data.draw(st.integers(0, 2**leak_n))
    low = data.draw(st.integers(-2000, 500))
    high = data.draw(st.integers(low, low + 3000))
    threshold, subtract = data.draw(st.integers(1, 1500)), data.draw(st.booleans())
    lowest, highest = bound(low, high, threshold, steps, leak_k, leak_n, subtract)
    interesting = [low, high, *(x for x in (0, threshold, threshold - 1, low + 1, high - 1) if low <= x <= high)]
    for _ in range(20):
        drives = tuple(data.draw(st.sampled_from(interesting) | st.integers(low, high)) for _ in range(steps))
        found = membranes(drives, threshold, leak_k, leak_n, subtract)
        assert lowest <= min(found) and max(found) <= highest


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("leak_k", [0, 7, 14, 16])  # sixteenths
@pytest.mark.parametrize(("low", "high"), [(-3, 4), (-8, 2), (0, 6), (1, 5), (-5, -1), (4, 9)])
@pytest.mark.parametrize("threshold", [1, 3, 7])
def test_brute_force_over_every_drive(subtract: bool, leak_k: int, low: int, high: int, threshold: int) -> None:
    """All drives of four steps: the bound holds, and is at most two bits wider than what is reached."""
    lowest, highest = bound(low, high, threshold, 4, leak_k, 4, subtract)
    reached = [membranes(d, threshold, leak_k, 4, subtract) for d in itertools.product(range(low, high + 1), repeat=4)]
    least, most = min(map(min, reached)), max(map(max, reached))
    assert lowest <= least and most <= highest
    assert signed_bits(lowest, highest) <= signed_bits(least, most) + 2


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("leak_k", [0, 7, 16])
@pytest.mark.parametrize(("low", "high", "threshold"), [(-9, 12, 5), (-3, 4, 3), (-20, 3, 8), (0, 30, 7), (2, 9, 4)])
def test_two_steps_are_bounded_exactly(subtract: bool, leak_k: int, low: int, high: int, threshold: int) -> None:
    reached = [membranes(d, threshold, leak_k, 4, subtract) for d in itertools.product(range(low, high + 1), repeat=2)]
    exact = (min(map(min, reached)), max(map(max, reached)))
    assert bound(low, high, threshold, 2, leak_k, 4, subtract) == exact


@pytest.mark.parametrize("subtract", [True, False])
@pytest.mark.parametrize("steps", [1, 8, 16])
def test_greedy_adversaries_over_many_steps(subtract: bool, steps: int) -> None:
    """Drives chosen step by step to push the membrane out, from every state reached so far."""
    rng = np.random.default_rng(steps)
    for _ in range(40):
        low, threshold = int(rng.integers(-300, 1)), int(rng.integers(1, 200))
        high = low + int(rng.integers(1, 600))
        leak_k = int(rng.integers(0, 33))
        lowest, highest = bound(low, high, threshold, steps, leak_k, 5, subtract)
        states = {(0, 0)}
        for _ in range(steps):
            following = set()
            for v, s in states:
                leaked = leak_k * v // 32
                carry = leaked - s * threshold if subtract else (1 - s) * leaked
                near = {low, high, threshold - 1 - carry, threshold - carry}
                for drive in (d for d in near if low <= d <= high):
                    new = drive + carry
                    assert lowest <= new <= highest
                    following.add((new, int(new >= threshold)))
            # The outermost states, silent and fired, are the ones that go furthest.
            fired, silent = ([x for x in following if x[1] == kind] for kind in (1, 0))
            states = {f(group) for group in (fired, silent) if group for f in (min, max)}


def test_bounds_are_taken_per_channel() -> None:
    wide = membrane(
        np.array([-5, 0]), np.array([5, 90]), np.array([4, 1000]), timesteps=2, leak_k=32, leak_n=5, subtract=True
    )
    assert wide == (-10, 180)


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (-1, 0, 1), (-1, 1, 2), (0, 127, 8), (-128, 127, 8), (-129, 0, 9), (0, 128, 9), (-3, -2, 3)],
)
def test_signed_bits(low: int, high: int, bits: int) -> None:
    assert signed_bits(low, high) == bits
    assert -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1)
    assert bits == 1 or not (-(2 ** (bits - 2)) <= low and high < 2 ** (bits - 2))


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [(0, 1, "UINT1"), (0, 255, "UINT8"), (0, 256, "UINT9"), (-1, 1, "INT2"), (-128, 127, "INT8"), (0, 0, "UINT1")],
)
def test_integer_types(low: int, high: int, name: str) -> None:
    assert integer_type(low, high).name in (name, {"UINT1": "BINARY"}.get(name))


@pytest.mark.parametrize("pool_order", ["current", "spike"])
def test_every_value_of_a_network_lies_in_its_type(
    build: Callable[..., QatSpikeCLIP], images: Callable[..., np.ndarray], pool_order: str
) -> None:
    from qonnx.core.datatype import DataType

    after = (1, 1, 1) if pool_order == "current" else (1, 1, 0)
    config = ModelConfig(
        preset="test", conv_channels=(4, 6, 8), depth=1, heads=2, embed_dim=5, timesteps=3,
        pool_kernel=3, pool_order=pool_order, pool_after=after,  # type: ignore[arg-type]
    )  # fmt: skip
    *_, (_, graph) = lower(to_qonnx(build(config), {}), images(1))
    seen: dict[str, tuple[int, int]] = {}

    def watch(node: Node, value: np.ndarray) -> None:
        seen[node.output] = (int(value.min()), int(value.max()))

    extremes = np.stack([np.full((32, 32, 3), v, np.uint8) for v in (0, 128, 255)])
    checker = (np.indices((32, 32)).sum(0)[..., None] % 2 * 255).astype(np.uint8).repeat(3, -1)[None]
    to_network(graph, {}).run(np.concatenate([images(8), extremes, checker, 255 - checker]), watch)
    assert len(seen) == len(graph.graph.node)
    for name, (low, high) in seen.items():
        kind = graph.get_tensor_datatype(name)
        assert kind != DataType["FLOAT32"] and kind.is_integer()
        assert kind.allowed(low) and kind.allowed(high), (name, kind, low, high)


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(-8, -8, 4), (-8, 7, 4), (0, 0, 1), (-1, 0, 1), (-9, -3, 5), (3, 8, 5)]
)
def test_signed_bits_is_the_narrowest_word(low: int, high: int, bits: int) -> None:
    assert signed_bits(low, high) == bits
    assert -(2 ** (bits - 1)) <= low <= high < 2 ** (bits - 1)
