"""ScratchCLIP and the ANN: how they differ from SpikeCLIP, that they learn, and what the shipped ones reach."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from spikeclip_fpga.cli.main import main
from spikeclip_fpga.model import checkpoint
from spikeclip_fpga.model.baselines.ann import AnnCLIP
from spikeclip_fpga.model.baselines.registry import NETWORKS, build, kind_of, load_float
from spikeclip_fpga.model.baselines.scratchclip import ScratchCLIP, SoftmaxAttention
from spikeclip_fpga.model.checkpoint import CheckpointError
from spikeclip_fpga.model.config import PRESETS, ConfigError, ModelConfig, NeuronConfig
from spikeclip_fpga.model.data import load
from spikeclip_fpga.model.neuron import LIF
from spikeclip_fpga.model.spikeclip import SpikeCLIP
from spikeclip_fpga.model.train import accuracy, embed_images, load_student, train_student
from spikeclip_fpga.model.trainer import TrainConfig
from spikeclip_fpga.quantize.labelset import read_labels

from ..teaching import CAPTIONS, Sure, halves

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
SMALL = ModelConfig(preset="test", conv_channels=(4, 6, 8), depth=2, heads=2, embed_dim=6)
SHORT = TrainConfig(epochs=2, batch_size=32, lr=5e-3, warmup_steps=2, seed=3)
BASELINES = ("scratchclip", "ann")


def train(kind: str, out: Path, config: TrainConfig = SHORT) -> dict[str, torch.Tensor]:
    """Train a small network and return its state."""
    return train_student(halves(256, 0), Sure(), CAPTIONS, SMALL, config, out, network=kind).state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Return whether two states are equal bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# -- the networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BASELINES)
@pytest.mark.parametrize(
    "changes", [{}, {"pool_kernel": 3, "heads": 4}, {"pool_order": "spike", "pool_after": (1, 1, 0)}, {"depth": 0}]
)
def test_shapes_and_no_spikes(kind: str, changes: Any) -> None:
    config = dataclasses.replace(SMALL, **changes)
    net = build(kind, config).eval()
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    assert net.tokenizer(images).shape == (3, config.tokens, 8)
    assert net(images).shape == (3, 6)
    torch.testing.assert_close(net.embed(images).norm(dim=1), torch.ones(3))
    assert not [name for name, module in net.named_modules() if isinstance(module, LIF)]
    assert [name for name, module in SpikeCLIP(config).named_modules() if isinstance(module, LIF)]


def parameters(net: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in net.named_parameters()}


@pytest.mark.parametrize("preset", ["tiny", "small", "base"])
def test_the_ann_has_spikeclips_parameters_but_the_time_weights(preset: str) -> None:
    config = PRESETS[preset]
    torch.manual_seed(5)
    ann = AnnCLIP(config)
    torch.manual_seed(5)
    spiking = SpikeCLIP(config)
    expected = parameters(spiking)
    assert expected.pop("readout.time_weight") == (4,)
    assert parameters(ann) == expected
    # From one seed, the same first weights.
    assert all(torch.equal(p, spiking.get_parameter(name)) for name, p in ann.named_parameters())


@pytest.mark.parametrize("preset", ["tiny", "small", "base"])
def test_scratchclip_differs_in_norms_and_biases_only(preset: str) -> None:
    """Every convolution and every matrix is SpikeCLIP's; BatchNorm behind a linear map became its bias."""
    config = PRESETS[preset]
    spiking, scratch = parameters(SpikeCLIP(config)), parameters(ScratchCLIP(config))

    def matrices(found: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        return {name.replace(".linear.", "."): shape for name, shape in found.items() if len(shape) > 1}

    assert matrices(scratch) == matrices(spiking)
    first = {name: shape for name, shape in spiking.items() if name.startswith("tokenizer.")}
    assert {name: shape for name, shape in scratch.items() if name.startswith("tokenizer.")} == first
    count = {"spiking": sum(map(math.prod, spiking.values())), "scratch": sum(map(math.prod, scratch.values()))}
    outputs = config.depth * config.dim * (5 + config.mlp_ratio)  # of all linear maps in the blocks
    norms = 2 * config.dim * (2 * config.depth + 1)
    assert count["scratch"] == count["spiking"] - 2 * outputs + outputs + norms - config.timesteps


@pytest.mark.parametrize("kind", BASELINES)
def test_time_and_neurons_have_no_effect(kind: str) -> None:
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    found = []
    for changes in ({}, {"timesteps": 1, "readout": "ar"}, {"neuron": NeuronConfig(beta=0.1, v_threshold=3)}):
        torch.manual_seed(2)
        found.append(build(kind, dataclasses.replace(SMALL, **changes)).eval()(images))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_the_anns_attention_has_no_softmax() -> None:
    torch.manual_seed(2)
    layer: Any = AnnCLIP(SMALL).blocks[0].attention.eval()
    x, captured = torch.randn(3, 16, 8), list[torch.Tensor]()
    layer.lif_attention.register_forward_pre_hook(lambda _, args: captured.append(args[0]))
    layer(x)
    q, k, v = (F.relu(linear(F.relu(x))) for linear in (layer.q, layer.k, layer.v))
    for head in range(2):
        part = slice(head * 4, head * 4 + 4)
        expected = (q[..., part] @ k[..., part].transpose(1, 2)) @ v[..., part] / (16 * math.sqrt(4))
        torch.testing.assert_close(captured[0][..., part], expected)
    assert captured[0].max() > 0


def test_scratchclips_attention_is_torchs() -> None:
    torch.manual_seed(2)
    layer = SoftmaxAttention(SMALL).eval()
    torch.nn.init.normal_(layer.q.bias)
    other = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    other.in_proj_weight.data = torch.cat([part.weight for part in (layer.q, layer.k, layer.v)]).detach()
    other.in_proj_bias.data = torch.cat([part.bias for part in (layer.q, layer.k, layer.v)]).detach()
    other.out_proj.load_state_dict(layer.proj.state_dict())
    x = torch.randn(3, 16, 8)
    expected, _ = other(*[layer.norm(x)] * 3)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("kind", BASELINES)
def test_every_parameter_learns(kind: str) -> None:
    torch.manual_seed(0)
    net = build(kind, SMALL)
    net(torch.rand(4, 3, 32, 32) * 2 - 1).square().sum().backward()
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # The softmax does not see what is added to every key.
    assert [n for n in silent if not n.endswith("attention.k.bias")] == []


def test_other_kinds_are_refused() -> None:
    with pytest.raises(ConfigError, match="network: expected one of spikeclip, scratchclip, ann, got 'cnn'"):
        build("cnn", SMALL)


# -- training and checkpoints ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BASELINES)
def test_training_learns_and_resumed_gives_the_same_bits(kind: str, tmp_path: Path) -> None:
    config = dataclasses.replace(SHORT, epochs=6)
    whole = train(kind, tmp_path / "whole", config)
    pieces = dataclasses.replace(config, max_steps=26)  # of 48 steps
    assert not same(whole, train(kind, tmp_path / "pieces", pieces))
    assert same(whole, train(kind, tmp_path / "pieces", pieces))
    net, meta = load_float(tmp_path / "whole", kind)
    assert same(net.state_dict(), whole) and net.config == SMALL
    assert (kind_of(meta), meta["epochs"], meta["seed"]) == (kind, 6, 3)
    test = halves(200, 9)
    assert accuracy(embed_images(net, test.images), CAPTIONS.numpy(), test.labels) > 85


def test_a_state_of_another_kind_is_refused(tmp_path: Path) -> None:
    train("ann", tmp_path / "a", dataclasses.replace(SHORT, max_steps=2))
    with pytest.raises(CheckpointError, match="left by a run with other settings"):
        train("scratchclip", tmp_path / "a", dataclasses.replace(SHORT, max_steps=2))


def test_checkpoints_know_their_kind(tmp_path: Path) -> None:
    path = tmp_path / "net.float.safetensors"
    for kind in NETWORKS:
        net = build(kind, SMALL).eval()
        about = {"config": SMALL.to_json(), "network": kind}
        checkpoint.save(path, "float", net.state_dict(), about)
        loaded, meta = load_float(path)
        assert type(loaded) is type(net) and kind_of(meta) == kind and same(loaded.state_dict(), net.state_dict())
        for other in set(NETWORKS) - {kind}:
            with pytest.raises(CheckpointError, match=f"holds a '{kind}' network where a '{other}' one") as info:
                load_float(path, other)
            assert "\n" not in str(info.value) and "spikeclip train --network" in str(info.value)
    with pytest.raises(CheckpointError, match="holds a 'ann' network where a 'spikeclip' one"):
        load_student(path)
    checkpoint.save(path, "float", SpikeCLIP(SMALL).state_dict(), {"config": SMALL.to_json()})  # from before kinds
    assert isinstance(load_student(path)[0], SpikeCLIP) and kind_of(load_float(path)[1]) == "spikeclip"
    checkpoint.save(path, "float", {}, {"config": SMALL.to_json(), "network": "cnn"})
    with pytest.raises(CheckpointError, match=r"no usable configuration .*got 'cnn'"):
        load_float(path)


@pytest.mark.parametrize("kind", BASELINES)
@pytest.mark.parametrize("option", [("--timesteps", "2"), ("--readout", "ad"), ("--reset", "zero"), ("--beta", "0.5")])
def test_options_about_time_are_refused(kind: str, option: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--network", kind, *option]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"{option[0]}: {kind} has no time steps" in error and "--network" in error


# -- what is shipped ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "floor"), [("scratchclip", 92.0), ("ann", 92.0)])
def test_the_shipped_baselines_classify(kind: str, floor: float) -> None:
    net, meta = load_float(ARTIFACTS / f"tiny-{kind}.float.safetensors", kind)
    spiking = checkpoint.load(ARTIFACTS / "tiny.float.safetensors", "float")[1]
    assert net.config == PRESETS["tiny"] == ModelConfig.from_json(spiking["config"])
    assert all(meta[key] == spiking[key] for key in ("dataset", "teacher_sha256", "text_tower", "seed"))
    test = load("fashion-mnist", "test").take(1000)
    labels = read_labels(ARTIFACTS / "labels.npz")
    assert accuracy(embed_images(net, test.images), labels.embeddings, test.labels) >= floor
