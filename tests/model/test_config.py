"""Network descriptions: what is refused, and what survives the journey through a file."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.model.config import PRESETS, ConfigError, ModelConfig, NeuronConfig, preset


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timesteps": 0}, "timesteps: expected 1 to 16, got 0"),
        ({"timesteps": 17}, "timesteps: expected 1 to 16, got 17"),
        ({"pool_after": (1, 1)}, r"pool_after: expected one 0 or 1 for each of the 3 convolutions, got \(1, 1\)"),
        ({"conv_channels": (), "pool_after": ()}, r"conv_channels: expected 2 convolutions or more .* got \(\)"),
        ({"pool_after": (2, 1, 0)}, r"pool_after: expected one 0 or 1 .* got \(2, 1, 0\)"),
        ({"pool_kernel": 4}, "pool_kernel: expected 2 or 3, got 4"),
        ({"pool_order": "both"}, "pool_order: expected 'current' or 'spike', got 'both'"),
        ({"pool_order": "spike"}, "pool_order: .* set pool_after's last entry to 0"),
        ({"heads": 7}, "heads: expected a divisor of the width 96, got 7"),
        ({"heads": 0}, "heads: expected 1 or more, got 0"),
        ({"depth": -1}, "depth: expected 0 or more, got -1"),
        ({"mlp_ratio": 0}, "mlp_ratio: expected 1 or more, got 0"),
        ({"embed_dim": 0}, "embed_dim: expected 1 or more, got 0"),
        ({"in_channels": 0}, "in_channels: expected 1 or more, got 0"),
        ({"image_size": 0}, "image_size: expected 1 or more, got 0"),
        ({"conv_channels": (24, 0, 96)}, "conv_channels: expected 1 or more, got 0"),
        ({"readout": "last"}, "readout: expected tdw, mean, ad or ar, got 'last'"),
        ({"image_size": 28}, "image_size: expected a multiple of 8 for 3 pools, got 28"),
    ],
)
def test_networks_that_cannot_be_built(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        ModelConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta": -0.1}, "neuron.beta: expected 0 to 1, got -0.1"),
        ({"beta": 1.1}, "neuron.beta: expected 0 to 1, got 1.1"),
        ({"beta": float("nan")}, "neuron.beta: expected 0 to 1, got nan"),
        ({"v_threshold": 0.0}, "neuron.v_threshold: expected a number above 0, got 0.0"),
        ({"v_threshold": float("nan")}, "neuron.v_threshold: expected a number above 0, got nan"),
        ({"v_threshold_attention": -1.0}, "neuron.v_threshold_attention: expected a number above 0, got -1.0"),
        ({"surrogate_alpha": 0.0}, "neuron.surrogate_alpha: expected a number above 0, got 0.0"),
        ({"reset": "none"}, "neuron.reset: expected 'subtract' or 'zero', got 'none'"),
        ({"tau": 0.5}, "neuron.tau: expected 1 or more, got 0.5"),
        ({"tau": float("nan")}, "neuron.tau: expected 1 or more, got nan"),
        ({"leak_bits": 0}, "neuron.leak_bits: expected 1 to 10, got 0"),
        ({"leak_bits": 11}, "neuron.leak_bits: expected 1 to 10, got 11"),
        ({"membrane_frac_bits": -1}, "neuron.membrane_frac_bits: expected 0 to 10, got -1"),
        ({"membrane_frac_bits": 11}, "neuron.membrane_frac_bits: expected 0 to 10, got 11"),
    ],
)
def test_neurons_that_cannot_be_built(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        NeuronConfig(**changes)


def test_presets() -> None:
    changed = preset("tiny", timesteps=8, beta=0.5, v_threshold=2.0)
    assert (changed.timesteps, changed.neuron.beta, changed.neuron.v_threshold, changed.dim) == (8, 0.5, 2.0, 96)
    assert preset("tiny") == ModelConfig() == PRESETS["tiny"]
    with pytest.raises(ConfigError, match=r"preset: expected one of tiny, small, base, got 'huge'"):
        preset("huge")
    with pytest.raises(ConfigError, match=r"preset tiny: .*colour"):
        preset("tiny", colour="red")
    with pytest.raises(ConfigError, match="timesteps"):
        preset("tiny", timesteps=99)


@pytest.mark.parametrize(("name", "grid"), [("tiny", 4), ("small", 4), ("base", 8)])
def test_token_grids(name: str, grid: int) -> None:
    assert (PRESETS[name].grid, PRESETS[name].tokens) == (grid, grid**2)


def test_decays() -> None:
    assert (NeuronConfig().decay, NeuronConfig().input_gain, NeuronConfig().leak_multiplier) == (0.9, 1.0, 29)
    jelly = NeuronConfig(tau=2.0, leak_bits=3)
    assert (jelly.decay, jelly.input_gain, jelly.leak_multiplier) == (0.5, 0.5, 4)
    assert NeuronConfig(beta=1.0, leak_bits=10).leak_multiplier == 1024
    assert NeuronConfig(beta=0.0).leak_multiplier == 0


@given(data=st.data())
def test_json_round_trip(data: st.DataObject) -> None:
    neuron = NeuronConfig(
        beta=data.draw(st.floats(0, 1)),
        tau=data.draw(st.none() | st.floats(1, 100)),
        reset=data.draw(st.sampled_from(("subtract", "zero"))),
        leak_bits=data.draw(st.integers(1, 10)),
        detach_reset=data.draw(st.booleans()),
    )
    config = ModelConfig(
        timesteps=data.draw(st.integers(1, 16)),
        depth=data.draw(st.integers(0, 9)),
        conv_channels=tuple(data.draw(st.lists(st.sampled_from((8, 16, 32)), min_size=3, max_size=3))),
        readout=data.draw(st.sampled_from(("tdw", "mean", "ad", "ar"))),
        neuron=neuron,
    )
    assert ModelConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    "text", ["", "nonsense", "3", "[]", "{}", '{"neuron": 3}', '{"neuron": {}, "conv_channels": 3}']
)
def test_foreign_json(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^config: not a SpikeCLIP configuration of this version") as info:
        ModelConfig.from_json(text)
    assert "\n" not in str(info.value)


def test_fields_of_another_version() -> None:
    raw = json.loads(ModelConfig().to_json())
    with pytest.raises(ConfigError, match=r"of this version .*dilation"):
        ModelConfig.from_json(json.dumps({**raw, "dilation": 2}))
    with pytest.raises(ConfigError, match=r"of this version .*noise"):
        ModelConfig.from_json(json.dumps({**raw, "neuron": {**raw["neuron"], "noise": 1}}))
    with pytest.raises(ConfigError, match="timesteps: expected 1 to 16"):
        ModelConfig.from_json(json.dumps({**raw, "timesteps": 40}))


def test_configurations_are_values() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().timesteps = 3  # type: ignore[misc]
    assert hash(ModelConfig()) == hash(ModelConfig())
