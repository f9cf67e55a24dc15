"""The integer neuron, four times: golden.lif, the QAT layer IntLIF, the ONNX operator, and the equations."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from qonnx.custom_op.registry import getCustomOp

from spikeclip_fpga.model.config import NeuronConfig
from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.layers import DOMAIN, IntLIF

SEQUENCES = 20_000
# k of the leak floor(k V / 32) for beta 0, 0.5, 0.75, 0.9 and 1
LEAKS = {0.0: 0, 0.5: 16, 0.75: 24, 0.9: 29, 1.0: 32}


def equations(
    currents: list[int], threshold: int, bias: int, frac_bits: int, leak_k: int, leak_n: int, reset: str
) -> tuple[list[int], list[int]]:
    """Return (spikes, membranes) of one neuron, in Python's integers and fractions."""
    v = s = 0
    spikes, membranes = [], []
    for t, current in enumerate(currents):
        leaked = math.floor(Fraction(leak_k * v, 2**leak_n)) if t else 0
        drive = current * 2**frac_bits + bias
        v = drive + leaked - s * threshold if reset == "subtract" else drive + (0 if s else leaked)
        s = int(v >= threshold)
        spikes.append(s)
        membranes.append(v)
    return spikes, membranes


def equations_f64(
    currents: np.ndarray, threshold: np.ndarray, bias: np.ndarray, beta: float, reset: str, frac_bits: int
) -> np.ndarray:
    """Run neurons (n, C, T) in float64, whose 53 bits hold every value here exactly."""
    k = LEAKS[beta]
    v, s = np.zeros(currents.shape[:-1]), np.zeros(currents.shape[:-1])
    out = np.zeros(currents.shape)
    for t in range(currents.shape[-1]):
        leaked = np.floor(v * k / 32)
        v = (
            currents[..., t] * 2.0**frac_bits
            + bias
            + (leaked - s * threshold if reset == "subtract" else leaked * (1 - s))
        )
        s = (v >= threshold).astype(float)
        out[..., t] = s
    return out


def word(spikes: list[int]) -> int:
    """Bit t is step t."""
    return sum(s << t for t, s in enumerate(spikes))


def run_golden(currents: list[int], threshold: int = 8, bias: int = 0, **options: Any) -> int:
    """Run one neuron through golden.lif and return its word."""
    about: dict[str, Any] = {"timesteps": len(currents), "frac_bits": 0, "leak_k": 29, "leak_n": 5, **options}
    return int(golden.lif(np.array([[*currents]]), np.array([threshold]), np.array([bias]), **about)[0, 0])


def test_a_tie_fires() -> None:
    assert run_golden([8]) == 1 and run_golden([7]) == 0


def test_the_leak_rounds_down_also_below_zero() -> None:
    # floor(29*-1/32) = -1: a membrane of -1 never leaks away, and holds the second current below the threshold.
    assert run_golden([-1, 8]) == 0
    assert run_golden([-1, 9]) == 0b10
    # floor(29*7/32) = 6 (6.34), so 7 then 1 stays at 7.
    assert run_golden([7, 1]) == 0 and run_golden([7, 2]) == 0b10
    # floor(29*-7/32) = -7 (-6.34): rounding towards zero would fire here.
    assert run_golden([-7, 14]) == 0 and run_golden([-7, 15]) == 0b10


def test_resets() -> None:
    assert run_golden([20, 0, 0], leak_k=32) == 0b011  # 20, 12, 4
    assert run_golden([20, 0, 0], leak_k=32, reset="zero") == 0b001  # 20, 0, 0
    # The old membrane leaks, the threshold does not: 8, 8 + floor(7.25) - 8 = 7, 8 + floor(6.34) = 14.
    assert run_golden([8, 8, 8]) == 0b101


def test_bias_counts_in_grid_units_and_acts_at_every_step() -> None:
    # 2^-3 grid: threshold 8 units = 1; the bias of 3 units fires at the third step (3, 6, 9) without a leak.
    assert run_golden([0, 0, 0], bias=3, frac_bits=3, leak_k=32) == 0b100
    assert run_golden([1, 0, 0], bias=0, frac_bits=3) == 0b001


