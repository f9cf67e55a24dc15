"""The integer neuron's surrogate gradient equals the float neuron's where their membranes coincide."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spikeclip_fpga.model.config import NeuronConfig
from spikeclip_fpga.model.neuron import LIF
from spikeclip_fpga.quantize.layers import GridBias, IntLIF, ste_floor, ste_round

CHANNELS = 6
SCALE = 2.0**-4


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("broadcast", [False, True])
@pytest.mark.parametrize("dims", [3, 4])
@pytest.mark.parametrize("tau", [None, 2.0])
def test_currents_and_bias(reset: Any, beta: float, broadcast: bool, dims: int, tau: float | None) -> None:
    # Two bits of beta and T = 4 and eighths need nine fraction bits: with them the leak's floor never rounds.
    steps, generator = 4, torch.Generator().manual_seed(int(beta * 4))
    neuron = NeuronConfig(beta=beta, reset=reset, tau=tau)
    rows = (1 if broadcast else steps) * 3
    shape = (rows, CHANNELS, 5, 2) if dims == 4 else (rows, 10, CHANNELS)
    per_channel = (1, -1, 1, 1) if dims == 4 else (1, 1, -1)
    x = torch.randint(-20, 40, shape, generator=generator) * SCALE
    bias = torch.randint(-16, 17, (CHANNELS,), generator=generator) * SCALE / 8
    weight = torch.randn((steps * 3, *shape[1:]), generator=generator)

    layer = IntLIF(neuron, steps, CHANNELS, broadcast=broadcast, frac_bits=9)
    layer.bias.data = bias.clone()
    found = x.clone().requires_grad_()
    spikes = layer(found, torch.tensor([SCALE]))
    (spikes * weight).sum().backward()

    expected, expected_bias = x.clone().requires_grad_(), bias.clone().requires_grad_()
    floats = LIF(neuron, steps, broadcast=broadcast)(expected + expected_bias.view(per_channel))
    (floats * weight).sum().backward()

    assert torch.equal(spikes, floats) and 0.05 < spikes.mean() < 0.95
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer.bias.grad, expected_bias.grad, rtol=1e-4, atol=1e-4)


def test_a_scale_of_its_own_for_each_channel() -> None:
    # Powers of two again, so that both neurons see the same membranes.
    scale = 2.0 ** -torch.arange(2.0, 2.0 + CHANNELS)
    x = torch.randint(-20, 40, (8, 9, CHANNELS), generator=torch.Generator().manual_seed(1)) * scale
    found, expected = x.clone().requires_grad_(), x.clone().requires_grad_()
    spikes = IntLIF(NeuronConfig(beta=0.5), 4, CHANNELS, frac_bits=8)(found, scale)
    floats = LIF(NeuronConfig(beta=0.5), 4)(expected)
    spikes.sum().backward()
    floats.sum().backward()
    assert torch.equal(spikes, floats)
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-5, atol=1e-6)


def test_without_a_learnt_bias_there_is_nothing_to_learn() -> None:
    layer = IntLIF(NeuronConfig(), 2, 3, learn_bias=False)
    assert not list(layer.parameters()) and not layer.state_dict()


def test_rounding_passes_its_gradient() -> None:
    x = torch.tensor([-1.5, -0.5, 0.4, 0.5, 1.5], requires_grad=True)
    assert ste_round(x).tolist() == [-2, 0, 0, 0, 2] and ste_floor(x).tolist() == [-2, -1, 0, 0, 1]
    (ste_round(x) + 2 * ste_floor(x)).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [3] * 5


@pytest.mark.parametrize("axis", [1, 2])
def test_the_grid_bias_rounds_and_learns(axis: int) -> None:
    layer = GridBias(2, 3, axis)
    layer.bias.data = torch.tensor([0.30, -0.07])  # 2.4 and -0.56 steps of 1/8
    x = torch.zeros(5, 2, 3, 4) if axis == 1 else torch.zeros(5, 12, 2)
    out = layer(x)
    per_channel = out.transpose(0, axis).flatten(1) if axis == 1 else out.flatten(0, 1).T
    assert [set(c.tolist()) for c in per_channel] == [{0.25}, {-0.125}]
    out.sum().backward()
    assert layer.bias.grad is not None and layer.bias.grad.tolist() == [60, 60]
