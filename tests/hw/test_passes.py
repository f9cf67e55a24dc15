"""Every pass to FINN's hardware graph keeps the embedding, and what cannot be kept is refused by name."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")

from spikeclip_fpga.hw.passes import HardwareError, execute, steps, to_hardware
from spikeclip_fpga.hw.passes.graph import DOMAIN, layer_of, make
from spikeclip_fpga.hw.passes.specialize import Specialize

from ..runner.networks import Builder
from . import integer_graphs
from .finn_graphs import finn_in
from .integer_graphs import Work, assert_streams_fit, built, integer_graph, lively, small, small_network

PARTS = ["xc7z020clg400-1", "xcu250-figd2104-2L-e"]


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with finn_in(tmp_path_factory.mktemp("finn")):
        yield


@pytest.fixture(scope="module")
def tiny() -> Work:
    return integer_graphs.tiny()


NETWORKS: dict[str, dict[str, Any]] = {
    "max pools": {},
    "published pools": {"pools": (3, 3, 3)},  # k 3, s 2, p 1
    "spike pools": {"spike_pools": True},
    "published spike pools": {"spike_pools": True, "pools": (3, 3, 0)},
    "one step": {"timesteps": 1},
    "eight steps": {"timesteps": 8, "channels": (3, 4, 6), "image_size": 8, "pools": (2, 0, 2)},
    "hard reset": {"reset": "zero"},
    "two blocks, eight bits": {"depth": 2, "largest": 127, "channels": (4, 4, 4), "image_size": 8, "pools": (2, 2, 0)},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_pass_keeps_the_embedding(name: str) -> None:
    work = small(**NETWORKS[name])
    graphs = dict(to_hardware(work.model, work.timesteps, work.pixels, work.expected))
    model = graphs["name_nodes"]
    work.assert_unchanged(model)
    assert list(graphs) == [*(step for step, _ in steps(work.timesteps)), "name_nodes"]
    assert {node.domain for node in model.graph.node} == {DOMAIN}
    for part in PARTS:
        work.assert_unchanged(model.transform(Specialize(part)))


# Tokens have to stay as long as the integer graph's attention and readout do.
@pytest.mark.parametrize("step", [name for name, _ in steps(4)][:-1])
def test_a_pass_alone_keeps_the_embedding(step: str) -> None:
    work = small(spike_pools=True)
    before = [(node.op_type, node.domain) for node in work.model.graph.node]
    model = work.model.transform(dict(steps(4))[step])
    work.assert_unchanged(model)
    changed = [(node.op_type, node.domain) for node in model.graph.node] != before
    assert changed == (step != "sign_currents")


def test_tiny_through_every_pass(tiny: Work) -> None:
    model = tiny.hardware()
    tiny.assert_unchanged(model)
    integers = Counter(node.op_type for node in tiny.model.graph.node)
    made = Counter(node.op_type for node in model.graph.node)
    assert {node.domain for node in model.graph.node} == {DOMAIN}
    for op in ("LIF", "SpikeAttention", "ResidualAdd"):
        assert made[op] == integers[op]
    assert made["SpikeMVAU"] == integers["SpikeConv"] + integers["SpikeLinear"]
    assert made["MVAU"] == integers["Conv"] + integers["Readout"]
    assert made["SpikePool"] == integers["MaxPool"] + integers["OrPool"]
    assert made["Align"] == integers["Align"] + integers["Readout"]
    assert made["Tokens"] == 0


def test_both_ends_of_every_stream_agree(tiny: Work) -> None:
    assert_streams_fit(tiny.hardware())
    for name in ("published spike pools", "one step"):
        assert_streams_fit(small(**NETWORKS[name]).hardware())


def test_currents_that_never_are_negative_are_signed_all_the_same() -> None:
    """A sum of n bits without a sign needs n + 1 as two's complement, which the RTL computes in."""
    from qonnx.custom_op.registry import getCustomOp

    network, images = small_network()
    for name, value in network.constants.items():
        if "Conv_0" not in name:
            network.constants[name] = abs(value)
    work = Work(lively(network, images), images)
    model = work.model
    assert not model.get_tensor_datatype("SpikeLinear_0_out").signed()
    assert not model.get_tensor_datatype("ResidualAdd_0_out").signed()
    hardware = work.hardware()
    assert_streams_fit(hardware)
    for node in hardware.graph.node:
        if node.op_type in ("SpikeMVAU", "Align", "ResidualAdd", "LIF"):
            inst = getCustomOp(node)
            assert inst.get_output_datatype().signed() == (node.op_type != "LIF")
            values = [hardware.get_initializer(name) for name in node.input[len(inst.streams) :]]
            inst.files([value.astype(np.int64) for value in values])  # refuses sums that leave their width