def test_bit_t_is_step_t() -> None:
    for t in range(16):
        currents = [0] * 16
        currents[t] = 8
        assert run_golden(currents) == 1 << t


def test_without_memory_permuting_the_inputs_in_time_permutes_the_bits() -> None:
    rng = np.random.default_rng(0)
    currents = rng.integers(-20, 20, (200, 3, 8))
    order = rng.permutation(8)
    about: dict[str, Any] = {"timesteps": 8, "frac_bits": 0, "leak_n": 5, "reset": "zero"}
    threshold, bias = np.array([3, 5, 7]), np.array([0, 1, -1])

    def run(x: np.ndarray, leak_k: int) -> np.ndarray:
        return golden.unpack(golden.lif(x.reshape(200, -1), threshold, bias, leak_k=leak_k, **about), 8)

    np.testing.assert_array_equal(run(currents[..., order], 0), run(currents, 0)[..., order])
    assert not np.array_equal(run(currents[..., order], 29), run(currents, 29)[..., order])


@given(data=st.data())
def test_golden_equals_fractions(data: st.DataObject) -> None:
    steps, frac_bits, leak_n = (data.draw(st.integers(*r)) for r in ((1, 16), (0, 6), (1, 10)))
    leak_k = data.draw(st.integers(0, 2**leak_n))
    reset = data.draw(st.sampled_from(("subtract", "zero")))
    threshold, bias = data.draw(st.integers(1, 400)), data.draw(st.integers(-300, 300))
    currents = data.draw(st.lists(st.integers(-50, 50), min_size=steps, max_size=steps))
    spikes, membranes = equations(currents, threshold, bias, frac_bits, leak_k, leak_n, reset)
    about = {"frac_bits": frac_bits, "leak_k": leak_k, "leak_n": leak_n, "reset": reset}
    assert run_golden(currents, threshold, bias, **about) == word(spikes)
    bits = max(v.bit_length() if v >= 0 else (v + 1).bit_length() for v in membranes) + 1
    assert run_golden(currents, threshold, bias, membrane_bits=bits, **about) == word(spikes)
    if bits > 1:
        with pytest.raises(golden.RangeError, match=f"does not fit {bits - 1} bits"):
            run_golden(currents, threshold, bias, membrane_bits=bits - 1, **about)


@pytest.mark.parametrize(("value", "bits"), [(7, 4), (8, 5), (-8, 4), (-9, 5)])
def test_the_ends_of_twos_complement(value: int, bits: int) -> None:
    assert run_golden([value], membrane_bits=bits) == int(value >= 8)
    with pytest.raises(golden.RangeError, match=f"membrane {value} to {value} at step 0 does not fit {bits - 1} bits"):
        run_golden([value], membrane_bits=bits - 1)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("beta", LEAKS)
