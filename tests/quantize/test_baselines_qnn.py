"""The quantised ANN: levels, exact integers from layer to layer, training, and what the command line refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from spikeclip_fpga.cli.main import main
from spikeclip_fpga.model import checkpoint
from spikeclip_fpga.model.baselines.ann import AnnCLIP
from spikeclip_fpga.model.baselines.registry import build, kind_of, load_float
from spikeclip_fpga.model.baselines.scratchclip import ScratchCLIP
from spikeclip_fpga.model.checkpoint import CheckpointError
from spikeclip_fpga.model.config import ConfigError, ModelConfig
from spikeclip_fpga.model.data import load
from spikeclip_fpga.model.data.input import to_input
from spikeclip_fpga.model.spikeclip import SpikeCLIP
from spikeclip_fpga.model.train import accuracy, embed_images
from spikeclip_fpga.model.trainer import TrainConfig
from spikeclip_fpga.quantize.baselines.integer_layer import ROUNDED, TRAINED, IntegerLayer
from spikeclip_fpga.quantize.baselines.integer_layers import integer_layers
from spikeclip_fpga.quantize.baselines.levels import LevelReLU, best_step, calibrate
from spikeclip_fpga.quantize.baselines.load import load_any
from spikeclip_fpga.quantize.baselines.qnn import QnnCLIP, load_qnn, save_qnn
from spikeclip_fpga.quantize.baselines.train_qnn import train_qnn
from spikeclip_fpga.quantize.labelset import read_labels
from spikeclip_fpga.quantize.layers import IntLIF
from spikeclip_fpga.quantize.qat import QatSpikeCLIP, load_qat, save_qat
from spikeclip_fpga.quantize.quantizers import BitWidths

from ..teaching import CAPTIONS, Sure, halves
from .lively import lively

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
SMALL = ModelConfig(preset="test", conv_channels=(4, 6, 8), depth=2, heads=2, embed_dim=6)
SHORT = TrainConfig(epochs=1, batch_size=32, lr=5e-3, warmup_steps=2)
FINE = BitWidths(residual_frac=10)


def ann(config: ModelConfig = SMALL, seed: int = 0) -> AnnCLIP:
    return lively(AnnCLIP, config, seed)


def quantised(
    config: ModelConfig, pictures: np.ndarray, bits: BitWidths = FINE, activation_bits: int = 3, seed: int = 0
) -> QnnCLIP:
    """Return a QNN made from ``ann`` and calibrated on ``pictures``."""
    net = ann(config, seed)
    return QnnCLIP(net, bits, activation_bits, calibrate(net, to_input(pictures), 2**activation_bits - 1)).eval()


# -- levels ------------------------------------------------------------------------------------------


@given(
    accumulators=st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=20),
    unit=st.floats(2**-13, 8, width=32),
    log_step=st.floats(-6, 6, width=32),
    bias=st.floats(-50, 50, width=32),
    levels=st.sampled_from([1, 3, 7, 31]),
)
def test_thresholds_give_the_levels(
    accumulators: list[int], unit: float, log_step: float, bias: float, levels: int
) -> None:
    relu = LevelReLU(1, levels)
    torch.nn.init.constant_(relu.log_step, log_step)
    torch.nn.init.constant_(relu.bias, bias)
    scale = torch.tensor([unit])
    thresholds = relu.thresholds(scale)
    assert thresholds.shape == (1, levels) and bool((np.diff(thresholds) >= 0).all())
    near = [int(t) + d for t in thresholds[0] for d in (-1, 0, 1) if abs(int(t)) < 2**20]
    whole = torch.tensor(accumulators + near, dtype=torch.float32).view(1, -1, 1)
    with torch.no_grad():
        found = relu(whole * scale, scale).numpy().astype(np.int64)
    expected = (whole.numpy().astype(np.int64) >= thresholds[0]).sum(-1, keepdims=True)
    np.testing.assert_array_equal(found, expected)


def test_a_level_is_the_rounded_and_clipped_quotient_and_has_a_gradient() -> None:
    relu = LevelReLU(1, 7)
    torch.nn.init.constant_(relu.log_step, float(np.log(0.5)))
    x = torch.tensor([-3.0, 0.0, 0.7, 1.0, 2.8, 3.6, 9.0]).view(1, -1, 1).requires_grad_()
    out = relu(x, torch.tensor([0.1]))
    assert out.flatten().tolist() == [0, 0, 1, 2, 6, 7, 7]
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad.flatten(), torch.tensor([0.0, 2, 2, 2, 2, 2, 0]))
    assert relu.log_step.grad is not None and relu.log_step.grad.item() == pytest.approx(-(0.7 + 1 + 2.8 + 3.6) / 0.5)
    assert relu.bias.grad is not None and relu.bias.grad.item() == pytest.approx(10)


def test_best_step() -> None:
    assert best_step(torch.arange(8.0), 7) == pytest.approx(1.0)
    assert 0 < best_step(torch.cat([torch.rand(10_000), torch.tensor([30.0])]), 7) < 1  # not led by one outlier
    assert best_step(torch.zeros(5), 7) > 0


# -- the network -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("activation_bits", "agreement"), [(3, 0.97), (5, 0.99)])
def test_the_embedding_points_where_the_float_networks_does(
    images: Any, activation_bits: int, agreement: float
) -> None:
    """With wide weights and a fine grid, rounding the activations is the only difference."""
    pictures = images(16)
    qnn = quantised(SMALL, pictures, BitWidths(hidden=8, residual_frac=12), activation_bits)
    x = to_input(pictures)
    with torch.no_grad():
        floats, integers = ann()(x), qnn(x)
    np.testing.assert_array_equal(integers, integers.round())
    assert float(F.cosine_similarity(floats, integers, dim=1).mean()) > agreement
    assert float((floats.norm(dim=1) / (integers * qnn.readout.scale()).norm(dim=1)).mean()) == pytest.approx(
        1, abs=0.1
    )


def test_levels_and_nothing_else_pass_between_layers(images: Any) -> None:
    qnn, seen = quantised(SMALL, images(8)), dict[str, np.ndarray]()
    modules: Any = qnn
    for name, module in qnn.named_modules():
        assert not isinstance(module, IntLIF), name
        if isinstance(module, LevelReLU):
            module.register_forward_hook(lambda _, args, out, name=name: seen.__setitem__(name, out.numpy()))
    with torch.no_grad():
        together = qnn(to_input(images(8)))
        assert torch.equal(qnn(to_input(images(8)[3:4]))[0], together[3])  # images do not mix
    neurons = [n for n, m in QatSpikeCLIP(SpikeCLIP(SMALL), BitWidths()).named_modules() if isinstance(m, IntLIF)]
    assert sorted(seen) == sorted(neurons)  # wherever SpikeCLIP has neurons
    for name, values in seen.items():
        assert set(np.unique(values)) <= set(range(8)), name
    assert {7.0, 0.0} <= set(np.unique(np.concatenate([v.ravel() for v in seen.values()])))
    widths = [
        int(layer.weight_quant.bit_width())
        for layer in (modules.tokenizer[0].conv, modules.tokenizer[1].conv, modules.blocks[1].mlp.fc2.linear)
    ]
    assert [*widths, int(modules.readout.project.weight_quant.bit_width())] == [8, 4, 4, 8]


@pytest.mark.parametrize(("bits", "words"), [(0, "1 to 8"), (9, "1 to 8"), (7, "24 bits")])
def test_widths_that_cannot_be_are_refused(bits: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        QnnCLIP(AnnCLIP(SMALL), BitWidths(), bits)


# -- integer layers ----------------------------------------------------------------------------------


def accumulators(layer: IntegerLayer) -> np.ndarray:
    """Return (N, H', W', O) sums of products by numpy, pooled if the layer pools."""
    assert layer.weight is not None
    x = np.pad(layer.inputs.astype(np.int64), ((0, 0), (layer.pad, layer.pad), (layer.pad, layer.pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, layer.weight.shape[1:3], axis=(1, 2))
    sums = np.einsum("nhwikl,okli->nhwo", windows, layer.weight.astype(np.int64))
    if layer.pool == 2:
        n, h, w, c = sums.shape
        sums = sums.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
    return sums


def levels(layer: IntegerLayer, values: np.ndarray) -> np.ndarray:
    """Return how many thresholds each value (..., C) reaches."""
    assert layer.thresholds is not None and layer.thresholds.shape[1] == layer.out_levels
    return (values[..., None] >= layer.thresholds).sum(-1)


def attend(kv: IntegerLayer, qkv: IntegerLayer) -> np.ndarray:
    """Return Q (K^T V) as (N, H, W, D), after checking K^T V against the second layer's operand."""
    assert kv.operand is not None

    def split(x: np.ndarray) -> np.ndarray:
        n, h, w, c = x.shape
        return x.astype(np.int64).reshape(n, h * w, kv.heads, c // kv.heads).transpose(0, 2, 1, 3)

    sums = split(kv.inputs).swapaxes(-1, -2) @ split(kv.operand)
    np.testing.assert_array_equal(sums, qkv.operand)
    assert int(sums.max()) < 2**qkv.operand_bits
    return (split(qkv.inputs) @ sums).transpose(0, 2, 1, 3).reshape(qkv.inputs.shape)


@pytest.mark.parametrize(
    ("changes", "bits", "activation_bits"),
    [
        ({}, FINE, 3),
        ({"heads": 1, "mlp_ratio": 1}, BitWidths(hidden=6, layers={"blocks.0.mlp.fc2": 7}), 2),
        ({"image_size": 16, "pool_after": (0, 1, 0), "depth": 1}, BitWidths(readout=5), 4),
    ],
)
def test_integers_reproduce_the_network(images: Any, changes: Any, bits: BitWidths, activation_bits: int) -> None:
    """From the image on, each layer's integers and thresholds give the next layer's integers."""
    config = dataclasses.replace(SMALL, **changes)
    pictures = images(6)[:, : config.image_size, : config.image_size]
    qnn = quantised(config, pictures, bits, activation_bits, seed=len(changes))
    layers = {layer.name: layer for layer in integer_layers(qnn, pictures)}
    assert all(layer.origin == TRAINED for layer in layers.values())
    np.testing.assert_array_equal(layers["tokenizer.0"].inputs, pictures.astype(np.int64) - 128)
    for layer in layers.values():
        low = -(2 ** (layer.input_bits - 1)) if layer.input_signed else 0
        assert low <= int(layer.inputs.min()) and int(layer.inputs.max()) < low + 2**layer.input_bits, layer.name
        if layer.weight is not None:
            assert np.abs(layer.weight.astype(int)).max() < 2 ** (layer.weight_bits - 1), layer.name
            assert layer.weight_bits == qnn.bits.weight(layer.name)

    def gives(name: str, found: np.ndarray, *readers: str) -> None:
        for reader in readers:
            np.testing.assert_array_equal(found, layers[reader].inputs, err_msg=f"{name} to {reader}")
        assert len(np.unique(found)) > 1, name

    def stream(layer: IntegerLayer, to_grid: Any) -> np.ndarray:
        """Return what the layer adds to the residual stream, in grid steps: a shift and a bias."""
        module: Any = qnn.get_submodule(f"{layer.name}.{'conv' if layer.op == 'conv' else 'linear'}")
        shift = np.log2(module.quant_weight().scale.detach().numpy().ravel()) + qnn.bits.residual_frac
        np.testing.assert_array_equal(shift, shift.round())
        assert shift.min() >= 0
        bias = np.rint(to_grid.bias.detach().numpy() * 2.0**qnn.bits.residual_frac).astype(np.int64)
        return (accumulators(layer) << shift.astype(np.int64)) + bias

    last = len(config.conv_channels) - 1
    for i in range(last):
        layer = layers[f"tokenizer.{i}"]
        gives(layer.name, levels(layer, accumulators(layer)), f"tokenizer.{i + 1}")
    modules: Any = qnn
    x = stream(layers[f"tokenizer.{last}"], modules.tokenizer[last].to_grid)
    for i in range(config.depth):
        attention, mlp, block = f"blocks.{i}.attention", f"blocks.{i}.mlp", modules.blocks[i]
        gives("stream", x, f"{attention}.lif_in")
        parts = [f"{attention}.{part}" for part in "qkv"]
        gives(attention, levels(layers[f"{attention}.lif_in"], x), *parts)
        q, k, v = (levels(layers[part], accumulators(layers[part])) for part in parts)
        kv, qkv = layers[f"{attention}.kv"], layers[f"{attention}.qkv"]
        gives("q", q, qkv.name)
        gives("k", k, kv.name)
        np.testing.assert_array_equal(v, kv.operand)
        gives(attention, levels(qkv, attend(kv, qkv)), f"{attention}.proj")
        x = x + stream(layers[f"{attention}.proj"], block.attention.proj.to_grid)
        gives("stream", x, f"{mlp}.lif_in")
        gives(mlp, levels(layers[f"{mlp}.lif_in"], x), f"{mlp}.fc1")
        gives(f"{mlp}.fc1", levels(layers[f"{mlp}.fc1"], accumulators(layers[f"{mlp}.fc1"])), f"{mlp}.fc2")
        x = x + stream(layers[f"{mlp}.fc2"], block.mlp.fc2.to_grid)
    gives("stream", x, "readout.lif_in")
    shift = qnn.readout.shift
    z = (levels(layers["readout.lif_in"], x).sum((1, 2), keepdims=True) + ((1 << shift) >> 1)) >> shift
    gives("readout", z, "readout.project")
    with torch.no_grad():
        bias = (qnn.readout.bias / qnn.readout.scale()).round().long().numpy()
        np.testing.assert_array_equal(
            accumulators(layers["readout.project"])[:, 0, 0] + bias, qnn(to_input(pictures)).numpy()
        )


def test_integer_accumulators_are_the_float_currents(images: Any) -> None:
    """Times their scale, they are what the QAT network computed in float32, up to its rounding."""
    pictures = images(4)
    qnn, currents = quantised(SMALL, pictures), dict[str, torch.Tensor]()
    modules = {"tokenizer.1": "tokenizer.1.conv", "blocks.1.mlp.fc1": "blocks.1.mlp.fc1.linear"}
    for name, path in modules.items():
        hook = lambda _, args, out, name=name: currents.__setitem__(name, out.detach())  # noqa: E731
        qnn.get_submodule(path).register_forward_hook(hook)
    for layer in integer_layers(qnn, pictures):
        if layer.name in modules:
            scale: Any = qnn.get_submodule(modules[layer.name])
            worth = (
                accumulators(dataclasses.replace(layer, pool=None))
                * scale.quant_weight().scale.detach().numpy().ravel()
            )
            found = currents[layer.name]
            found = found.permute(0, 2, 3, 1) if found.dim() == 4 else found.unflatten(1, (4, 4))
            np.testing.assert_allclose(found.numpy(), worth, rtol=1e-4, atol=1e-4)
    assert len(currents) == 2


def test_scratchclip_rounds_to_eight_bits(images: Any) -> None:
    torch.manual_seed(0)
    net = ScratchCLIP(SMALL).eval()
    pictures = images(4)
    layers = {layer.name: layer for layer in integer_layers(net, pictures)}
    weights = [layer for layer in layers.values() if layer.weight is not None]
    assert len(weights) == 3 + 2 * 6 + 1 and len(layers) == len(weights) + 2 * 2
    for layer in layers.values():
        assert layer.origin == ROUNDED and layer.input_bits == 8
        low, high = (-128, 127) if layer.input_signed else (0, 255)
        assert low <= int(layer.inputs.min()) and int(layer.inputs.max()) <= high
    # Accumulators times the scales are the float network's products, up to the rounding.
    module: Any = net.get_submodule("blocks.1.mlp.fc1")
    caught: list[torch.Tensor] = []
    module.register_forward_hook(lambda _, args, out: caught.extend([args[0], out]))
    with torch.no_grad():
        net(to_input(pictures))
    scale = module.weight.detach().abs().amax(1).numpy() / 127 * float(caught[0].abs().max()) / 127
    found = (caught[1] - module.bias.detach()).unflatten(1, (4, 4)).numpy()
    error = np.abs(accumulators(layers["blocks.1.mlp.fc1"]) * scale - found).max()
    assert 0 < error < 0.02 * np.abs(found).max()
    with pytest.raises(TypeError, match="QnnCLIP or a ScratchCLIP, got AnnCLIP"):
        integer_layers(AnnCLIP(SMALL), pictures)


# -- training and checkpoints ------------------------------------------------------------------------


def train(out: Path, config: TrainConfig = SHORT, **how: Any) -> QnnCLIP:
    """Fine-tune."""
    return train_qnn(ann(seed=1), halves(128, 0), Sure(), CAPTIONS, BitWidths(), config, out, {"seed": 1}, **how)


def test_it_learns_resumes_and_is_told_from_other_networks(tmp_path: Path) -> None:
    test = halves(200, 9)
    start = train(tmp_path / "start", dataclasses.replace(SHORT, epochs=0))
    config = dataclasses.replace(SHORT, epochs=4)  # 16 steps
    whole = train(tmp_path / "whole", config)
    for _ in range(2):
        resumed = train(tmp_path / "pieces", dataclasses.replace(config, max_steps=8))
    states = [net.state_dict() for net in (whole, resumed, start)]
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())
    assert not any(torch.equal(v, states[2][k]) for k, v in states[0].items() if k.endswith(("weight", "log_step")))
    embeddings = embed_images(whole, test.images)
    after = accuracy(embeddings, CAPTIONS.numpy(), test.labels)
    assert after > 85 > accuracy(embed_images(start, test.images), CAPTIONS.numpy(), test.labels)

    for loader in (load_qnn, load_any):
        again, meta = loader(tmp_path / "whole")
        assert isinstance(again, QnnCLIP)
        np.testing.assert_array_equal(embed_images(again, test.images), embeddings)
        assert (kind_of(meta), meta["activation_bits"], meta["qat_epochs"], meta["seed"]) == ("qnn3", 3, 4, 1)
    assert again.bits == BitWidths()
    with pytest.raises(CheckpointError, match="holds a 'qnn3' network where a 'spikeclip' one") as info:
        load_qat(tmp_path / "whole")
    assert "\n" not in str(info.value) and "spikeclip quantize" in str(info.value)


