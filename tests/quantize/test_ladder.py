"""Rungs 2 to 4 of the ladder of proofs on small random networks: QAT = QONNX = every pass = golden.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from spikeclip_fpga.model.config import ModelConfig, NeuronConfig
from spikeclip_fpga.model.data.input import to_input
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.export import to_qonnx
from spikeclip_fpga.quantize.lower import execute, lower, to_network
from spikeclip_fpga.quantize.network import Node
from spikeclip_fpga.quantize.qat import QatSpikeCLIP
from spikeclip_fpga.quantize.quantizers import BitWidths

SMALL: dict[str, Any] = {"preset": "test", "conv_channels": (4, 6, 8), "depth": 1, "heads": 2, "embed_dim": 5}
SPIKE: dict[str, Any] = {"pool_order": "spike", "pool_after": (1, 1, 0)}

# name -> (ModelConfig changes, NeuronConfig changes, BitWidths)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], BitWidths]] = {
    "defaults": ({}, {}, BitWidths()),
    "T=1": ({"timesteps": 1}, {}, BitWidths()),
    "T=2, depth 2, mean": ({"timesteps": 2, "depth": 2, "readout": "mean"}, {}, BitWidths()),
    "T=7, spike pool 2, 2 bits": ({"timesteps": 7, **SPIKE}, {}, BitWidths(first=2, hidden=2, last=2)),
    "T=16, spike pool 3, 3 bits": ({"timesteps": 16, "pool_kernel": 3, **SPIKE}, {}, BitWidths(hidden=3)),
    "pool 3, hard reset, 5 bits": ({"pool_kernel": 3}, {"reset": "zero"}, BitWidths(first=5, hidden=5, last=5)),
    "SpikingJelly's neuron, 6 bits, ad": ({"readout": "ad"}, {"tau": 2.0, "reset": "zero"}, BitWidths(hidden=6)),
    "8 bits, ar, four heads": ({"readout": "ar", "heads": 4}, {}, BitWidths(hidden=8)),
    "beta 1, coarse grids": ({"timesteps": 3}, {"beta": 1.0, "membrane_frac_bits": 0}, BitWidths(residual_frac=3)),
    "beta 0, fine grids, wide readout": (
        {"heads": 1, "mlp_ratio": 1},
        {"beta": 0.0, "leak_bits": 10, "membrane_frac_bits": 8},
        BitWidths(residual_frac=10, time_weight=4, readout=16, layers={"blocks.0.mlp.fc2": 7, "tokenizer.1": 2}),
    ),
    "five convolutions, one pool": (
        {"conv_channels": (4, 4, 6, 6, 8), "pool_after": (0, 0, 1, 1, 0), "pool_kernel": 3, "image_size": 16},
        {},
        BitWidths(),
    ),
    "no block": ({"depth": 0, "timesteps": 5}, {}, BitWidths(hidden=7)),
}  # fmt: skip


def rate_of(rates: dict[str, float]) -> Callable[[Node, np.ndarray], None]:
    """Return a watcher that notes the share of neurons that fired at least once."""

    def watch(node: Node, value: np.ndarray) -> None:
        if node.op == "LIF":
            rates[node.name] = float((value > 0).mean())

    return watch


@pytest.mark.parametrize("case", CASES)
def test_every_rung_gives_the_same_integers(
    case: str, build: Callable[..., QatSpikeCLIP], images: Callable[..., np.ndarray], tmp_path: Any
) -> None:
    changes, neuron, bits = CASES[case]
    config = ModelConfig(**{**SMALL, **changes}, neuron=NeuronConfig(**neuron))
    qat = build(config, bits, seed=len(case))
    pictures = images(4)[:, : config.image_size, : config.image_size]
    with torch.no_grad():
        found = qat(to_input(pictures)).numpy()
    expected = found.astype(np.int64)
    assert np.array_equal(expected, found)  # whole numbers
    assert len(np.unique(expected, axis=0)) > 1, "all images look alike: this network would hide errors"

    model = to_qonnx(qat, {"dataset": "none"})
    np.testing.assert_array_equal(execute(model, pictures), expected)
    names = []
    for name, graph in lower(model, pictures[:2]):
        names.append(name)
        np.testing.assert_array_equal(execute(graph, pictures), expected, err_msg=name)
    assert names[0] == "quantize_input" and names[-1] == "prove_ranges"

    integer = to_network(graph, {"dataset": "none"})
    rates: dict[str, float] = {}
    np.testing.assert_array_equal(integer.run(pictures, rate_of(rates)), expected)
    assert rates and sum(r > 0 for r in rates.values()) >= 0.8 * len(rates), rates
    for i, image in enumerate(pictures):  # alone, and in another order
        np.testing.assert_array_equal(integer.run(image[None])[0], expected[i])
    np.testing.assert_array_equal(integer.run(pictures[::-1]), expected[::-1])

    assert integer.meta["embedding_scale"] == pytest.approx(float(qat.readout.scales()[1]), rel=1e-6)
    for node in integer.nodes:
        if node.op in ("Conv", "SpikeConv", "SpikeLinear"):
            assert integer.constants[node.inputs[1]].dtype == np.int8
        if node.op == "LIF":
            assert 2 <= node.attributes["membrane_bits"] <= 32

    network.save(integer, tmp_path / "net")
    again = network.load(tmp_path / "net")
    assert again.nodes == integer.nodes and again.meta == integer.meta
    np.testing.assert_array_equal(again.run(pictures), expected)
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


def test_the_qat_network_does_not_mix_images(
    build: Callable[..., QatSpikeCLIP], images: Callable[..., np.ndarray]
) -> None:
    qat = build(ModelConfig(**SMALL))
    pictures = to_input(images(7))
    with torch.no_grad():
        together = qat(pictures)
        for i in range(7):
            assert torch.equal(qat(pictures[i : i + 1])[0], together[i])
        assert torch.equal(qat(pictures.flip(0)), together.flip(0))
        assert torch.equal(qat(pictures.to(memory_format=torch.contiguous_format)), together)


def test_the_embedding_points_where_the_float_networks_does(images: Callable[..., np.ndarray]) -> None:
    """With wide weights and fine grids, quantisation is the only difference, and it is small."""
    from spikeclip_fpga.model.spikeclip import SpikeCLIP

    torch.manual_seed(3)
    # One leak that five bits hold exactly; wide everything else.
    config = ModelConfig(**SMALL, neuron=NeuronConfig(beta=0.75, membrane_frac_bits=10))
    net = SpikeCLIP(config)
    net.train()
    pictures = to_input(images(32))
    with torch.no_grad():
        for _ in range(20):
            net(pictures)
        net.eval()
        qat = QatSpikeCLIP(net, BitWidths(hidden=8, residual_frac=12, readout=16)).eval()
        floats, integers = net(pictures), qat(pictures) * float(qat.readout.scales()[1])
    similarity = torch.nn.functional.cosine_similarity(floats, integers, dim=1)
    assert float(similarity.mean()) > 0.98
    assert float((floats.norm(dim=1) / integers.norm(dim=1)).mean()) == pytest.approx(1, abs=0.1)
