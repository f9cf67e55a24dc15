"""The float LIF neuron against the papers' equations, SpikingJelly and snnTorch."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.model.config import NeuronConfig
from spikeclip_fpga.model.neuron import LIF

Reset = Literal["subtract", "zero"]
SEQUENCES = 20_000


def equations(currents: list[Fraction], beta: Fraction, threshold: Fraction, reset: str) -> list[int]:
    """Run one neuron straight from eq. 1 and 2, in exact fractions."""
    u, s, out = Fraction(0), 0, []
    for current in currents:
        u = current + beta * u - s * threshold if reset == "subtract" else current + beta * u * (1 - s)
        s = 1 if u >= threshold else 0
        out.append(s)
    return out


def equations_f64(currents: np.ndarray, beta: float, threshold: float, reset: str, gain: float = 1.0) -> np.ndarray:
    """Run neurons (T, n) in float64."""
    u, s = np.zeros(currents.shape[1]), np.zeros(currents.shape[1])
    out = np.zeros_like(currents)
    for t, current in enumerate(currents):
        u = gain * current + beta * u - s * threshold if reset == "subtract" else gain * current + beta * u * (1 - s)
        s = (u >= threshold).astype(float)
        out[t] = s
    return out


def loop_f32(currents: torch.Tensor, beta: float, threshold: float, reset: str) -> torch.Tensor:
    """Run neurons (T, n) in torch's float32, each operation rounded on its own."""
    decay, theta = torch.tensor(beta, dtype=torch.float32), torch.tensor(threshold, dtype=torch.float32)
    u, s = torch.zeros(currents.shape[1]), torch.zeros(currents.shape[1])
    out = []
    for current in currents:
        old = torch.mul(decay, u)
        u = current + (old - s * theta if reset == "subtract" else old * (1 - s))
        s = (u >= theta).float()
        out.append(s)
    return torch.stack(out)


def fire(currents: torch.Tensor, neuron: NeuronConfig, **options: bool) -> torch.Tensor:
    """Run the layer on (T, ...) currents of one image."""
    return LIF(neuron, len(currents), **options)(currents)


def test_a_membrane_at_the_threshold_fires() -> None:
    below = float(np.nextafter(np.float32(1), np.float32(0)))
    assert fire(torch.tensor([[1.0, below, 1.5, -1.0]]), NeuronConfig()).tolist() == [[1, 0, 1, 0]]


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_the_first_step_has_neither_leak_nor_reset(beta: float, reset: Reset) -> None:
    currents = torch.tensor([[0.99, 1.0, 7.0]])
    assert fire(currents, NeuronConfig(beta=beta, reset=reset)).tolist() == [[0, 1, 1]]


def test_subtraction_keeps_what_exceeds_the_threshold_and_zero_does_not() -> None:
    currents = torch.tensor([[2.5], [0.0], [0.0], [0.0]])
    # beta 1: U = 2.5, 1.5, 0.5 (fired twice)
    assert fire(currents, NeuronConfig(beta=1.0)).flatten().tolist() == [1, 1, 0, 0]
    assert fire(currents, NeuronConfig(beta=1.0, reset="zero")).flatten().tolist() == [1, 0, 0, 0]


def test_the_membrane_leaks_before_the_subtraction_not_after() -> None:
    # U_0 = 3; U_1 = 0.5*3 - 1 + 0.5 = 1.0 fires; subtracting first would leave 0.5*(3 - 1) + 0.5 = 1.5 and
    # U_2 = 0.5*1 - 1 + 1.5 = 1.0 fires, U_3 = 0.5 - 1 + 1.4 = 0.9 does not (1.15 the other way round).
    currents = torch.tensor([[3.0], [0.5], [1.5], [1.4]])
    assert fire(currents, NeuronConfig(beta=0.5)).flatten().tolist() == [1, 1, 1, 0]


def test_a_negative_membrane_is_kept_and_leaks_towards_zero() -> None:
    # U = -4, -2 + 1, -0.5 + 1.5 = 1: fires at the third step; a neuron clamped at 0 would fire at the second.
    currents = torch.tensor([[-4.0], [1.0], [1.5]])
    assert fire(currents, NeuronConfig(beta=0.5)).flatten().tolist() == [0, 0, 1]