def test_a_tensor_read_twice_by_one_node_is_forked() -> None:
    b = Builder(np.random.default_rng(0), 4, 8)
    x = b.lif(b.pool(b.conv(4), "MaxPool", 2), 4, 20000, broadcast=1, frac_bits=0)
    s = b.node("Tokens", (b.spike_conv(x, 4, 6),))
    doubled = b.node("ResidualAdd", (s, s))
    words = b.lif(doubled, 6, 300)
    counts = b.node("SpikeAttention", (words, words, words), heads=2, timesteps=4)
    hardware = built(b, b.finish(b.lif(counts, 6, 40), 6)).hardware()
    assert_streams_fit(hardware)
    assert [len(node.output) for node in hardware.graph.node if node.op_type == "Fork"] == [2, 3]


def test_an_image_read_by_two_layers_is_forked() -> None:
    from spikeclip_fpga.hw.passes.fork_streams import ForkStreams

    b = Builder(np.random.default_rng(0), 1, 8)
    twice = b.node("ResidualAdd", (b.conv(4), b.conv(4)))
    work = built(b, b.finish(b.lif(twice, 4, 20000, frac_bits=0), 4))
    model = work.model.transform(ForkStreams())
    assert layer_of(model.graph.node[0]) == "image.fork"
    work.assert_unchanged(model)
    assert_streams_fit(work.hardware())


# Fault injection: what is done wrong, in which pass, and what then differs.


def _transposed(monkeypatch: pytest.MonkeyPatch) -> None:
    import spikeclip_fpga.hw.passes.convert_spike_matrix as module

    right = module._mvau

    def wrong(model: Any, node: Any, source: str, weight: np.ndarray) -> Any:
        return right(model, node, source, weight.T if len(weight) == weight.shape[1] else weight)

    monkeypatch.setattr(module, "_mvau", wrong)


def _reversed_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    import spikeclip_fpga.hw.passes.convert_image_conv as module

    right = module.stock_mvau
    monkeypatch.setattr(module, "stock_mvau", lambda m, s, weight, *rest: right(m, s, weight[:, ::-1], *rest))


def _attribute(pass_name: str, op: str, **wrong: Any) -> Callable[[pytest.MonkeyPatch], None]:
    def inject(monkeypatch: pytest.MonkeyPatch) -> None:
        def made(kind: str, *rest: Any, **values: Any) -> Any:
            return make(kind, *rest, **(values | wrong if kind == op else values))

        monkeypatch.setattr(f"spikeclip_fpga.hw.passes.{pass_name}.make", made)

    return inject


FAULTS = {
    "convert_spike_matrix": _transposed,
    "convert_image_conv": _reversed_columns,
    "convert_lif": _attribute("convert_lif", "LIF", reset="zero"),
    "convert_attention": _attribute("convert_attention", "SpikeAttention", heads=1),
    "convert_readout": _attribute("convert_readout", "Readout", shift=2),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_pass_that_changes_the_embedding_is_caught_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = small()
    FAULTS[name](monkeypatch)
    with pytest.raises(HardwareError, match=rf"^pass {name}: [1-9]\d* of 20 embedding elements changed$"):
        work.convert()


def test_a_pass_that_breaks_the_graph_is_caught_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    work = small()
    _attribute("convert_align", "Align", timesteps=3)(monkeypatch)
    with pytest.raises(HardwareError, match=r"^pass convert_align: the graph does not run any more: "):
        work.convert()


def test_an_operator_without_hardware_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx import helper

    from spikeclip_fpga.hw import passes

    work = small()
    relu = helper.make_node("Relu", ["image"], ["clipped"], name="clip")
    with_relu = copy.deepcopy(work)
    with_relu.model.graph.node.insert(0, relu)
    with_relu.model.graph.node[1].input[0] = "clipped"
    with_relu.model.set_tensor_shape("clipped", [1, 16, 16, 3])
    with_relu.model.set_tensor_datatype("clipped", with_relu.model.get_tensor_datatype("image"))
    with_relu.expected = execute(with_relu.model, with_relu.pixels)
    with pytest.raises(HardwareError, match=r"^clip: no hardware for Relu; expected only operators of hw/ops$"):
        with_relu.convert()
    shorter = [step for step in steps(4) if step[0] != "convert_align"]
    monkeypatch.setattr(passes, "steps", lambda timesteps: shorter)
    with pytest.raises(HardwareError, match=r"^Align_0: no hardware for Align"):
        work.convert()


def test_what_the_hardware_cannot_compute_is_refused() -> None:
    rng = np.random.default_rng(0)
    b = Builder(rng, 1, 8)
    words = b.lif(b.conv(4), 4, 20000, broadcast=1, frac_bits=0)
    network = b.finish(b.node("OrPool", (words,), kernel=2, stride=2, pad=2), 4)
    with pytest.raises(HardwareError, match=r"^OrPool_0: pad 2 is not below the kernel 2, some window has no element"):
        integer_graph(network).transform(dict(steps(1))["convert_pool"])
    b = Builder(rng, 1, 8)
    x = b.conv(4, largest=200)
    network = b.finish(b.lif(x, 4, 20000, broadcast=1, frac_bits=0), 4)
    with pytest.raises(
        HardwareError, match=r"^Conv_0: weights: expected INT8, got -\d+ to \d+; quantise them to 8 bits"
    ):
        integer_graph(network).transform(dict(steps(1))["convert_image_conv"])