def test_twenty_thousand_sequences_equal_float64(beta: float, reset: str) -> None:
    rng = np.random.default_rng(int(beta * 100))
    steps, channels, frac_bits = 8, 5, 4
    currents = rng.integers(-40, 60, (SEQUENCES // channels, channels, steps))
    threshold, bias = rng.integers(100, 900, channels), rng.integers(-200, 200, channels)
    expected = equations_f64(currents, threshold, bias, beta, reset, frac_bits)
    assert 0.05 < expected.mean() < 0.95
    words = golden.lif(
        currents.reshape(len(currents), -1), threshold, bias,
        timesteps=steps, frac_bits=frac_bits, leak_k=LEAKS[beta], leak_n=5, reset=reset,
    )  # fmt: skip
    np.testing.assert_array_equal(golden.unpack(words, steps), expected)


@pytest.mark.parametrize("steps", range(1, 17))
def test_broadcast_equals_repeating(steps: int) -> None:
    rng = np.random.default_rng(steps)
    still = rng.integers(-50, 90, (6, 7, 4))
    about: dict[str, Any] = {"timesteps": steps, "frac_bits": 2, "leak_k": 29, "leak_n": 5}
    threshold, bias = rng.integers(50, 200, 4), rng.integers(-30, 30, 4)
    once = golden.lif(still, threshold, bias, broadcast=1, **about)
    repeated = golden.lif(np.repeat(still, steps, -1), threshold, bias, **about)
    assert once.dtype == np.uint16 and once.any()
    np.testing.assert_array_equal(once, repeated)


def int_lif(
    accumulators: np.ndarray,
    scale: np.ndarray,
    bias: np.ndarray,
    neuron: NeuronConfig,
    *,
    dims: int,
    broadcast: bool,
    frac_bits: int,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Run IntLIF on (B, P, C, T) accumulators, or (B, P, C); return spikes (B, P, C, T) and its integer constants."""
    steps = 1 if broadcast else accumulators.shape[-1]
    batch, places, channels = accumulators.shape[:3]
    layer = IntLIF(neuron, steps if not broadcast else 6, channels, broadcast=broadcast, frac_bits=frac_bits)
    layer.bias.data = torch.from_numpy(bias).float()
    x = accumulators if not broadcast else accumulators[..., None]
    x = (x * scale[:, None]).transpose(3, 0, 1, 2).reshape(-1, places, channels).astype(np.float32)
    tensor = torch.from_numpy(np.ascontiguousarray(x))
    if dims == 4:
        tensor = tensor.transpose(1, 2).unflatten(2, (1, places))
    scales = torch.from_numpy(scale).float()
    out = layer(tensor, scales).detach()
    if dims == 4:
        out = out.flatten(2).transpose(1, 2)
    spikes = out.numpy().reshape(-1, batch, places, channels).transpose(1, 2, 3, 0)
    return spikes, {k: v.numpy() for k, v in layer.integers(scales).items()}


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 8, 16])
@pytest.mark.parametrize("dims", [3, 4])
@pytest.mark.parametrize("broadcast", [False, True])
def test_the_qat_layer_equals_golden(steps: int, reset: Any, dims: int, broadcast: bool) -> None:
    rng = np.random.default_rng(steps)
    shape = (3, 11, 7) if broadcast else (3, 11, 7, steps)
    accumulators = rng.integers(-60, 90, shape)
    scale, bias = rng.uniform(0.005, 0.07, 7), rng.uniform(-0.5, 0.5, 7)
    neuron = NeuronConfig(reset=reset)
    spikes, grid = int_lif(accumulators, scale, bias, neuron, dims=dims, broadcast=broadcast, frac_bits=4)
    expected = golden.lif(
        accumulators.reshape(3, 11, -1), grid["threshold"], grid["bias"],
        timesteps=6 if broadcast else steps, broadcast=int(broadcast), frac_bits=4, leak_k=29, leak_n=5, reset=reset,
    )  # fmt: skip
    assert 0.02 < spikes.mean() < 0.98
    np.testing.assert_array_equal(spikes, golden.unpack(expected, 6 if broadcast else steps))


def test_threshold_and_bias_round_to_the_grid() -> None:
    # One accumulator unit is worth 0.1, the grid is 1/16 of that: theta 1 = 160 units, bias 0.033 = 5.28 units.
    layer = IntLIF(NeuronConfig(membrane_frac_bits=4), 4, 2)
    layer.bias.data = torch.tensor([0.033, -0.0344])
    grid = layer.integers(torch.tensor([0.1]))
    assert grid["threshold"].tolist() == [160, 160] and grid["bias"].tolist() == [5, -6]
    # SpikingJelly's form divides the input by tau; here the threshold grows instead.
    assert IntLIF(NeuronConfig(tau=2.0), 4, 1).integers(torch.tensor([0.1]))["threshold"].tolist() == [320]
    # A threshold never rounds to 0, where a silent neuron would fire.
    assert IntLIF(NeuronConfig(), 4, 1).integers(torch.tensor([1000.0]))["threshold"].tolist() == [1]


@pytest.mark.parametrize("value", [2.0**28, -(2.0**28), 2.0**40, -(2.0**40), float("inf"), float("nan")])
@pytest.mark.parametrize("steps", [1, 2])
def test_the_qat_layer_refuses_what_32_bits_do_not_hold(value: float, steps: int) -> None:
    layer = IntLIF(NeuronConfig(), steps, 1)
    with pytest.raises(ArithmeticError, match="32-bit"):
        layer(torch.full((steps, 1, 1), value), torch.tensor([1.0]))


def test_the_qat_layer_refuses_other_types() -> None:
    with pytest.raises(TypeError, match="expected float32"):
        IntLIF(NeuronConfig(), 2, 3)(torch.zeros(2, 4, 3, dtype=torch.bfloat16), torch.tensor([1.0]))


def test_images_do_not_depend_on_their_neighbours() -> None:
    rng = np.random.default_rng(0)
    accumulators = rng.integers(-60, 90, (4, 5, 600, 3))  # 600 channels: more than one block of the kernel
    scale, bias = rng.uniform(0.005, 0.07, 600), rng.uniform(-0.5, 0.5, 600)
    together, grid = int_lif(accumulators, scale, bias, NeuronConfig(), dims=3, broadcast=False, frac_bits=4)
    for i in range(4):
        alone, _ = int_lif(accumulators[i : i + 1], scale, bias, NeuronConfig(), dims=3, broadcast=False, frac_bits=4)
        np.testing.assert_array_equal(alone[0], together[i])
        words = golden.lif(
            accumulators[i].reshape(5, -1), grid["threshold"], grid["bias"],
            timesteps=3, frac_bits=4, leak_k=29, leak_n=5,
        )  # fmt: skip
        np.testing.assert_array_equal(golden.unpack(words, 3), together[i])


def onnx_lif(
    x: np.ndarray, inverse_scale: np.ndarray, threshold: np.ndarray, bias: np.ndarray, **attributes: Any
) -> np.ndarray:
    """Execute one node LIF of version 1 in QONNX."""
    node = helper.make_node(
        "LIF", ["x", "inverse_scale", "threshold", "bias"], ["spikes"], name="lif", domain=DOMAIN, **attributes
    )
    values = {"x": x, "inverse_scale": inverse_scale, "threshold": threshold, "bias": bias}
    context = {k: np.asarray(v, np.float32) for k, v in values.items()}
    getCustomOp(node).execute_node(context, None)
    out: np.ndarray = context["spikes"]
    return out


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("steps", [1, 4, 16])
@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("broadcast", [0, 1])
def test_the_onnx_operator_equals_the_equations(steps: int, reset: str, axis: int, broadcast: int) -> None:
    rng = np.random.default_rng(steps)
    batch, channels, places = 2, 3, 4
    accumulators = rng.integers(-60, 90, (batch, channels, places, 1 if broadcast else steps))
    scale = rng.uniform(0.01, 0.1, channels)
    threshold, bias = rng.integers(50, 300, channels), rng.integers(-50, 50, channels)
    x = (accumulators * scale[:, None, None]).transpose(3, 0, 1, 2).reshape(-1, channels, places, 1)
    if axis == 2:
        x = x[..., 0].transpose(0, 2, 1)
    spikes = onnx_lif(
        x, 1 / scale, threshold, bias,
        timesteps=steps, broadcast=broadcast, frac_bits=2, leak_k=29, leak_n=5, reset=reset, channel_axis=axis,
    )  # fmt: skip
    assert spikes.dtype == np.float32 and spikes.shape == (steps * batch, *x.shape[1:])
    for b in range(batch):
        for c in range(channels):
            for p in range(places):
                currents = [int(a) for a in accumulators[b, c, p]] * (steps if broadcast else 1)
                expected, _ = equations(currents, int(threshold[c]), int(bias[c]), 2, 29, 5, reset)
                place = (slice(b, None, batch), c, p, 0) if axis == 1 else (slice(b, None, batch), p, c)
                assert spikes[place].tolist() == expected
