"""The image encoder: sizes, shapes, and each layer against what the papers write."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikeclip_fpga.model import checkpoint
from spikeclip_fpga.model.attention import SpikingBlock, SpikingSelfAttention
from spikeclip_fpga.model.checkpoint import CheckpointError
from spikeclip_fpga.model.config import PRESETS, ConfigError, ModelConfig, NeuronConfig
from spikeclip_fpga.model.losses import alignment_loss, dual_loss, kl_loss
from spikeclip_fpga.model.neuron import LIF
from spikeclip_fpga.model.readout import Readout, time_weights
from spikeclip_fpga.model.spikeclip import SpikeCLIP
from spikeclip_fpga.model.teacher import load_teacher
from spikeclip_fpga.model.tokenizer import ConvStage, max_pool
from spikeclip_fpga.model.train import load_student

SMALL: dict[str, Any] = {"preset": "test", "conv_channels": (4, 6, 8), "depth": 1, "heads": 2, "embed_dim": 5}


@pytest.mark.parametrize(("name", "millions"), [("tiny", 0.240), ("base", 9.3)])
def test_parameter_counts(name: str, millions: float) -> None:
    count = sum(p.numel() for p in SpikeCLIP(PRESETS[name]).parameters())
    assert count == pytest.approx(millions * 1e6, rel=0.03)


@pytest.mark.parametrize("timesteps", [1, 4, 16])
@pytest.mark.parametrize("pool_order", ["current", "spike"])
@pytest.mark.parametrize("pool_kernel", [2, 3])
@pytest.mark.parametrize("readout", ["tdw", "mean", "ad", "ar"])
def test_shapes(timesteps: int, pool_order: Any, pool_kernel: int, readout: Any) -> None:
    after = (1, 1, 1) if pool_order == "current" else (1, 1, 0)
    config = ModelConfig(
        **SMALL, timesteps=timesteps, pool_order=pool_order, pool_kernel=pool_kernel, pool_after=after, readout=readout
    )
    net = SpikeCLIP(config).eval()
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    tokens = net.tokenizer(images)
    assert tokens.shape == (timesteps * 3, config.tokens, 8) and config.tokens == (16 if sum(after) == 3 else 64)
    assert net(images).shape == (3, 5)
    torch.testing.assert_close(net.embed(images).norm(dim=1), torch.ones(3))
    assert ("readout.time_weight" in dict(net.named_parameters())) == (readout == "tdw")


def test_one_convolution_is_refused() -> None:
    """Its neurons would be the only ones to repeat the image over T, and the last convolution has none."""
    with pytest.raises(ConfigError, match="2 convolutions or more"):
        ModelConfig(preset="test", conv_channels=(8,), pool_after=(1,), depth=1, heads=2)


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    net = SpikeCLIP(ModelConfig(**SMALL))
    net(torch.rand(4, 3, 32, 32) * 2 - 1).square().sum().backward()
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


@pytest.mark.parametrize("order", ["current", "spike"])
def test_pool_orders(order: Any) -> None:
    """Conv-BN-MaxPool-LIF and Conv-BN-LIF-MaxPool, written out."""
    torch.manual_seed(1)
    config = ModelConfig(**SMALL, pool_order=order, pool_after=(1, 1, 0))
    stage = ConvStage(config, 1).eval()
    x = torch.rand(8, 4, 8, 8)
    current = stage.bn(stage.conv(x)) * 6
    stage.bn.weight.data *= 6
    stage.bn.bias.data *= 6
    fire = LIF(config.neuron, 4)
    pool = torch.nn.functional.max_pool2d
    expected = fire(pool(current, 2)) if order == "current" else pool(fire(current), 2)
    found = stage(x)
    assert 0 < found.mean() < 1
    assert float((found != expected).float().mean()) < 0.01  # ties of float rounding aside
    other = pool(fire(current), 2) if order == "current" else fire(pool(current, 2))
    assert not torch.equal(found, other)


@pytest.mark.parametrize("kernel", [2, 3])
def test_pools_halve_and_pad_with_minus_infinity(kernel: int) -> None:
    x = -torch.rand(1, 1, 8, 8) - 1
    pooled = max_pool(kernel)(x)
    assert pooled.shape == (1, 1, 4, 4) and bool((pooled < 0).all())


def test_attention_is_scaled_qk_transposed_v() -> None:
    torch.manual_seed(2)
    config = ModelConfig(**SMALL, timesteps=2)
    layer = SpikingSelfAttention(config).eval()
    for linear in (layer.q, layer.k, layer.v):
        torch.nn.init.uniform_(linear.bn.bias, 0.5, 1.5)
    x = torch.randn(2 * 3, 5, 8)
    captured: list[torch.Tensor] = []
    layer.lif_attention.register_forward_pre_hook(lambda _, args: captured.append(args[0]))
    layer(x)
    spikes = layer.lif_in(x)
    pairs = ((layer.lif_q, layer.q), (layer.lif_k, layer.k), (layer.lif_v, layer.v))
    q, k, v = (lif(linear(spikes)) for lif, linear in pairs)
    assert captured[0].mean() > 0 and len(captured[0].unique()) > 4
    for row in range(6):
        for head in range(2):
            part = slice(head * 4, head * 4 + 4)
            expected = (q[row, :, part] @ k[row, :, part].T) @ v[row, :, part] * 0.125
            assert torch.equal(captured[0][row, :, part], expected)
    assert layer.lif_attention.v_threshold == 0.25 and layer.lif_q.v_threshold == 1.0


def test_blocks_add_to_the_stream() -> None:
    block = SpikingBlock(ModelConfig(**SMALL)).eval()
    x = torch.randn(8, 5, 8)
    inner = x + block.attention(x)
    torch.testing.assert_close(block(x), inner + block.mlp(inner))


def test_time_weights() -> None:
    assert time_weights("mean", 4).tolist() == [0.25] * 4 == time_weights("tdw", 4).tolist()
    assert time_weights("ad", 4).tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert time_weights("ar", 4).tolist() == pytest.approx([1 / 15, 2 / 15, 4 / 15, 8 / 15])
    for kind in ("tdw", "mean", "ad", "ar"):
        for steps in range(1, 17):
            assert float(time_weights(kind, steps).sum()) == pytest.approx(1, abs=1e-6)


def test_readout_is_a_weighted_mean_and_a_linear_map() -> None:
    torch.manual_seed(3)
    config = ModelConfig(**SMALL, timesteps=3, readout="ad")
    layer = Readout(config)
    x = torch.randn(3 * 2, 7, 8)
    spikes = layer.lif(x).view(3, 2, 7, 8).double()
    mean = (spikes.mean(2) * torch.tensor([1, 2, 3]).view(3, 1, 1) / 6).sum(0)
    expected = mean @ layer.project.weight.double().T + layer.project.bias.double()
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-6)


def test_the_readout_keeps_float32_under_autocast() -> None:
    net = SpikeCLIP(ModelConfig(**SMALL)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert net(torch.rand(1, 3, 32, 32)).dtype == torch.float32


# -- losses -----------------------------------------------------------------------------------------


def softmax(x: np.ndarray) -> np.ndarray:
    """Return the class probabilities."""
    e = np.exp(x - x.max(1, keepdims=True))
    probabilities: np.ndarray = e / e.sum(1, keepdims=True)
    return probabilities


def test_losses_are_the_papers_equations() -> None:
    rng = np.random.default_rng(0)
    v, target = rng.normal(size=(6, 9)), rng.normal(size=(6, 9))
    logits, teacher, labels = rng.normal(size=(6, 4)) * 3, rng.normal(size=(6, 4)) * 3, rng.integers(0, 4, 6)
    # eq. 3
    cosines = [a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(v, target, strict=True)]
    assert float(alignment_loss(torch.tensor(v), torch.tensor(target))) == pytest.approx(
        np.mean([1 - c for c in cosines])
    )
    # eq. 4 with its epsilon, eq. 5, eq. 6
    pre, pre_hat, epsilon = softmax(logits), softmax(teacher), 1e-10
    kl = np.mean((pre_hat * np.log((pre_hat + epsilon) / (pre + epsilon))).sum(1))
    ce = -np.mean(np.log(pre[np.arange(6), labels]))
    assert float(kl_loss(torch.tensor(logits), torch.tensor(teacher))) == pytest.approx(kl, rel=1e-6)
    for alpha in (0.0, 1.0, 2.5):
        found = dual_loss(torch.tensor(logits), torch.tensor(teacher), torch.tensor(labels), alpha)
        assert float(found) == pytest.approx(kl + alpha * ce, rel=1e-6)


def test_losses_at_their_minimum_and_for_certain_teachers() -> None:
    logits = torch.tensor([[0.0, 800.0, -800.0]])
    assert float(kl_loss(logits, logits)) == 0.0
    assert torch.isfinite(kl_loss(torch.zeros(1, 3), logits)) and torch.isfinite(kl_loss(logits, torch.zeros(1, 3)))
    vectors = torch.randn(5, 7)
    assert float(alignment_loss(vectors, 3 * vectors)) == pytest.approx(0, abs=1e-6)
    assert float(alignment_loss(vectors, -vectors)) == pytest.approx(2, abs=1e-6)


# -- checkpoints ------------------------------------------------------------------------------------


def test_float_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "net.float.safetensors"
    config = ModelConfig(**SMALL, neuron=NeuronConfig(beta=0.5))
    net = SpikeCLIP(config).eval()
    about = {"config": config.to_json()}
    checkpoint.save(path, "float", net.state_dict(), about)
    again, _ = load_student(path)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(again(images), net(images))
    assert again.config == config and all(torch.equal(v, again.state_dict()[k]) for k, v in net.state_dict().items())

    def refused(*parts: str, loader: Any = load_student) -> None:
        with pytest.raises(CheckpointError) as info:
            loader(path)
        text = str(info.value)
        assert "\n" not in text and "net.float.safetensors" in text
        for part in parts:
            assert part in text, text

    refused("a 'float' checkpoint where a 'teacher' one is needed", "spikeclip teacher", loader=load_teacher)
    whole = path.read_bytes()
    for content in (b"", b"no safetensors", whole[:500], whole[:-1], whole + b"x"):
        path.write_bytes(content)
        refused("truncated", "spikeclip train")
    checkpoint.save(path, "float", net.state_dict(), {})
    refused("no usable configuration", "spikeclip train")
    other = dataclasses.replace(config, depth=2)
    checkpoint.save(path, "float", net.state_dict(), {"config": other.to_json()})
    refused("does not fit its configuration", "entries missing", "train it again")
    checkpoint.save(path, "teacher", {"x": torch.zeros(1)}, {})
    refused("its header lacks 'width'", "spikeclip teacher", loader=load_teacher)
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, path)
    refused("not a checkpoint of this project (format None", "spikeclip train")
    path.unlink()
    refused("no such file", "spikeclip train")


def test_a_failing_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net"
    checkpoint.save(path, "float", {"x": torch.zeros(2)}, {})
    before = path.read_bytes()

    def fail(tensors: Any, partial: Path, metadata: Any) -> None:
        partial.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(path, "float", {"x": torch.zeros(3)}, {})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["net"]
