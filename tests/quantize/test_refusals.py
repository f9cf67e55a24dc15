"""Graphs and files that are not what they should be: refused in one line that names the place and the remedy."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from safetensors.numpy import save_file

from spikeclip_fpga.model import checkpoint
from spikeclip_fpga.model.checkpoint import CheckpointError
from spikeclip_fpga.model.config import ConfigError, ModelConfig
from spikeclip_fpga.quantize import export, network
from spikeclip_fpga.quantize.lower import execute, lower, read_qonnx, to_network
from spikeclip_fpga.quantize.network import IntNetwork, NetworkError
from spikeclip_fpga.quantize.passes import LoweringError, steps
from spikeclip_fpga.quantize.qat import QatSpikeCLIP, load_qat, save_qat
from spikeclip_fpga.quantize.quantizers import BitWidths

CONFIG = ModelConfig(preset="test", conv_channels=(4, 6, 8), depth=1, heads=2, embed_dim=5, timesteps=2)


@pytest.fixture(scope="module")
def qat(build: Callable[..., QatSpikeCLIP]) -> QatSpikeCLIP:
    """Return one small network."""
    return build(CONFIG)


@pytest.fixture(scope="module")
def exported(qat: QatSpikeCLIP) -> ModelWrapper:
    """Return its QONNX graph; tests change copies."""
    return export.to_qonnx(copy.deepcopy(qat), {})


@pytest.fixture(scope="module")
def integer(exported: ModelWrapper, images: Callable[..., np.ndarray]) -> IntNetwork:
    """Return its integer network."""
    *_, (_, graph) = lower(copy.deepcopy(exported), images(1))
    return to_network(graph, {})


def one_line(error: BaseException, *parts: str) -> None:
    """Check that the message is one line with all ``parts``."""
    text = str(error)
    assert "\n" not in text and len(text) < 400
    for part in parts:
        assert part in text, text


def lower_all(model: ModelWrapper, pictures: np.ndarray) -> ModelWrapper:
    """Run every pass."""
    *_, (_, graph) = lower(model, pictures)
    return graph


# -- graphs -----------------------------------------------------------------------------------------


def node_of(model: ModelWrapper, op: str, index: int = 0) -> Any:
    """Return the ``index``-th node of an operator."""
    return [n for n in model.graph.node if n.op_type == op][index]


def behind(model: ModelWrapper, node: Any, op: str) -> None:
    """Insert a node of one input behind ``node``."""
    old, new = node.output[0], f"{node.output[0]}_tampered"
    position = list(model.graph.node).index(node) + 1
    for consumer in model.find_consumers(old):
        for i, name in enumerate(consumer.input):
            if name == old:
                consumer.input[i] = new
    model.graph.node.insert(position, helper.make_node(op, [old], [new], name=f"Intruder_{op}"))
    model.set_tensor_shape(new, model.get_tensor_shape(old))


@pytest.mark.parametrize(("op", "behind_op"), [("Relu", "LIF"), ("Abs", "LIF"), ("Sigmoid", "Floor")])
def test_an_unknown_node_is_named(
    exported: ModelWrapper, images: Callable[..., np.ndarray], op: str, behind_op: str
) -> None:
    model = copy.deepcopy(exported)
    behind(model, node_of(model, behind_op), op)
    with pytest.raises((LoweringError, ArithmeticError)) as info:
        lower_all(model, images(1))
    if op != "Sigmoid":  # its graph has no whole numbers to begin with
        one_line(info.value, op, "no integer form")
        assert isinstance(info.value, LoweringError)


def tampered(model: ModelWrapper, tensor: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change a constant."""
    model.set_initializer(tensor, change(model.get_initializer(tensor)).astype(np.float32))


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (2, lambda x: x + 0.5, "whole numbers"),  # a threshold between two grid units
        (3, lambda x: x + 0.25, "whole numbers"),  # a bias
        (1, lambda x: x * 1.01, "expected whole accumulator units"),  # a scale that does not undo the weights'
    ],
)
def test_a_tampered_neuron_is_named(
    exported: ModelWrapper, images: Callable[..., np.ndarray], place: int, change: Any, message: str
) -> None:
    model = copy.deepcopy(exported)
    node = node_of(model, "LIF", 1)
    tampered(model, node.input[place], change)
    with pytest.raises(LoweringError) as info:
        lower_all(model, images(1))
    one_line(info.value, "LIF_1", message)


