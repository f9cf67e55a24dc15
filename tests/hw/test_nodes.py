"""Our FINN nodes give golden's numbers in Python and in RTL, and answer FINN's questions about themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")

from spikeclip_fpga.hw import beats
from spikeclip_fpga.hw.ops.operator import ParameterError
from spikeclip_fpga.hw.simulate import STALLS

from .finn_graphs import CLOCK_NS, PART, finn_in
from .node_cases import CASES, Array, Case, Frame, align, fork, lif, residual_add, spike_pool

# One of each operator and each of its modes; the others differ in parameters that tests/hw/test_<op>.py sweeps.
IN_RTL = [
    *("lif", "lif-static-hard-reset", "mvau", "mvau-t1-bits2", "pool-or", "pool-max-padded", "attention"),
    *("align", "add-t1", "fork", "fork-of-four", "readout"),
]


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with finn_in(tmp_path_factory.mktemp("finn")):
        yield


def execute(model: Any, frame: Frame) -> Frame:
    from qonnx.core.onnx_exec import execute_onnx

    return execute_onnx(model, {name: value.astype(np.float32) for name, value in frame.items()})


def assert_golden(model: Any, frame: Frame, expected: dict[str, Array]) -> None:
    """Every element is golden's, and one of its tensor's type."""
    found = execute(model, frame)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].shape == tuple(model.get_tensor_shape(name))
        assert model.get_tensor_datatype(name).allowed(found[name]).all()


def specialised(model: Any, mode: str = "cppsim") -> Any:
    from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers

    return model.transform(SpecializeLayers(PART)).transform(SetExecMode(mode))


def in_rtl(case: Case) -> Any:
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim

    return specialised(case.model, "rtlsim").transform(PrepareIP(PART, CLOCK_NS)).transform(PrepareRTLSim())


def node_of(model: Any) -> Any:
    from qonnx.custom_op.registry import getCustomOp

    return getCustomOp(model.graph.node[-1])


@pytest.mark.parametrize("name", CASES)
def test_python_execution_is_golden_before_and_after_specialising(name: str) -> None:
    case = CASES[name]()
    model = specialised(case.model)
    assert [node.op_type for node in model.graph.node] == [f"{node.op_type}_rtl" for node in case.model.graph.node]
    for seed in range(3):
        frame = case.draw(np.random.default_rng(seed))
        expected = case.golden(frame)
        assert_golden(case.model, frame, expected)
        assert_golden(model, frame, expected)


@pytest.mark.parametrize("name", CASES)
def test_shapes_widths_and_cycles_are_the_operators(name: str) -> None:
    case = CASES[name]()
    node = node_of(specialised(case.model))
    operator, raw = node.operator(), node.onnx_node
    for i, stream in enumerate(node.streams):
        folded, normal = node.get_folded_input_shape(i), node.get_normal_input_shape(i)
        assert folded[:3] == normal[:3]
        assert folded[-2] * folded[-1] == normal[-1]
        assert node.get_instream_width(i) == folded[-1] * node.get_input_datatype(i).bitwidth()
        assert node.get_instream_width(i) == operator.input_widths()[stream]
    for i in range(len(node.streams), len(raw.input)):
        assert node.get_instream_width(i) == node.get_instream_width_padded(i) == 0
        assert node.get_input_datatype(i) == case.model.get_tensor_datatype(raw.input[i])
    for i, stream in enumerate(node.results):
        folded, normal = node.get_folded_output_shape(i), node.get_normal_output_shape(i)
        assert tuple(case.model.get_tensor_shape(raw.output[i])) == normal
        assert folded[-2] * folded[-1] == normal[-1]
        assert node.get_outstream_width(i) == folded[-1] * node.get_output_datatype(i).bitwidth()
        assert node.get_outstream_width(i) == operator.output_widths()[stream]
        assert node.get_number_output_values() * folded[-1] == np.prod(normal)
    # No operator takes or gives more than a beat per cycle.
    moved = max(np.prod(node.get_folded_input_shape()[:-1]), node.get_number_output_values())
    assert node.get_exp_cycles() >= moved
    assert node.get_exp_cycles() % operator.initiation_interval() == 0
    names = node.get_verilog_top_module_intf_names()
    assert [n for n, _ in names["s_axis"]] == [f"in{i}_V" for i in range(len(node.streams))]
    assert [n for n, _ in names["m_axis"]] == [f"out{i}_V" for i in range(len(node.results))]


@pytest.mark.parametrize("name", CASES)
def test_finns_analyses_take_them(name: str) -> None:
    from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer
    from finn.analysis.fpgadataflow.op_and_param_counts import op_and_param_counts

    case = CASES[name]()
    model = specialised(case.model)
    node = node_of(model)
    own = node.onnx_node.name
    assert model.analysis(exp_cycles_per_layer)[own] == node.get_exp_cycles()
    assert model.analysis(op_and_param_counts)[own] == case.counts


@pytest.mark.parametrize("name", IN_RTL)
def test_finns_estimate_of_resources_is_the_operators(name: str) -> None:
    from finn.analysis.fpgadataflow.res_estimation import res_estimation

    model = specialised(CASES[name]().model)
    node = node_of(model)
    for part, family in ((PART, "xc7"), ("xcu250-figd2104-2L-e", "xcup")):
        found = model.analysis(lambda m, part=part: res_estimation(m, fpgapart=part))[node.onnx_node.name]
        needed = node.operator().resources(family)
        assert found["LUT"] == needed.lut > 0
        assert (found["BRAM_18K"], found["URAM"], found["DSP"]) == (needed.bram18, needed.uram, needed.dsp)


@pytest.mark.parametrize("name", IN_RTL)
def test_rtl_in_finns_rtlsim_is_golden(name: str) -> None:
    """FINN's wrapper and simulator calls on a frame; then two frames under stalls, packed by the operator itself."""
    case = CASES[name]()
    model = in_rtl(case)
    frames = [case.draw(np.random.default_rng(seed)) for seed in (5, 6)]
    expected = [case.golden(frame) for frame in frames]
    assert_golden(model, frames[0], expected[0])
    node = node_of(model)
    operator, cycles = node.operator(), node.get_nodeattr("cycles_rtlsim")
    assert node.get_exp_cycles() <= cycles <= node.get_exp_cycles() + operator.latency() + 2
    inputs = [np.concatenate([frame[name] for frame in frames]) for name in frames[0]]
    given = {"in": beats.pack(inputs[0].reshape(-1, node.get_nodeattr("PE")), node.bits("inputDataType"))}
    streams = given if name.startswith("fork") else operator.to_beats(*inputs)
    engine = node.get_rtlsim()
    run = engine.simulation.run(
        {f"in{i}_V": streams[stream] for i, stream in enumerate(node.streams)},
        {f"out{i}_V": 2 * node.get_number_output_values() for i in range(len(node.results))},
        stalls=STALLS["random"],
        seed=1,
    )
    node.close_rtlsim(engine)
    for i, tensor in enumerate(node.onnx_node.output):
        folded, datatype = node.get_folded_output_shape(i), node.get_output_datatype(i)
        found = beats.unpack(run.outputs[f"out{i}_V"], datatype.bitwidth(), folded[-1], signed=datatype.signed())
        both = np.concatenate([frame[tensor] for frame in expected])
        np.testing.assert_array_equal(found.ravel(), both.ravel())


