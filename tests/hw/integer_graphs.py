"""Integer networks as the ONNX graph the lowering would have written, lively enough to tell right from wrong."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.hw.passes import execute, to_hardware
from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.network import IMAGE, IntNetwork, Node, load

from ..runner.networks import Builder, pictures, spikeclip

TINY = Path(__file__).resolve().parents[2] / "artifacts" / "tiny.int.onnx"


def integer_graph(network: IntNetwork) -> Any:
    """Return the ModelWrapper of ``network``: shapes from a run of golden's, types proven."""
    from onnx import TensorProto, helper
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.basic import qonnx_make_model

    from spikeclip_fpga.quantize.ops.integer import DOMAIN
    from spikeclip_fpga.quantize.passes.prove_ranges import ProveRanges

    config = json.loads(network.meta["config"])
    image = np.zeros((1, config["image_size"], config["image_size"], 3), np.uint8)
    shapes: dict[str, tuple[int, ...]] = {IMAGE: image.shape}

    def watch(node: Node, value: np.ndarray) -> None:
        shapes[node.output] = value.shape

    network.run(image, watch)
    infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    nodes = [
        helper.make_node(n.op, list(n.inputs), [n.output], name=n.name, domain=DOMAIN, **n.attributes)
        for n in network.nodes
    ]
    ends = [infos[IMAGE]], [infos[network.output]]
    inner = [info for name, info in infos.items() if name not in (IMAGE, network.output)]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
    model = ModelWrapper(
        qonnx_make_model(helper.make_graph(nodes, "integer", *ends, value_info=inner), opset_imports=opsets)
    )
    for name, value in network.constants.items():
        model.set_initializer(name, value.astype(np.float32))
    model.set_tensor_datatype(IMAGE, DataType["INT8"])
    return model.transform(ProveRanges(config["timesteps"]))


def lively(network: IntNetwork, images: np.ndarray) -> IntNetwork:
    """Return ``network`` with thresholds at which every layer of neurons fires, and rests, on ``images``."""
    network = dataclasses.replace(network, constants=dict(network.constants))
    values: dict[str, np.ndarray] = {}

    def watch(node: Node, value: np.ndarray) -> None:
        values[node.output] = value

    for node in [n for n in network.nodes if n.op == "LIF"]:
        network.run(images, watch)
        current, threshold, bias = node.inputs
        channels = len(network.constants[bias])
        by_step = values[current].reshape(
            -1, channels, 1 if node.attributes["broadcast"] else node.attributes["timesteps"]
        )
        drive = (by_step << node.attributes["frac_bits"]) + network.constants[bias][:, None]
        each = np.quantile(drive, 0.6, axis=(0, 2))
        network.constants[threshold] = np.maximum(1, each.astype(np.int64))
    assert_lively(network, images)
    return network


def assert_lively(network: IntNetwork, images: np.ndarray) -> None:
    """Every layer of spikes has some, and not all: equal embeddings then mean something."""
    steps = json.loads(network.meta["config"])["timesteps"]

    def watch(node: Node, value: np.ndarray) -> None:
        if node.op == "LIF":
            rate = golden.unpack(value, steps).mean()
            assert 0.01 < rate < 0.99, f"{node.name} fires at {rate:.3f}"

    network.run(images, watch)


class Work:
    """An integer network's graph, two images and golden's embeddings of them."""

    def __init__(self, network: IntNetwork, images: np.ndarray, model: Any = None) -> None:
        assert_lively(network, images)
        self.model = integer_graph(network) if model is None else model
        self.timesteps = int(json.loads(network.meta["config"])["timesteps"])
        self.pixels, self.expected = network.pixels(images), network.run(images)
        assert (self.expected[0] != self.expected[1]).sum() > self.expected[0].size // 2

    def convert(self) -> Any:
        """Return the hardware graph, through every pass and its check."""
        *_, (_, model) = to_hardware(self.model, self.timesteps, self.pixels, self.expected)
        return model

    def hardware(self) -> Any:
        """Return a copy of the hardware graph, free to be changed, converted once."""
        return copy.deepcopy(self._hardware)

    @functools.cached_property
    def _hardware(self) -> Any:
        return self.convert()

    def assert_unchanged(self, model: Any) -> None:
        np.testing.assert_array_equal(execute(model, self.pixels), self.expected)


@functools.cache
def small(**options: Any) -> Work:
    network, images = small_network(**options)
    return Work(network, images)


def small_network(**options: Any) -> tuple[IntNetwork, np.ndarray]:
    """Return a network with one block, as small as they get, and two images on which it is lively."""
    rng = np.random.default_rng(0)
    sizes = {"image_size": 16, "channels": (4, 6, 8), "depth": 1, "heads": 2, "embed": 10} | options
    images = pictures(rng, 2, sizes["image_size"])
    return lively(spikeclip(rng, **sizes), images), images


def built(b: Builder, network: IntNetwork) -> Work:
    images = pictures(b.rng, 2, 8)
    return Work(lively(network, images), images)


def assert_streams_fit(model: Any) -> None:
    """Each tensor is read once, and both its ends and the graph agree on its type and shape."""
    from qonnx.custom_op.registry import getCustomOp

    for node in model.graph.node:
        inst = getCustomOp(node)
        for i, name in enumerate(node.input):
            assert inst.get_input_datatype(i) == model.get_tensor_datatype(name), (node.name, name)
            if model.get_initializer(name) is None:
                assert list(inst.get_normal_input_shape(i)) == list(model.get_tensor_shape(name)), (node.name, name)
        for i, name in enumerate(node.output):
            assert inst.get_output_datatype(i) == model.get_tensor_datatype(name), (node.name, name)
            assert list(inst.get_normal_output_shape(i)) == list(model.get_tensor_shape(name)), (node.name, name)
            readers = [n.name for n in model.graph.node for read in n.input if read == name]
            assert len(readers) == (name != model.graph.output[0].name), (name, readers)


@functools.cache
def tiny() -> Work:
    """Return the trained preset, or skip the test where it was not made."""
    from qonnx.core.modelwrapper import ModelWrapper

    if not TINY.is_file():
        pytest.skip(f"{TINY.name} is not there: spikeclip demo makes it")
    images = pictures(np.random.default_rng(1), 2, 32)
    return Work(load(TINY.with_suffix(".safetensors")), images, ModelWrapper(str(TINY)))
