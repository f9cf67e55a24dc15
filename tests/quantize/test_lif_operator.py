"""docs/lif-operator.md: its example runs, and its tables say what the operator does."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model

from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.layers import DOMAIN

PAGE = (Path(__file__).parents[2] / "docs" / "lif-operator.md").read_text("utf-8")


def example() -> dict[str, Any]:
    """Return the page's example."""
    block = re.search(r"```json\n(.*?)```", PAGE, re.S)
    assert block is not None
    raw: dict[str, Any] = json.loads(block[1])
    return raw


def model_of(attributes: dict[str, Any], constants: dict[str, Any], shape: tuple[int, ...]) -> ModelWrapper:
    """Return a graph of one LIF node."""
    names = ["x", "inverse_scale", "threshold", "bias"]
    node = helper.make_node("LIF", names, ["spikes"], name="lif", domain=DOMAIN, **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("spikes", TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
    model = ModelWrapper(qonnx_make_model(graph, opset_imports=opsets))
    for name in names[1:]:
        model.set_initializer(name, np.array(constants[name], np.float32))
    return model.transform(InferShapes())


def test_the_example_runs() -> None:
    about = example()
    x = np.array(about["x"], np.float32)
    model = model_of(about["attributes"], about, x.shape)
    found = execute_onnx(model, {"x": x})["spikes"]
    assert found.dtype == np.float32 and found.tolist() == about["spikes"]


def test_the_examples_membranes_follow_from_its_equations() -> None:
    about = example()
    k, n, fraction = about["attributes"]["leak_k"], about["attributes"]["leak_n"], about["attributes"]["frac_bits"]
    for c in range(2):
        v = s = 0
        for t in range(4):
            accumulator = round(Fraction(about["x"][t][c]) * Fraction(about["inverse_scale"][c]))
            assert accumulator == about["accumulators"][t][c]
            leaked = math.floor(Fraction(k * v, 2**n))
            v = accumulator * 2**fraction + about["bias"][c] + leaked - s * about["threshold"][c]
            s = int(v >= about["threshold"][c])
            assert (v, s) == (about["membranes"][t][c], about["spikes"][t][c])


def test_the_attribute_table_is_the_operators() -> None:
    section = PAGE.split("## Attributes")[1].split("##")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\S+) \|", section, re.M)
    node = helper.make_node("LIF", ["x", "i", "t", "b"], ["s"], domain=DOMAIN)
    types = getCustomOp(node).get_nodeattr_types()
    assert {name for name, _, _ in rows} == set(types)
    for name, kind, default in rows:
        assert types[name][0] == {"int": "i", "string": "s"}[kind]
        assert types[name][1] == (default == "required")
        if default != "required":
            assert str(types[name][2]) == default.strip("`")
    assert set(types["reset"][3]) == {"subtract", "zero"}


@pytest.mark.parametrize("broadcast", [0, 1])
def test_shape_and_type_inference(broadcast: int) -> None:
    attributes = {"timesteps": 3, "frac_bits": 0, "leak_k": 1, "leak_n": 1, "broadcast": broadcast}
    constants = {"inverse_scale": [1] * 5, "threshold": [1] * 5, "bias": [0] * 5}
    model = model_of(attributes, constants, (6, 5, 2, 2)).transform(InferDataTypes())
    assert model.get_tensor_shape("spikes") == [18 if broadcast else 6, 5, 2, 2]
    assert model.get_tensor_datatype("spikes").name == "BINARY"


def test_accumulators_round_to_even_at_ties() -> None:
    attributes = {"timesteps": 1, "frac_bits": 0, "leak_k": 1, "leak_n": 1}
    constants = {"inverse_scale": [1.0] * 4, "threshold": [1, 2, 3, 4], "bias": [0] * 4}
    x = np.array([[0.5, 1.5, 2.5, 3.5]], np.float32)  # 0, 2, 2, 4
    assert execute_onnx(model_of(attributes, constants, x.shape), {"x": x})["spikes"].tolist() == [[0, 1, 0, 1]]


def test_a_membrane_beyond_32_bits_is_reported() -> None:
    attributes = {"timesteps": 1, "frac_bits": 10, "leak_k": 1, "leak_n": 1}
    constants = {"inverse_scale": [1.0], "threshold": [1], "bias": [0]}
    x = np.array([[2.0**22]], np.float32)
    with pytest.raises(golden.RangeError, match="does not fit 32 bits"):
        execute_onnx(model_of(attributes, constants, x.shape), {"x": x})


def test_another_reset_is_refused() -> None:
    node = helper.make_node("LIF", ["x", "i", "t", "b"], ["s"], domain=DOMAIN, reset="none", timesteps=1)
    with pytest.raises(Exception, match="none"):
        getCustomOp(node).get_nodeattr("reset")