def test_what_vivado_is_told_names_every_file(tmp_path: Any) -> None:
    node = node_of(in_rtl(CASES["lif"]()))
    files = node.get_rtl_file_list(abspath=True)
    assert [path.rsplit("/")[-1] for path in files] == node.get_rtl_file_list()
    *added, created = node.code_generation_ipi()
    memory = f"{node.get_nodeattr('code_gen_dir_ipgen')}/LIF_rtl_0_constants.mem"
    assert added == [f"add_files -norecurse {path}" for path in [*files, memory]]
    assert created == "create_bd_cell -type module -reference LIF_rtl_0 LIF_rtl_0"


@pytest.mark.parametrize(
    "case, narrow",
    [
        (lambda: lif(4, 2, 4, (1, 2), 90, 4, "subtract", 0), {"in": "INT6"}),
        (lambda: align(4, 2, 3, (1, 2), (0, 2), 200), {"in": "INT5"}),
        (lambda: residual_add(4, 2, 3, (1, 2), (12, 9)), {"a": "INT7", "b": "INT8"}),
        (lambda: fork(6, 2, 2, "INT12", (1, 2)), {"in": "INT7"}),
        (lambda: spike_pool(4, 2, 1, (4, 4), "max", 12, (2, 2, 0)), {"in": "INT7"}),
    ],
)
def test_a_stream_that_finn_made_narrower_is_taken(case: Any, narrow: dict[str, str]) -> None:
    from qonnx.core.datatype import DataType
    from qonnx.transformation.infer_datatypes import InferDataTypes

    built = case()
    proven = built.model.get_tensor_datatype(next(iter(built.golden(built.draw(np.random.default_rng(0))))))
    for name, kind in narrow.items():
        built.model.set_tensor_datatype(name, DataType[kind])
    model = built.model.transform(InferDataTypes())
    node = node_of(model)
    kinds = [DataType[kind] for kind in narrow.values()]
    assert [node.get_input_datatype(i) for i in range(len(kinds))] == kinds
    follows = node.onnx_node.op_type in ("Fork", "SpikePool")
    assert {node.get_output_datatype(i) for i in range(len(node.results))} == {kinds[0] if follows else proven}
    assert {model.get_tensor_datatype(name) for name in node.onnx_node.output} == {node.get_output_datatype()}
    frame = {name: built.draw(np.random.default_rng(0))[name] >> 7 for name in narrow}
    assert_golden(specialised(model), frame, built.golden(frame))


