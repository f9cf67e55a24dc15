"""Integer networks built by hand, node by node, as the lowering would make them."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeclip_fpga.model.config import ModelConfig
from spikeclip_fpga.quantize.network import IMAGE, IntNetwork, Node


class Builder:
    """Append nodes with random constants; methods take and return tensor names."""

    def __init__(self, rng: np.random.Generator, timesteps: int, image_size: int, *, pixel_zero: int = 128) -> None:
        self.rng, self.timesteps = rng, timesteps
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        config = ModelConfig(image_size=image_size, timesteps=timesteps, pool_after=(0, 0, 0))
        self.meta = {"config": config.to_json(), "pixel_zero": pixel_zero}

    def node(
        self, op: str, inputs: tuple[str, ...], constants: dict[str, np.ndarray] | None = None, **attributes: Any
    ) -> str:
        name = f"{op}_{sum(n.op == op for n in self.nodes)}"
        named = {f"{name}_{what}": value for what, value in (constants or {}).items()}
        self.constants |= named
        self.nodes.append(Node(op, name, (*inputs, *named), f"{name}_out", attributes))
        return f"{name}_out"

    def weight(self, *shape: int, largest: int = 7) -> np.ndarray:
        return self.rng.integers(-largest, largest + 1, shape)

    def conv(self, channels: int, *, kernel: int = 3, pad: int = 1, largest: int = 127) -> str:
        return self.node(
            "Conv", (IMAGE,), {"weight": self.weight(channels, kernel, kernel, 3, largest=largest)}, pad=pad
        )

    def spike_conv(self, x: str, before: int, channels: int, *, kernel: int = 3, pad: int = 1, largest: int = 7) -> str:
        weight = {"weight": self.weight(channels, kernel, kernel, before, largest=largest)}
        return self.node("SpikeConv", (x,), weight, pad=pad, timesteps=self.timesteps)

    def linear(self, x: str, before: int, channels: int, *, largest: int = 7) -> str:
        weight = {"weight": self.weight(channels, before, largest=largest)}
        return self.node("SpikeLinear", (x,), weight, timesteps=self.timesteps)

    def pool(self, x: str, op: str, kernel: int) -> str:
        return self.node(op, (x,), kernel=kernel, stride=2, pad=(kernel - 1) // 2)

    def lif(self, x: str, channels: int, threshold: int, **attributes: Any) -> str:
        constants = {
            "threshold": self.rng.integers(max(1, threshold // 2), threshold + 1, channels),
            "bias": self.rng.integers(-threshold // 4, threshold // 4 + 1, channels),
        }
        defaults = {"broadcast": 0, "frac_bits": 4, "leak_k": 29, "leak_n": 5, "reset": "subtract", "membrane_bits": 40}
        return self.node("LIF", (x,), constants, timesteps=self.timesteps, **(defaults | attributes))

    def align(self, x: str, channels: int, shift: int = 2, bias: int = 50) -> str:
        constants = {
            "shift": self.rng.integers(0, shift + 1, channels),
            "bias": self.rng.integers(-bias, bias + 1, channels),
        }
        return self.node("Align", (x,), constants, timesteps=self.timesteps)

    def finish(self, x: str, channels: int, embed: int = 5, *, largest: int = 127, shift: int = 3) -> IntNetwork:
        constants = {
            "time_weight": self.rng.integers(-largest, largest + 1, self.timesteps),
            "weight": self.weight(embed, channels, largest=largest),
            "bias": self.weight(embed, largest=1000),
        }
        self.node("Readout", (self.node("Tokens", (x,)),), constants, timesteps=self.timesteps, shift=shift)
        return IntNetwork(tuple(self.nodes), self.constants, self.meta)


def spikeclip(
    rng: np.random.Generator,
    *,
    timesteps: int = 4,
    image_size: int = 32,
    channels: tuple[int, ...] = (24, 48, 96),
    pools: tuple[int, ...] = (2, 2, 2),
    spike_pools: bool = False,
    depth: int = 2,
    heads: int = 8,
    ratio: int = 2,
    embed: int = 384,
    largest: int = 7,
    reset: str = "subtract",
) -> IntNetwork:
    """Return a network of SpikeCLIP's shape; ``pools`` are kernels, 0 for none. Spikes are neither rare nor certain."""
    b = Builder(rng, timesteps, image_size)
    threshold = 100 * largest
    x = b.conv(channels[0])
    for i, width in enumerate(channels):
        if i:
            x = b.spike_conv(x, channels[i - 1], width, largest=largest)
        last = i == len(channels) - 1
        if pools[i] and not (spike_pools and not last):
            x = b.pool(x, "MaxPool", pools[i])
        if not last:
            first = {"broadcast": 1, "frac_bits": 0} if i == 0 else {}
            x = b.lif(x, width, threshold if i else 20000, reset=reset, **first)
            if pools[i] and spike_pools:
                x = b.pool(x, "OrPool", pools[i])
    dim = channels[-1]
    stream = b.node("Tokens", (b.align(x, dim),))
    for _ in range(depth):
        s = b.lif(stream, dim, 25 * largest, frac_bits=0, reset=reset)
        q, k, v = (b.lif(b.linear(s, dim, dim, largest=largest), dim, threshold, reset=reset) for _ in range(3))
        counts = b.node("SpikeAttention", (q, k, v), heads=heads, timesteps=timesteps)
        s = b.lif(counts, dim, 40, reset=reset)
        stream = b.node("ResidualAdd", (stream, b.align(b.linear(s, dim, dim, largest=largest), dim)))
        s = b.lif(stream, dim, 25 * largest, frac_bits=0, reset=reset)
        s = b.lif(b.linear(s, dim, ratio * dim, largest=largest), ratio * dim, threshold, reset=reset)
        stream = b.node("ResidualAdd", (stream, b.align(b.linear(s, ratio * dim, dim, largest=largest), dim)))
    return b.finish(b.lif(stream, dim, 25 * largest, frac_bits=0, reset=reset), dim, embed)


def pictures(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Return (count, size, size, 3) uint8 images: smooth gradients, blocks and noise."""
    y, x = np.mgrid[:size, :size] / size
    out = []
    for _ in range(count):
        a, b, c = rng.uniform(-1, 1, (3, 3))
        image = 128 + 100 * (a * x[..., None] + b * y[..., None])
        top, left = rng.integers(0, size, 2)
        image[top : top + size // 2, left : left + size // 2] += 90 * c
        out.append(image + rng.normal(0, 8, image.shape))
    return np.clip(np.stack(out), 0, 255).astype(np.uint8)
