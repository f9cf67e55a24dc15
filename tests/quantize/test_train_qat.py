"""Quantisation-aware fine-tuning: it learns, it resumes, it is repeatable."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikeclip_fpga.model.config import ConfigError, ModelConfig
from spikeclip_fpga.model.spikeclip import SpikeCLIP
from spikeclip_fpga.model.train import accuracy, embed_images
from spikeclip_fpga.model.trainer import TrainConfig
from spikeclip_fpga.quantize.qat import QatSpikeCLIP, fold, load_qat
from spikeclip_fpga.quantize.quantizers import BitWidths
from spikeclip_fpga.quantize.train_qat import train_qat

from ..teaching import CAPTIONS, Sure, halves

CONFIG = ModelConfig(preset="test", conv_channels=(4, 8, 8), depth=1, heads=2, embed_dim=6, timesteps=2)
SHORT = TrainConfig(epochs=1, batch_size=32, lr=5e-3, warmup_steps=2)


def network() -> SpikeCLIP:
    """Return an untrained network whose BatchNorm has seen the data."""
    torch.manual_seed(1)
    net = SpikeCLIP(CONFIG).train()
    for _ in range(10):
        net(torch.rand(16, 3, 32, 32) * 2 - 1)
    return net.eval()


def train(out: Path, config: TrainConfig = SHORT) -> dict[str, Any]:
    """Fine-tune and return the state."""
    return train_qat(network(), halves(256, 0), Sure(), CAPTIONS, BitWidths(), config, out).state_dict()


def test_it_learns(tmp_path: Path) -> None:
    test = halves(200, 9)
    start = train_qat(
        network(), halves(4, 0), Sure(), CAPTIONS, BitWidths(), dataclasses.replace(SHORT, epochs=0), tmp_path / "a"
    )
    before = accuracy(embed_images(start, test.images), CAPTIONS.numpy(), test.labels)
    config = dataclasses.replace(SHORT, epochs=4)
    qat = train_qat(network(), halves(512, 0), Sure(), CAPTIONS, BitWidths(), config, tmp_path / "b")
    embeddings = embed_images(qat, test.images)
    after = accuracy(embeddings, CAPTIONS.numpy(), test.labels)
    assert after > 85 > before
    np.testing.assert_array_equal(embeddings, np.rint(embeddings))
    again, meta = load_qat(tmp_path / "b")
    np.testing.assert_array_equal(embed_images(again, test.images), embeddings)
    assert meta["qat_epochs"] == 4


def test_resuming_gives_the_bits_of_one_run(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    pieces = dataclasses.replace(SHORT, max_steps=3)
    for _ in range(2):
        train(tmp_path / "pieces", pieces)
    resumed = train(tmp_path / "pieces", pieces)
    assert whole.keys() == resumed.keys()
    different = [k for k in whole if isinstance(whole[k], torch.Tensor) and not torch.equal(whole[k], resumed[k])]
    assert not different
    unfinished = train(tmp_path / "unfinished", pieces)
    assert not all(torch.equal(v, unfinished[k]) for k, v in whole.items())


def test_batchnorm_folds_exactly_enough() -> None:
    torch.manual_seed(2)
    conv, bn = torch.nn.Conv2d(3, 5, 3, bias=False), torch.nn.BatchNorm2d(5)
    torch.nn.init.uniform_(bn.weight, -2, 2)
    torch.nn.init.normal_(bn.bias)
    for _ in range(5):
        bn(conv(torch.randn(8, 3, 6, 6)))
    bn.eval()
    weight, bias = fold(conv.weight, bn)
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(torch.nn.functional.conv2d(x, weight, bias), bn(conv(x)), rtol=1e-4, atol=1e-5)


def test_a_readout_too_wide_for_float32_is_refused() -> None:
    config = dataclasses.replace(CONFIG, conv_channels=(4, 8, 64), timesteps=16)
    with pytest.raises(ConfigError, match=r"bit width of readout: 16 bits .* lower readout or last"):
        QatSpikeCLIP(SpikeCLIP(config), BitWidths(readout=16))
    QatSpikeCLIP(SpikeCLIP(config), BitWidths())


def test_layers_of_random_networks_fire(build: Callable[..., QatSpikeCLIP]) -> None:
    """The other tests' networks would hide errors if their neurons were silent."""
    from spikeclip_fpga.quantize.layers import IntLIF

    net, rates = build(CONFIG), dict[str, float]()
    for name, module in net.named_modules():
        if isinstance(module, IntLIF):
            module.register_forward_hook(lambda _, args, out, name=name: rates.__setitem__(name, float(out.mean())))
    with torch.no_grad():
        net(torch.randint(-128, 128, (8, 3, 32, 32)) / 128)
    assert len(rates) == 10 and all(0.005 < r < 0.995 for r in rates.values()), rates