@pytest.mark.parametrize(
    "name, tensor, kind, message",
    [
        ("lif", "in", "INT9", "LIF_0: in: expected INT8, got INT9; run prove_ranges again"),
        ("lif", "in", "UINT7", "LIF_0: in: expected INT8, got UINT7"),
        ("mvau", "in", "UINT3", "SpikeMVAU_0: in: expected UINT4, got UINT3"),
        ("add", "b", "FLOAT32", "ResidualAdd_0: b: expected INT9, got FLOAT32"),
    ],
)
def test_a_stream_that_was_not_proven_is_refused(name: str, tensor: str, kind: str, message: str) -> None:
    from qonnx.core.datatype import DataType
    from qonnx.transformation.infer_datatypes import InferDataTypes

    model = CASES[name]().model
    model.set_tensor_datatype(tensor, DataType[kind])
    with pytest.raises(ParameterError, match=message):
        model.transform(InferDataTypes())


def test_rtlsim_refuses_what_is_no_tensor_of_the_node() -> None:
    from spikeclip_fpga.hw.ops.finn_rtlsim import run_rtl

    case = CASES["add"]()
    node, frame = node_of(case.model), case.draw(np.random.default_rng(0))
    with pytest.raises(ParameterError, match=r"ResidualAdd_0: input 1: expected shape \(1, 2, 3, 24\), got \(6, 24\)"):
        run_rtl(node, {**frame, "b": frame["b"].reshape(6, 24)})
    with pytest.raises(ParameterError, match=r"ResidualAdd_0: input 0: expected whole numbers up to 2\^24"):
        run_rtl(node, {**frame, "a": frame["a"] + 0.5})


@pytest.mark.filterwarnings("ignore:The values of tensor")
def test_numbers_that_float32_does_not_hold_are_refused() -> None:
    case = CASES["add"]()
    frame = case.draw(np.random.default_rng(0))
    with pytest.raises(ParameterError, match=r"ResidualAdd_0: a: expected whole numbers up to 2\^24, got others"):
        execute(case.model, {**frame, "a": frame["a"] + (1 << 25)})


def test_an_impossible_folding_is_refused_by_the_operator() -> None:
    node = node_of(CASES["lif"]().model)
    node.set_nodeattr("PE", 5)
    with pytest.raises(ParameterError, match="lif: channels 12 is not a multiple of pe 5"):
        node.get_exp_cycles()