def test_a_residual_branch_off_the_grid_is_named(exported: ModelWrapper, images: Callable[..., np.ndarray]) -> None:
    model = copy.deepcopy(exported)
    adds = [n for n in model.graph.node if n.op_type == "Add" and model.get_initializer(n.input[1]) is not None]
    tampered(model, adds[0].input[1], lambda x: x + 2.0**-9)  # the grid is 2^-7
    with pytest.raises(LoweringError) as info:
        lower_all(model, images(1))
    one_line(info.value, adds[0].name.split("_")[0], "residual grid 1/128")


def test_another_input_type_is_refused(exported: ModelWrapper) -> None:
    from qonnx.core.datatype import DataType

    model = copy.deepcopy(exported)
    model.set_tensor_datatype("image", DataType["FLOAT32"])
    with pytest.raises(LoweringError) as info:
        steps(2, 7)[0].apply(model)
    one_line(info.value, "image", "FIXED<8,1>", "FLOAT32")


def test_a_pass_that_changes_a_value_stops_the_lowering(
    exported: ModelWrapper, images: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    from spikeclip_fpga.quantize import lower as module
    from spikeclip_fpga.quantize.passes import Step

    def spoil(model: ModelWrapper) -> ModelWrapper:
        node = node_of(model, "LIF", 0)
        tampered(model, node.input[2], lambda x: x * 4 + 1)
        return model

    broken = [*steps(2, 7)[:2], Step("spoil", spoil)]
    monkeypatch.setattr(module, "steps", lambda timesteps, residual_frac: broken)
    with pytest.raises(LoweringError, match=r"pass spoil: .* embedding elements changed"):
        lower_all(copy.deepcopy(exported), images(4))


def test_a_graph_that_was_not_lowered_is_no_integer_network(exported: ModelWrapper) -> None:
    with pytest.raises(LoweringError, match="no operator of the integer graph"):
        to_network(exported, {})


# -- files ------------------------------------------------------------------------------------------


def test_qonnx_files(exported: ModelWrapper, images: Callable[..., np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "net.qonnx.onnx"
    with pytest.raises(LoweringError) as info:
        read_qonnx(path)
    one_line(info.value, "net.qonnx.onnx", "no such file", "spikeclip quantize")
    export.write(exported, path)
    assert [p.name for p in tmp_path.iterdir()] == ["net.qonnx.onnx"]
    np.testing.assert_array_equal(execute(read_qonnx(path), images(2)), execute(exported, images(2)))
    whole = path.read_bytes()
    for content in (b"", b"not onnx at all", whole[: len(whole) // 2], whole[:-7]):
        path.write_bytes(content)
        with pytest.raises(LoweringError) as info:
            read_qonnx(path)
        one_line(info.value, "net.qonnx.onnx", "spikeclip quantize")
    foreign = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "foreign",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
    onnx.save(helper.make_model(foreign), path)
    with pytest.raises(LoweringError) as info:
        read_qonnx(path)
    one_line(info.value, "net.qonnx.onnx", "no SpikeCLIP configuration", "spikeclip quantize")


def test_a_failing_write_leaves_nothing(exported: ModelWrapper, tmp_path: Path) -> None:
    def fail(partial: str) -> None:
        Path(partial).write_bytes(b"half")
        raise OSError("disk full")

    (tmp_path / "net.onnx").write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"):
        export.write_with(tmp_path / "net.onnx", fail)
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").read_bytes() == b"old"


def test_a_failing_save_of_a_network_leaves_nothing(
    integer: IntNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net"
    network.save(integer, path)
    before = path.read_bytes()

    def fail(tensors: Any, partial: Path, metadata: Any) -> None:
        partial.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(network, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        network.save(dataclasses.replace(integer, meta={**integer.meta, "new": 1}), path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["net"]


def test_integer_network_files(integer: IntNetwork, tmp_path: Path) -> None:
    path = tmp_path / "net.int.safetensors"
    with pytest.raises(NetworkError) as info:
        network.load(path)
    one_line(info.value, "net.int", "no such file", "spikeclip lower")
    network.save(integer, path)
    whole = path.read_bytes()
    for content in (b"", b"no safetensors", whole[:300], whole[: len(whole) // 2], whole[:-1], whole + b"x"):
        path.write_bytes(content)
        with pytest.raises(NetworkError) as info:
            network.load(path)
        one_line(info.value, "net.int", "spikeclip lower")
    checkpoint.save(path, "float", {"x": torch.zeros(1)}, {})
    with pytest.raises(NetworkError) as info:
        network.load(path)
    one_line(info.value, "net.int", "'float'", "spikeclip lower")


def rewritten(integer: IntNetwork, path: Path, **header: str) -> Path:
    """Write the network with header entries of one's own."""
    network.save(integer, path)
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        old = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata={**old, **header})
    return path


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"format": "spikeclip-fpga/2"}, "spikeclip-fpga/2"),
        ({"nodes": "[]"}, "no nodes"),
        ({"nodes": "not json"}, "truncated or not an integer network"),
        ({"nodes": "{}"}, "no nodes"),
        ({"nodes": '[{"op": "Conv"}]'}, "truncated or not an integer network"),
        ({"nodes": '["Conv"]'}, "truncated or not an integer network"),
        ({"nodes": "7"}, "truncated or not an integer network"),
        (
            {"nodes": '[{"op": "Softmax", "name": "s", "inputs": ["image"], "output": "y", "attributes": {}}]'},
            "Softmax",
        ),
        (
            {"nodes": '[{"op": "Conv", "name": "c", "inputs": ["lost"], "output": "y", "attributes": {}}]'},
            "no value lost",
        ),
        ({"nodes": '[{"op": "Conv", "name": "c", "inputs": [], "output": "y", "attributes": 3}]'}, "truncated"),
        ({"meta": "{}"}, "no configuration"),
        ({"meta": "[]"}, "no configuration"),
    ],
)
def test_integer_network_headers(integer: IntNetwork, tmp_path: Path, header: dict[str, str], message: str) -> None:
    with pytest.raises(NetworkError) as info:
        network.load(rewritten(integer, tmp_path / "net", **header))
    one_line(info.value, "net", message, "spikeclip lower")


def test_images_of_another_shape_or_type(integer: IntNetwork) -> None:
    for wrong in (
        np.zeros((1, 28, 28, 3), np.uint8),
        np.zeros((1, 32, 32, 3), np.float32),
        np.zeros((32, 32, 3), np.uint8),
    ):
        with pytest.raises(ValueError, match=r"images: expected uint8 \(B, 32, 32, 3\), got"):
            integer.run(wrong)


def test_a_membrane_outside_its_proven_width_names_the_neuron(
    integer: IntNetwork, images: Callable[..., np.ndarray]
) -> None:
    from spikeclip_fpga.quantize.golden import RangeError

    third = [n.name for n in integer.nodes if n.op == "LIF"][2]
    nodes = tuple(
        dataclasses.replace(n, attributes={**n.attributes, "membrane_bits": 3}) if n.name == third else n
        for n in integer.nodes
    )
    with pytest.raises(RangeError, match=rf"{re.escape(third)}: membrane .* does not fit 3 bits"):
        dataclasses.replace(integer, nodes=nodes).run(images(2))


def test_qat_checkpoints(qat: QatSpikeCLIP, tmp_path: Path) -> None:
    path = tmp_path / "net.qat.safetensors"
    save_qat(qat, path, {"seed": 3})
    again, meta = load_qat(path)
    picture = torch.randint(-128, 128, (2, 3, 32, 32)) / 128
    with torch.no_grad():
        assert torch.equal(again(picture), qat(picture))
    assert meta["seed"] == 3 and again.bits == qat.bits and again.config == qat.config
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    with pytest.raises(CheckpointError) as info:
        load_qat(path)
    one_line(info.value, "net.qat", "truncated", "spikeclip quantize")
    tensors = {k: v for k, v in qat.state_dict().items() if k != "readout.bias"}
    about = {"config": qat.config.to_json(), "bits": qat.bits.to_json()}
    checkpoint.save(path, "qat", tensors, about)
    with pytest.raises(CheckpointError) as info:
        load_qat(path)
    one_line(info.value, "net.qat", "1 entries missing ['readout.bias']")
    checkpoint.save(path, "qat", {**qat.state_dict(), "readout.bias": torch.zeros(9)}, about)
    with pytest.raises(CheckpointError) as info:
        load_qat(path)
    one_line(info.value, "readout.bias has shape (9,)", "(5,)")
    for broken in ({}, {"config": "{}"}, {**about, "bits": "{}x"}, {**about, "config": json.dumps({"depth": 1})}):
        checkpoint.save(path, "qat", qat.state_dict(), broken)
        with pytest.raises(CheckpointError) as info:
            load_qat(path)
        one_line(info.value, "net.qat", "spikeclip quantize")


def test_bit_widths() -> None:
    bits = BitWidths(first=6, hidden=3, last=7, layers={"blocks.0.mlp.fc2": 5, "tokenizer.0": 2})
    assert BitWidths.from_json(bits.to_json()) == bits
    assert [bits.weight(n) for n in ("tokenizer.0", "tokenizer.1", "blocks.0.mlp.fc2", "readout.project")] == [
        2,
        3,
        5,
        7,
    ]
    for wrong, name in (
        ({"hidden": 1}, "hidden"),
        ({"last": 9}, "last"),
        ({"layers": {"tokenizer.1": 0}}, "tokenizer.1"),
        ({"residual_frac": 13}, "residual_frac"),
        ({"residual_frac": -1}, "residual_frac"),
        ({"time_weight": 1}, "time_weight"),
        ({"readout": 1}, "readout"),
    ):
        with pytest.raises(ConfigError, match=f"{name}.*expected .* got"):
            BitWidths(**wrong)
    for text in ('{"unknown": 3}', "3", "nonsense"):
        with pytest.raises(ConfigError):
            BitWidths.from_json(text)


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_stay_within_their_widths(bits: int, build: Callable[..., QatSpikeCLIP]) -> None:
    from brevitas.nn import QuantConv2d, QuantLinear

    net = build(CONFIG, BitWidths(first=bits, hidden=bits, last=bits), seed=bits)
    layers = {n: m for n, m in net.named_modules() if isinstance(m, (QuantConv2d, QuantLinear))}
    assert len(layers) == 10
    for name, layer in layers.items():
        quant = layer.quant_weight()
        ratio = (quant.value / quant.scale).detach()
        whole = ratio.round()
        assert float((whole - ratio).abs().max()) < 1e-4, name
        assert -(2 ** (bits - 1)) <= float(whole.min()) and float(whole.max()) <= 2 ** (bits - 1) - 1, name
        if name.endswith((".proj.linear", ".fc2.linear")) or name == "tokenizer.2.conv":
            exponents = torch.log2(quant.scale.detach().flatten())
            assert torch.equal(exponents, exponents.round()) and float(exponents.min()) >= -7, name
        else:  # a free scale uses the whole range
            assert float(whole.abs().max()) == 2 ** (bits - 1) - 1, name
