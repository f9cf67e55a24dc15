from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.energy import papers
from spikeclip_fpga.energy.layers import layers_of_config, read_network
from spikeclip_fpga.model.config import preset
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.network import IntNetwork, Node

from ..runner.networks import Builder, pictures, spikeclip

SHIPPED = Path(__file__).parents[2] / "artifacts" / "tiny.int.safetensors"


def shapes_of_a_run(net: IntNetwork, size: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def watch(node: Node, value: np.ndarray) -> None:
        shapes[node.name] = value.shape

    net.run(pictures(np.random.default_rng(0), 1, size), watch)
    return shapes


@pytest.mark.parametrize("spike_pools", [False, True])
@pytest.mark.parametrize("pools", [(2, 2, 0), (0, 3, 0)])
def test_shapes_are_those_of_a_run(pools: tuple[int, ...], spike_pools: bool) -> None:
    net = spikeclip(
        np.random.default_rng(1),
        **{"timesteps": 3, "image_size": 8, "channels": (4, 6, 12), "pools": pools, "spike_pools": spike_pools},
        **{"depth": 1, "heads": 3, "embed": 5},
    )
    read, run = read_network(net), shapes_of_a_run(net, 8)
    assert read.timesteps == 3
    for layer in read.layers:
        steps = 1 if layer.op in ("Conv", "Readout") else 3
        assert layer.outputs * steps == np.prod(run[layer.name])
    for neurons in read.neurons:
        assert neurons.count == np.prod(run[neurons.name])
    by_name = {layer.name: layer for layer in read.layers}
    assert by_name["SpikeConv_0"].sources == (("OrPool_0",) if spike_pools and pools[0] else ("LIF_0",))
    attention = by_name["SpikeAttention_0"]
    assert attention.sources == ("LIF_3", "LIF_4", "LIF_5")
    assert by_name["SpikeLinear_0"].into == "LIF_3"
    assert by_name["SpikeLinear_3"].into == ""  # the projection goes to the residual stream
    assert [n.name for n in read.neurons if n.on_stream] == ["LIF_2", "LIF_7", "LIF_9"]
    assert [n.name for n in read.neurons if n.static] == ["LIF_0"]


def test_valid_convolutions_are_smaller_than_their_input() -> None:
    b = Builder(np.random.default_rng(1), 2, 6)
    x = b.lif(b.conv(3, kernel=1, pad=0), 3, 9000, broadcast=1, frac_bits=0)
    net = b.finish(b.lif(b.spike_conv(x, 3, 4, pad=0), 4, 50), 4)
    assert [layer.out_shape for layer in read_network(net).layers] == [(6, 6, 3), (4, 4, 4), (1, 1, 5)]


def test_a_configuration_gives_the_layers_of_the_shipped_network() -> None:
    net = network.load(SHIPPED)
    read = {layer.name: layer for layer in read_network(net).layers}
    made = {layer.name: layer for layer in layers_of_config(json.loads(net.meta["config"]))}
    assert made == read


def test_the_papers_network_is_the_base_preset() -> None:
    base = json.loads(preset("base").to_json())
    assert layers_of_config(base) == layers_of_config(papers.NETWORK)
    assert base["timesteps"] == papers.TIMESTEPS


def test_operations_of_the_papers_network_by_hand() -> None:
    convolutions = [32 * 32 * 27 * 48, 32 * 32 * 9 * 48 * 96, 32 * 32 * 9 * 96 * 192, 256 * 9 * 192 * 384]
    convolutions += [64 * 9 * 384 * 384]
    blocks = 4 * 64 * (4 * 384 * 384 + 2 * 384 * 1536)
    assert papers.flops(papers.NETWORK) == {
        "first convolution": convolutions[0],
        "spiking layers": sum(convolutions[1:]) + blocks,
        "projection": 384 * 512,
        "attention": 4 * 2 * 64 * 384 * 32,
        "papers": sum(convolutions) + blocks + 384 * 512,
    }
