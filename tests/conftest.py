"""Settings and small networks that all tests share. What a board lacks is imported where it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from spikeclip_fpga.model.config import ModelConfig
    from spikeclip_fpga.quantize.qat import QatSpikeCLIP
    from spikeclip_fpga.quantize.quantizers import BitWidths

# The same examples on every machine: a failure in CI can be repeated at home.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")

Build = Callable[..., "QatSpikeCLIP"]
Images = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def images() -> Images:
    """Return a function that draws (N, 32, 32, 3) uint8 images: noise on patches, so that they differ coarsely."""

    def draw(count: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        patches = rng.integers(0, 256, (count, 4, 4, 3)).repeat(8, 1).repeat(8, 2)
        noisy: np.ndarray = np.clip(patches + rng.integers(-40, 41, patches.shape), 0, 255).astype(np.uint8)
        return noisy

    return draw


@pytest.fixture(scope="session")
def build() -> Build:
    """Return a function that makes a network with random weights in which every layer fires."""
    import torch

    from spikeclip_fpga.model.spikeclip import SpikeCLIP
    from spikeclip_fpga.quantize.qat import QatSpikeCLIP
    from spikeclip_fpga.quantize.quantizers import BitWidths

    def make(config: ModelConfig, bits: BitWidths | None = None, seed: int = 0, passes: int = 20) -> QatSpikeCLIP:
        generator = torch.manual_seed(seed)
        net = SpikeCLIP(config)
        for module in net.modules():
            if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
                torch.nn.init.uniform_(module.weight, 0.6, 1.6, generator)
                torch.nn.init.uniform_(module.bias, -0.2, 0.9, generator)
        torch.nn.init.normal_(net.readout.project.bias, std=0.05, generator=generator)
        if config.readout == "tdw":
            net.readout.time_weight.data = torch.rand(config.timesteps, generator=generator) - 0.3
        net.train()
        with torch.no_grad():  # BatchNorm's statistics, so that folding gives every neuron something to do
            for _ in range(passes):
                net(torch.rand(8, 3, config.image_size, config.image_size, generator=generator) * 2 - 1)
        return QatSpikeCLIP(net.eval(), bits or BitWidths()).eval()

    return make