@given(data=st.data())
def test_exact_fractions_for_any_small_case(data: st.DataObject) -> None:
    steps = data.draw(st.integers(1, 6))
    reset: Reset = data.draw(st.sampled_from(("subtract", "zero")))
    beta = Fraction(data.draw(st.integers(0, 4)), 4)
    threshold = Fraction(data.draw(st.integers(1, 12)), 4)
    currents = [Fraction(data.draw(st.integers(-16, 16)), 4) for _ in range(steps)]
    neuron = NeuronConfig(beta=float(beta), v_threshold=float(threshold), reset=reset)
    spikes = fire(torch.tensor([[float(c)] for c in currents]), neuron).flatten().tolist()
    assert spikes == equations(currents, beta, threshold, reset)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize(("beta", "steps"), [(0.0, 16), (0.5, 16), (0.75, 8), (1.0, 16)])
def test_twenty_thousand_sequences_equal_float64(beta: float, steps: int, reset: Reset) -> None:
    # Sixteenths and these betas stay within float32's 24 bits, so both sides are exact.
    currents = np.random.default_rng(steps).integers(-20, 33, (steps, SEQUENCES)) / 16
    expected = equations_f64(currents, beta, 1.0, reset)
    found = fire(torch.from_numpy(currents).float(), NeuronConfig(beta=beta, reset=reset)).numpy()
    assert 0.05 < expected.mean() < 0.95
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("beta", [0.9, 1 / 3])
def test_the_fused_kernel_equals_a_float32_loop_bit_for_bit(beta: float, reset: Reset) -> None:
    currents = torch.randn(16, SEQUENCES, generator=torch.Generator().manual_seed(3)) + 0.3
    currents[:, ::7] = 1.0  # ties
    expected = loop_f32(currents, beta, 1.0, reset)
    assert 0.05 < expected.mean() < 0.95
    assert torch.equal(fire(currents, NeuronConfig(beta=beta, reset=reset)), expected)


@pytest.mark.parametrize("steps", range(1, 17))
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_broadcast_equals_repeating_the_current(steps: int, reset: Reset) -> None:
    still = torch.randn(3, 700, generator=torch.Generator().manual_seed(steps))
    neuron = NeuronConfig(reset=reset)
    once = LIF(neuron, steps, broadcast=True)(still)
    repeated = LIF(neuron, steps)(still.repeat(steps, 1))
    assert once.shape == (steps * 3, 700) and torch.equal(once, repeated)


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1100])
@pytest.mark.parametrize("images", [1, 3])
def test_images_do_not_depend_on_their_neighbours(size: int, images: int) -> None:
    # 512 neurons are one block of the kernel: sizes around it would show state that leaks between blocks.
    steps = 5
    currents = torch.randn(steps, images, size, generator=torch.Generator().manual_seed(size))
    together = LIF(NeuronConfig(), steps)(currents.flatten(0, 1)).view(steps, images, size)
    for i in range(images):
        assert torch.equal(together[:, i], fire(currents[:, i], NeuronConfig()))
    order = torch.randperm(images)
    shuffled = LIF(NeuronConfig(), steps)(currents[:, order].flatten(0, 1)).view(steps, images, size)
    assert torch.equal(shuffled, together[:, order])


def test_a_second_call_starts_from_rest() -> None:
    layer, currents = LIF(NeuronConfig(beta=1.0), 2), torch.tensor([[0.6], [0.3]])
    assert torch.equal(layer(currents), layer(currents)) and layer(currents).sum() == 0


def test_time_is_the_slow_half_of_the_first_axis() -> None:
    # Image 0 is driven at step 0 only, image 1 at step 2 only.
    currents = torch.zeros(3, 2, 1)
    currents[0, 0] = currents[2, 1] = 1.0
    spikes = LIF(NeuronConfig(), 3)(currents.flatten(0, 1)).view(3, 2)
    assert spikes.tolist() == [[1, 0], [0, 0], [0, 1]]


def test_without_memory_permuting_the_inputs_in_time_permutes_the_spikes() -> None:
    currents = torch.randn(8, 500, generator=torch.Generator().manual_seed(1))
    order = torch.tensor([3, 1, 7, 0, 6, 2, 5, 4])
    forgetful = NeuronConfig(beta=0.0, reset="zero")
    assert torch.equal(fire(currents[order], forgetful), fire(currents, forgetful)[order])
    assert not torch.equal(fire(currents[order], NeuronConfig()), fire(currents, NeuronConfig())[order])


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "sliced"])
def test_memory_layout_does_not_matter(layout: str) -> None:
    currents = torch.randn(4 * 2, 6, 5, 8, generator=torch.Generator().manual_seed(5))
    other = {
        "channels_last": currents.contiguous(memory_format=torch.channels_last),
        "transposed": currents.transpose(1, 3).contiguous().transpose(1, 3),
        "sliced": torch.cat([currents, currents], 3)[..., :8],
    }[layout]
    layer = LIF(NeuronConfig(), 4)
    assert torch.equal(layer(other), layer(currents))


