from __future__ import annotations

from typing import Any

import pytest

from spikeclip_fpga.energy import ann, dataflow
from spikeclip_fpga.energy.coefficients import Coefficients
from spikeclip_fpga.energy.counters import CountError
from spikeclip_fpga.energy.memory_aware import TWIN_PLACEMENTS, estimate_twin
from spikeclip_fpga.energy.twins import twin_of
from spikeclip_fpga.energy.work import Access

# 8x8 image -> 4 channels, pooled -> 8 channels at 4x4, pooled -> 4 tokens of 8, 2 heads of 4.
CONFIG: dict[str, Any] = {
    "image_size": 8,
    "in_channels": 3,
    "conv_channels": (4, 8),
    "pool_after": (1, 1),
    "pool_kernel": 2,
    "depth": 1,
    "heads": 2,
    "mlp_ratio": 2,
    "embed_dim": 6,
}
NAMES = [f"blocks.0.{n}" for n in ("attention.q", "attention.k", "attention.v", "attention.proj", "mlp.fc1", "mlp.fc2")]


def test_widths_follow_the_table_of_bits() -> None:
    bits = {"first": 7, "hidden": 5, "last": 6, "readout": 9, "layers": {"blocks.0.mlp.fc2": 2, "tokenizer.1": 3}}
    qnn = twin_of("qnn3", CONFIG, bits)
    expected = {"tokenizer.0.conv": 7, "tokenizer.1.conv": 3, "readout": 6}
    expected |= {f"{name}.linear": 2 if name.endswith("fc2") else 5 for name in NAMES}
    assert qnn.weight_bits == expected
    widths = {layer.name: (qnn.input_bits(layer), qnn.operand_bits(layer), qnn.sum_bits(layer)) for layer in qnn.layers}
    assert widths["tokenizer.0.conv"] == (8, 7, (255 * 64 * 27 - 1).bit_length() + 1)
    assert widths["blocks.0.attention"][:2] == (3, 3)
    assert widths["readout"][:2] == (9, 6)
    default = twin_of("qnn3", CONFIG).weight_bits
    assert (default["tokenizer.0.conv"], default["tokenizer.1.conv"], default["readout"]) == (8, 4, 8)
    twin = twin_of("scratchclip", CONFIG, bits)
    assert twin.floating and set(twin.weight_bits.values()) == {32} and set(twin.weight_bits) == set(expected)
    assert {twin.input_bits(layer) for layer in twin.layers} == {twin.sum_bits(layer) for layer in twin.layers} == {32}


def test_softmax_attention_has_n_squared_products_and_the_quantised_one_has_d_squared() -> None:
    soft, linear = (
        next(layer for layer in twin_of(kind, CONFIG).layers if layer.name == "blocks.0.attention")
        for kind in ("scratchclip", "qnn3")
    )
    products = 0
    for _head in range(2):
        products += sum(1 for _i in range(4) for _j in range(4) for _k in range(4)) * 2  # N N d, twice
    assert (soft.op, soft.flops, soft.weights) == ("SoftmaxAttention", products, 0)
    wide = twin_of("qnn3", CONFIG | {"heads": 1}).layers[5]
    assert (linear.flops, wide.flops) == (2 * 2 * 4 * 4 * 4, 2 * 4 * 8 * 8)  # heads N d d, twice


def test_buffers_and_activations_stand_where_spikeclip_has_them() -> None:
    qnn = twin_of("qnn3", CONFIG)
    assert [(pool.name, pool.shape) for pool in qnn.pools] == [
        ("tokenizer.0.conv.pool", (8, 8, 4)),
        ("tokenizer.1.conv.pool", (4, 4, 8)),
    ]
    sites = dict(qnn.activations)
    assert sites["tokenizer.0"] == (4, 4, 4) and "tokenizer.1" not in sites
    assert sites["blocks.0.mlp.fc1"] == (2, 2, 16) and sites["readout.in"] == (2, 2, 8)
    assert len(sites) == len(qnn.activations) == 1 + 7 + 1
    assert list(qnn.streams) == ["blocks.0.attention.add", "blocks.0.mlp.add"]


