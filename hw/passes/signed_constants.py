"""Types of constants that the RTL reads as two's complement."""

from __future__ import annotations

from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from spikeclip_fpga.quantize.ranges import signed_bits


def signed_type(model: ModelWrapper, name: str) -> str:
    """Give constant ``name`` the narrowest signed type that holds it, and return the type's name."""
    value = model.get_initializer(name)
    # QONNX has no INT1; a bit more costs nothing in a constant.
    datatype = DataType[f"INT{max(2, signed_bits(int(value.min()), int(value.max())))}"]
    model.set_tensor_datatype(name, datatype)
    return str(datatype.name)