def test_bfloat16_currents_drive_a_float32_membrane() -> None:
    currents = torch.randn(4, 3000, generator=torch.Generator().manual_seed(6)).bfloat16()
    assert torch.equal(fire(currents, NeuronConfig()).float(), fire(currents.float(), NeuronConfig()))


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match=r"expected float32 or bfloat16 currents, got torch\.float64"):
        fire(torch.zeros(1, 1, dtype=torch.float64), NeuronConfig())


def test_spikingjelly_hard_reset_with_decaying_input_is_the_same_neuron() -> None:
    lif_node = pytest.importorskip("spikingjelly.activation_based.neuron").LIFNode
    node = lif_node(tau=2.0, decay_input=True, v_threshold=1.0, v_reset=0.0, step_mode="m")
    currents = torch.randint(-30, 50, (12, SEQUENCES), generator=torch.Generator().manual_seed(7)) / 16
    expected = node(currents)
    assert 0.05 < expected.mean() < 0.95
    # Sixteenths, halved at most twelve times: exact in float32, whatever the order of the operations.
    assert torch.equal(fire(currents, NeuronConfig(tau=2.0, reset="zero")), expected)


def test_spikingjelly_hard_reset_without_decaying_input_is_beta_one_half() -> None:
    lif_node = pytest.importorskip("spikingjelly.activation_based.neuron").LIFNode
    node = lif_node(tau=2.0, decay_input=False, v_threshold=1.0, v_reset=0.0, step_mode="m")
    currents = torch.randint(-30, 50, (12, SEQUENCES), generator=torch.Generator().manual_seed(8)) / 16
    assert torch.equal(fire(currents, NeuronConfig(beta=0.5, reset="zero")), node(currents))


def test_spikingjelly_soft_reset_differs_by_the_leak_of_the_subtracted_threshold() -> None:
    """SpikingJelly subtracts at once, so the next leak shrinks what was subtracted; eq. 2 does not."""
    lif_node = pytest.importorskip("spikingjelly.activation_based.neuron").LIFNode
    node = lif_node(tau=2.0, decay_input=False, v_threshold=1.0, v_reset=None, step_mode="m")
    currents = torch.tensor([[1.0], [0.5]])
    # SpikingJelly: 0.5*(1 - 1) + 0.5 = 0.5.  Eq. 2: 0.5*1 - 1 + 0.5 = 0.  One more current of 0.75 tells them apart.
    currents = torch.cat([currents, torch.tensor([[0.75]])])
    assert node(currents).flatten().tolist() == [1, 0, 1]
    assert fire(currents, NeuronConfig(beta=0.5)).flatten().tolist() == [1, 0, 0]


def snntorch_spikes(currents: torch.Tensor, beta: float, threshold: float) -> torch.Tensor:
    """Run snnTorch's Leaky with reset by subtraction."""
    node = pytest.importorskip("snntorch").Leaky(beta=beta, threshold=threshold, reset_mechanism="subtract")
    membrane, out = torch.zeros(currents.shape[1]), []
    for current in currents:
        spikes, membrane = node(current, membrane)
        out.append(spikes)
    return torch.stack(out)


def test_snntorch_subtract_is_the_same_neuron_away_from_ties() -> None:
    # A tie would need currents, multiples of 2^-9 by now, to equal (1 + 2^-11) (1 + r), 0 <= r < 2: impossible.
    currents = torch.randint(-10, 20, (8, SEQUENCES), generator=torch.Generator().manual_seed(9)) / 4
    threshold = 1.0 + 2.0**-11
    expected = snntorch_spikes(currents, 0.5, threshold)
    assert 0.05 < expected.mean() < 0.95
    assert torch.equal(fire(currents, NeuronConfig(beta=0.5, v_threshold=threshold)), expected)


def test_snntorch_does_not_fire_at_a_tie_and_this_neuron_does() -> None:
    """Eq. 1 fires at U >= threshold; snnTorch's Leaky at U > threshold."""
    currents = torch.tensor([[1.0, 1.25]])
    assert snntorch_spikes(currents, 0.5, 1.0).tolist() == [[0, 1]]
    assert fire(currents, NeuronConfig(beta=0.5)).tolist() == [[1, 1]]
