"""Between the passes and the RTL: our Specialize, and FINN's own passes and builder steps on our graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")

from spikeclip_fpga.hw.passes import HardwareError
from spikeclip_fpga.hw.passes.graph import DOMAIN, layer_of, make
from spikeclip_fpga.hw.passes.specialize import Specialize

from . import integer_graphs
from .finn_graphs import finn_in
from .integer_graphs import Work, assert_streams_fit, small, small_network

PARTS = ["xc7z020clg400-1", "xcu250-figd2104-2L-e"]


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with finn_in(tmp_path_factory.mktemp("finn")):
        yield


@pytest.fixture(scope="module")
def tiny() -> Work:
    return integer_graphs.tiny()


@pytest.fixture(scope="module")
def tiny_hardware(tiny: Work) -> Any:
    return tiny.hardware()


@pytest.mark.parametrize("part", PARTS)
def test_specialising_leaves_rtl_alone_and_keeps_layers(part: str, tiny: Work, tiny_hardware: Any) -> None:
    model = tiny_hardware.transform(Specialize(part))
    assert {node.domain for node in model.graph.node} == {f"{DOMAIN}.rtl"}
    assert [n.op_type for n in model.graph.node] == [f"{n.op_type}_rtl" for n in tiny_hardware.graph.node]
    assert [layer_of(n) for n in model.graph.node] == [layer_of(n) for n in tiny_hardware.graph.node]
    assert all(layer_of(n) for n in model.graph.node)
    assert len({n.name for n in model.graph.node}) == len(model.graph.node)
    tiny.assert_unchanged(model)


def test_nodes_inserted_later_are_specialised_where_they_stand() -> None:
    from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
    from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
    from qonnx.custom_op.registry import getCustomOp

    work = small()
    hardware = work.hardware()
    # One of the branches q, k, v is folded otherwise: width converters come to stand beside specialised nodes.
    folded = next(node for node in hardware.graph.node if layer_of(node) == "LIF_3")
    getCustomOp(folded).set_nodeattr("PE", 2)
    model = hardware.transform(Specialize(PARTS[0])).transform(InsertDWC())
    model = model.transform(InsertFIFO(create_shallow_fifos=True))
    order = [list(node.output) for node in model.graph.node]
    model = model.transform(Specialize(PARTS[0]))
    assert [list(node.output) for node in model.graph.node] == order
    for op in {node.op_type for node in model.graph.node}:
        numbered = [node.name for node in model.graph.node if node.op_type == op]
        assert numbered == [f"{op}_{i}" for i in range(len(numbered))]
    assert {node.op_type for node in model.graph.node if not layer_of(node)} == {
        "StreamingDataWidthConverter_rtl",
        "StreamingFIFO_rtl",
    }
    layers = {layer_of(node): node.op_type for node in model.graph.node if layer_of(node)}
    assert layers == {layer_of(node): f"{node.op_type}_rtl" for node in hardware.graph.node}
    work.assert_unchanged(model)


def test_a_node_that_would_need_hls_is_refused_by_layer() -> None:
    """A 7-series DSP multiplies two weights at once, which leaves no room for -128."""
    network, images = small_network()
    network.constants["Conv_0_weight"][0, 0, 0, 0] = -128
    work = Work(network, images)
    hardware = work.hardware()
    with pytest.raises(
        HardwareError,
        match=r"^Conv_0: FINN's RTL for MVAU on xc7z020clg400-1 does not take INT8 times INT8 weights down to -128 "
        r"with INT\d+ sums; quantise to 2 to 8 bits, weights to -127 at least$",
    ):
        hardware.transform(Specialize(PARTS[0]))
    work.assert_unchanged(hardware.transform(Specialize(PARTS[1])))


def test_a_node_of_hls_or_none_of_finns_is_refused() -> None:
    work = small()
    with pytest.raises(HardwareError, match=r"^Conv_0: Conv of spikeclip_fpga.quantize.ops.integer is no FINN node; "):
        work.model.transform(Specialize(PARTS[0]))
    hardware = work.hardware()
    pool = next(node for node in hardware.graph.node if node.op_type == "Fork")
    stock = make("DuplicateStreams", list(pool.input), list(pool.output), layer_of(pool))
    stock.attribute.extend(a for a in pool.attribute if a.name in ("NumChannels", "PE", "inputDataType"))
    hardware.graph.node.insert(list(hardware.graph.node).index(pool), stock)
    hardware.graph.node.remove(pool)
    with pytest.raises(HardwareError, match="fork: FINN has DuplicateStreams in HLS alone for xc7z020clg400-1; "):
        hardware.transform(Specialize(PARTS[0]))


def test_finns_own_passes_change_nothing(tiny: Work, tiny_hardware: Any, tmp_path: Path) -> None:
    from finn.transformation.fpgadataflow.create_dataflow_partition import CreateDataflowPartition
    from finn.transformation.fpgadataflow.minimize_accumulator_width import MinimizeAccumulatorWidth
    from finn.transformation.fpgadataflow.minimize_weight_bit_width import MinimizeWeightBitWidth
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.custom_op.registry import getCustomOp
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes

    model = tiny_hardware
    for transformation in (MinimizeWeightBitWidth(), MinimizeAccumulatorWidth(), InferDataTypes(), InferShapes()):
        model = model.transform(transformation)
        tiny.assert_unchanged(model)
        assert_streams_fit(model)
    parent = model.transform(CreateDataflowPartition(str(tmp_path)))
    assert [node.op_type for node in parent.graph.node] == ["StreamingDataflowPartition"]
    inner = ModelWrapper(getCustomOp(parent.graph.node[0]).get_nodeattr("model"))
    tiny.assert_unchanged(inner)
    assert [layer_of(node) for node in inner.graph.node] == [layer_of(node) for node in model.graph.node]


def test_a_narrower_accumulator_reaches_the_neurons() -> None:
    from finn.transformation.fpgadataflow.minimize_accumulator_width import MinimizeAccumulatorWidth
    from qonnx.core.datatype import DataType
    from qonnx.custom_op.registry import getCustomOp
    from qonnx.transformation.infer_datatypes import InferDataTypes

    work = small()
    hardware = work.hardware()
    kinds = {name: hardware.get_tensor_datatype(name) for name in hardware.get_all_tensor_names()}
    wide = DataType["INT23"]
    first, *rest = [node for node in hardware.graph.node if layer_of(node).startswith(("Conv_0", "MaxPool_0", "LIF_0"))]
    assert [node.op_type for node in (first, *rest)] == [
        *("FMPadding", "ConvolutionInputGenerator", "MVAU", "ConvolutionInputGenerator", "SpikePool", "LIF")
    ]
    for node in rest[1:]:
        inst = getCustomOp(node)
        if node.op_type != "MVAU":
            inst.set_nodeattr("inputDataType", wide.name)
        if node.op_type != "LIF":
            inst.set_nodeattr("outputDataType", wide.name)
            hardware.set_tensor_datatype(node.output[0], wide)
    work.assert_unchanged(hardware)
    narrow = hardware.transform(MinimizeAccumulatorWidth()).transform(InferDataTypes())
    assert {name: narrow.get_tensor_datatype(name) for name in kinds} == kinds
    assert_streams_fit(narrow)
    work.assert_unchanged(narrow)


def test_finns_builder_steps_run(tmp_path: Path) -> None:
    from finn.builder import build_dataflow_steps as finns
    from finn.builder.build_dataflow_config import DataflowBuildConfig, DataflowOutputType, ShellFlowType

    work = small()
    model = hardware = work.hardware()
    config = DataflowBuildConfig(
        output_dir=str(tmp_path),
        synth_clk_period_ns=10.0,
        board="Pynq-Z2",
        shell_flow_type=ShellFlowType.VIVADO_ZYNQ,
        generate_outputs=[DataflowOutputType.ESTIMATE_REPORTS],
    )
    for step in (
        finns.step_create_dataflow_partition,
        lambda model, _: model.transform(Specialize(PARTS[0])),
        finns.step_minimize_bit_width,
        finns.step_generate_estimate_reports,
    ):
        model = step(model, config)
        work.assert_unchanged(model)
        assert [layer_of(node) for node in model.graph.node] == [layer_of(node) for node in hardware.graph.node]
    assert (tmp_path / "report" / "estimate_layer_resources.json").is_file()