def test_load_any_takes_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "net"
    for kind in ("spikeclip", "scratchclip", "ann"):
        net = build(kind, SMALL)
        checkpoint.save(path, "float", net.state_dict(), {"config": SMALL.to_json(), "network": kind})
        found, meta = load_any(path)
        assert type(found) is type(net) and kind_of(meta) == kind
    save_qat(QatSpikeCLIP(SpikeCLIP(SMALL), BitWidths()), path, {})
    assert isinstance(load_any(path)[0], QatSpikeCLIP)
    with pytest.raises(CheckpointError, match="holds a 'spikeclip' network where a QNN is needed; make it with"):
        load_qnn(path)
    save_qnn(QnnCLIP(AnnCLIP(SMALL), BitWidths()), path, {})
    tensors, meta = checkpoint.load(path, "qat")
    for broken in ({"activation_bits": 9}, {"activation_bits": None}, {"bits": "{}x"}, {"config": "[]"}):
        checkpoint.save(path, "qat", tensors, {**meta, **broken})
        with pytest.raises(CheckpointError, match="no usable configuration"):
            load_any(path)
    path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="truncated"):
        load_any(path)
    with pytest.raises(CheckpointError, match="no such file"):
        load_any(tmp_path / "none")


def test_the_command_refuses_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {}
    for kind in ("spikeclip", "scratchclip", "ann"):
        files[kind] = str(tmp_path / f"x-{kind}.float.safetensors")
        about = {"config": SMALL.to_json(), "network": kind}
        checkpoint.save(Path(files[kind]), "float", build(kind, SMALL).state_dict(), about)
    files["qnn3"] = str(tmp_path / "x-qnn3.qat.safetensors")
    save_qnn(QnnCLIP(AnnCLIP(SMALL), BitWidths()), Path(files["qnn3"]), {})

    def refused(words: str, *arguments: str) -> None:
        assert main(["quantize", *arguments]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and words in error, error

    refused("--activation-bits:", files["spikeclip"], "--activation-bits", "3")
    refused("a scratchclip is not quantised", files["scratchclip"])
    refused("holds a 'qnn3' network where a 'spikeclip' one", files["qnn3"])
    refused("--activation-bits", str(ARTIFACTS / "tiny.qat.safetensors"), "--activation-bits", "3")
    refused("expected 2 to 8, got 9", files["ann"], "--bits", "9")
    refused(".qat.safetensors", files["ann"], "--out", str(tmp_path / "x"))


# -- what is shipped ---------------------------------------------------------------------------------


def test_the_shipped_qnn_classifies_with_eight_levels() -> None:
    path = ARTIFACTS / "tiny-qnn3.qat.safetensors"
    qnn, meta = load_qnn(path)
    assert kind_of(meta) == "qnn3" and qnn.bits == BitWidths()
    assert load_float(ARTIFACTS / "tiny-ann.float.safetensors", "ann")[1]["epochs"] == meta["epochs"]
    test = load("fashion-mnist", "test").take(1000)
    labels = read_labels(ARTIFACTS / "labels.npz")
    assert accuracy(embed_images(qnn, test.images), labels.embeddings, test.labels) >= 92.0
    for layer in integer_layers(qnn, test.images[:50]):
        if layer.name != "tokenizer.0" and layer.op in ("conv", "attention_qkv", "attention_kv"):
            assert set(np.unique(layer.inputs)) == set(range(8)), layer.name