def test_formal_work_of_the_quantised_ann_by_hand() -> None:
    found = {node.name: node for node in ann.formal(twin_of("qnn3", CONFIG))}
    taps = 16 * 9 * 4 * 8
    conv = found["tokenizer.1.conv"]
    assert conv.accesses == (
        Access("inputs", taps, 3, 64 * 3),
        Access("weights", taps, 4, 288 * 4),
        Access("outputs", 128, 3, 128 * 3),
    )
    assert (conv.adds, conv.multiplies, conv.multiply_bits) == (taps + 128, taps, (3, 4))
    assert found["tokenizer.0.conv"].multiply_bits == (8, 8)
    soft = {node.name: node for node in ann.formal(twin_of("scratchclip", CONFIG))}["blocks.0.attention"]
    assert soft.accesses[3] == Access("state", 2 * 2 * 16, 32, 2 * 16 * 32) and soft.floating


def test_dataflow_work_by_hand() -> None:
    found = {node.name: node for node in dataflow.work(twin_of("qnn3", CONFIG))}
    conv = found["tokenizer.1.conv"]
    assert conv.accesses == (
        Access("inputs", 64 + 16 * 9 * 4, 3, 3 * 4 * 4 * 3),
        Access("weights", 16 * 288, 4, 288 * 4),
    )
    assert (conv.adds, conv.multiplies) == (16 * 288, 16 * 288)
    fc1 = found["blocks.0.mlp.fc1.activation"]
    sums = (7 * 8 * 8 - 1).bit_length() + 1
    assert fc1.accesses == (Access("params", 7 * 64, sums, 7 * 16 * sums), Access("outputs", 64, 3, 64 * 3))
    assert (fc1.adds, fc1.add_bits) == (7 * 64, sums)
    assert found["blocks.0.attention"].accesses[1].count == 3 * 32 * 4
    soft = {node.name: node for node in dataflow.work(twin_of("scratchclip", CONFIG))}
    # K and V written once, and read whole for each of the 4 tokens.
    assert soft["blocks.0.attention"].accesses[1].count == 2 * 32 + 4 * 2 * 32
    assert soft["blocks.0.mlp.fc1.activation"].accesses == (Access("outputs", 64, 32, 64 * 32),)


def test_arithmetic_changes_compute_alone_and_never_that_of_floats() -> None:
    table = Coefficients()
    for placement in TWIN_PLACEMENTS:
        by_width, wide = (
            estimate_twin(twin_of("qnn3", CONFIG), placement, "packed", table, a) for a in ("width", "int32")
        )
        for part, value in by_width.parts.items():
            assert value < wide.parts[part] if part == "compute" else value == wide.parts[part]
        twin = twin_of("scratchclip", CONFIG)
        energies = {estimate_twin(twin, placement, "packed", table, a).energy_pj for a in ("width", "int32")}
        assert len(energies) == 1
        conv = {n.name: n for n in estimate_twin(twin, placement).nodes}["tokenizer.1.conv"]
        assert conv.parts["compute"] == pytest.approx(4.6 * 4608 + 0.9 * 128)


def test_other_kinds_placements_and_arithmetics_are_refused() -> None:
    odd: Any = "qnn4"
    with pytest.raises(CountError, match="ANN: expected scratchclip or qnn3, got 'qnn4'"):
        twin_of(odd, CONFIG)
    with pytest.raises(CountError, match="expected formal, dataflow; datum or packed; got 'qnn4', 'datum'"):
        estimate_twin(twin_of("qnn3", CONFIG), odd)
    with pytest.raises(CountError, match="arithmetic: expected int32 or width, got 'qnn4'"):
        estimate_twin(twin_of("qnn3", CONFIG), "formal", arithmetic=odd)
