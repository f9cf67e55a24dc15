"""Back-propagation through time of the fused neuron against torch's autograd on an unrolled loop."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch

from spikeclip_fpga.model.config import NeuronConfig
from spikeclip_fpga.model.neuron import LIF

Reset = Literal["subtract", "zero"]


class Step(torch.autograd.Function):
    """Heaviside step with the derivative of arctan(pi/2 alpha x) / pi."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, alpha: float) -> torch.Tensor:
        """Fire at x >= 0."""
        ctx.save_for_backward(x)
        ctx.alpha = alpha
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the surrogate's gradient."""
        (x,) = ctx.saved_tensors
        return grads[0] * ctx.alpha / 2 / (1 + (math.pi / 2 * ctx.alpha * x) ** 2), None


def unrolled(currents: torch.Tensor, neuron: NeuronConfig, threshold: float) -> torch.Tensor:
    """Run (T, ...) currents through eq. 1 and 2 with autograd's own graph."""
    u = s = torch.zeros_like(currents[0])
    out = []
    for current in currents:
        reset = s.detach() if neuron.detach_reset else s
        old = neuron.decay * u
        old = old - reset * threshold if neuron.reset == "subtract" else old * (1 - reset)
        u = neuron.input_gain * current + old
        s = Step.apply(u - threshold, neuron.surrogate_alpha)
        out.append(s)
    return torch.stack(out)


def gradients(
    currents: torch.Tensor, weight: torch.Tensor, neuron: NeuronConfig, broadcast: bool
) -> tuple[Any, Any, Any]:
    """Return (reference, fused, spikes' equality) for the loss sum(weight * spikes)."""
    steps = weight.shape[0]
    reference = currents.clone().requires_grad_()
    spikes = unrolled(
        reference.expand(steps, *currents.shape[1:]) if broadcast else reference, neuron, neuron.v_threshold
    )
    (spikes * weight).sum().backward()
    fused = currents.clone().requires_grad_()
    found = LIF(neuron, steps, broadcast=broadcast)(fused)
    (found * weight).sum().backward()
    return reference.grad, fused.grad, torch.equal(found, spikes)


@pytest.mark.parametrize("steps", [1, 2, 4, 16])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("broadcast", [False, True])
@pytest.mark.parametrize("form", ["beta", "tau"])
def test_float32(steps: int, reset: Reset, detach: bool, broadcast: bool, form: str) -> None:
    neuron = NeuronConfig(reset=reset, detach_reset=detach, tau=2.0 if form == "tau" else None, v_threshold=0.8)
    generator = torch.Generator().manual_seed(steps)
    currents = torch.randn(1 if broadcast else steps, 1300, generator=generator) * 2
    weight = torch.randn(steps, 1300, generator=generator)
    expected, found, same = gradients(currents, weight, neuron, broadcast)
    assert same and expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=2e-5, atol=2e-6)


def test_attached_and_detached_resets_differ() -> None:
    generator = torch.Generator().manual_seed(0)
    currents, weight = torch.randn(4, 100, generator=generator) * 2, torch.randn(4, 100, generator=generator)
    found = [gradients(currents, weight, NeuronConfig(detach_reset=d), False)[1] for d in (True, False)]
    assert not torch.allclose(found[0], found[1])


@pytest.mark.parametrize("alpha", [0.5, 4.0])
def test_the_width_of_the_surrogate(alpha: float) -> None:
    neuron = NeuronConfig(surrogate_alpha=alpha)
    currents = torch.tensor([[1.25]], requires_grad=True)
    LIF(neuron, 1)(currents).sum().backward()
    assert currents.grad is not None
    assert float(currents.grad) == pytest.approx(alpha / 2 / (1 + (math.pi / 2 * alpha * 0.25) ** 2), rel=1e-6)


def test_the_surrogate_is_spikingjellys_arctan() -> None:
    surrogate = pytest.importorskip("spikingjelly.activation_based.surrogate").ATan(alpha=2.0)
    ours, theirs = (torch.linspace(-3, 3, 101)[None].clone().requires_grad_() for _ in range(2))
    LIF(NeuronConfig(), 1)(ours).sum().backward()
    surrogate(theirs - 1.0).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("broadcast", [False, True])
def test_bfloat16(reset: Reset, detach: bool, broadcast: bool) -> None:
    neuron = NeuronConfig(reset=reset, detach_reset=detach)
    generator = torch.Generator().manual_seed(4)
    currents = torch.randn(1 if broadcast else 4, 2000, generator=generator).bfloat16()
    weight = torch.randn(4, 2000, generator=generator).bfloat16()
    expected, _, _ = gradients(currents.float(), weight.float(), neuron, broadcast)
    fused = currents.clone().requires_grad_()
    (LIF(neuron, 4, broadcast=broadcast)(fused) * weight).sum().backward()
    assert fused.grad is not None and fused.grad.dtype == torch.bfloat16
    # Slopes, membranes and results each carry 8 significant bits.
    torch.testing.assert_close(fused.grad.float(), expected, rtol=0.03, atol=0.03)


def test_bfloat16_rounds_to_nearest() -> None:
    generator = torch.Generator().manual_seed(8)
    currents = torch.randn(1, 4000, generator=generator).bfloat16().requires_grad_()
    weight = torch.randn(1, 4000, generator=generator).bfloat16()
    LIF(NeuronConfig(), 1)(currents).backward(weight)
    z = torch.tensor(math.pi / 2) * 2 * (currents.detach().float() - 1)
    slope = (1 / (1 + z * z)).bfloat16()  # alpha 2
    assert currents.grad is not None and torch.equal(currents.grad, weight * slope)


@pytest.mark.parametrize("layout", ["channels_last", "expanded"])
def test_layouts_of_currents_and_of_the_incoming_gradient(layout: str) -> None:
    generator = torch.Generator().manual_seed(5)
    plain = torch.randn(4 * 2, 6, 5, 7, generator=generator)
    weight = torch.randn(4 * 2, 6, 5, 7, generator=generator)
    if layout == "expanded":
        weight = weight[:, :1, :1, :1].expand_as(plain)
    grads = []
    for memory in (torch.contiguous_format, torch.channels_last):
        currents = plain.clone(memory_format=memory).requires_grad_()
        LIF(NeuronConfig(), 4)(currents).backward(weight)
        grads.append(currents.grad)
    other = weight.contiguous(memory_format=torch.channels_last)
    currents = plain.clone().requires_grad_()
    LIF(NeuronConfig(), 4)(currents).backward(other)
    reference = plain.clone().requires_grad_()
    unrolled(reference.view(4, 2, 6, 5, 7), NeuronConfig(), 1.0).flatten(0, 1).backward(weight)
    for grad in (*grads, currents.grad):
        torch.testing.assert_close(grad, reference.grad, rtol=2e-5, atol=2e-6)


def test_no_gradient_is_kept_when_none_is_wanted() -> None:
    with torch.no_grad():
        assert not LIF(NeuronConfig(), 2)(torch.ones(2, 3, requires_grad=True)).requires_grad
