"""Feed the graph whole numbers: the image as signed bytes, its scale as a Mul behind the input."""

from __future__ import annotations

import numpy as np
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .errors import LoweringError


class QuantizeInput(Transformation):
    """image FIXED<8,1> -> ...   becomes   image INT8 -> Mul(1/128) -> ...

    The input keeps its name. FINN's streamlining then moves the Mul down to the first neuron.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Insert the Mul once."""
        name = model.graph.input[0].name
        datatype = model.get_tensor_datatype(name)
        if datatype == DataType["INT8"]:
            return model, False
        if datatype != DataType["FIXED<8,1>"]:
            raise LoweringError(f"input {name}: expected FIXED<8,1> (signed bytes worth 1/128), got {datatype.name}")
        scaled, factor = f"{name}_scaled", f"{name}_scale"
        for node in model.graph.node:
            for i, source in enumerate(node.input):
                if source == name:
                    node.input[i] = scaled
        model.set_tensor_shape(scaled, model.get_tensor_shape(name))
        model.set_initializer(factor, np.asarray(datatype.scale_factor(), dtype=np.float32))
        model.graph.node.insert(0, helper.make_node("Mul", [name, factor], [scaled], name="Mul_input"))
        model.set_tensor_datatype(name, DataType["INT8"])
        return model, True
