"""FINN's MVAU for the 8-bit layers, which are no spikes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from .errors import HardwareError
from .graph import make, type_of

_WEIGHT = "INT8"


def stock_mvau(
    model: ModelWrapper,
    source: str,
    weight: np.ndarray,
    target: str,
    datatype: str,
    layer: str,
    vectors: Sequence[int],
) -> NodeProto:
    """Return MVAU of ``weight`` (MH, MW) on ``source`` (*vectors, MW) -> ``target`` of type ``datatype``.

    Raises HardwareError for weights of more than 8 bits.
    """
    name, limit = f"{layer}.matrix", DataType[_WEIGHT]
    low, high = int(weight.min()), int(weight.max())
    if low < limit.min() or high > limit.max():
        raise HardwareError(f"{layer}: weights: expected {_WEIGHT}, got {low} to {high}; quantise them to 8 bits")
    model.set_initializer(name, np.ascontiguousarray(weight.T, dtype=np.float32))
    model.set_tensor_datatype(name, limit)
    return make(
        "MVAU",
        [source, name],
        [target],
        layer,
        MW=weight.shape[1],
        MH=weight.shape[0],
        SIMD=1,
        PE=1,
        inputDataType=type_of(model, source),
        weightDataType=_WEIGHT,
        outputDataType=datatype,
        ActVal=0,
        binaryXnorMode=0,
        noActivation=1,
        numInputVectors=list(vectors),
        mem_mode="internal_decoupled",
    )
