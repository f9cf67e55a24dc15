"""From the integer graph to FINN's hardware graph: the ordered list of passes, checked after each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveUniqueNodeNames

from .convert_align import ConvertAlign
from .convert_attention import ConvertAttention
from .convert_image_conv import ConvertImageConv
from .convert_lif import ConvertLIF
from .convert_pool import ConvertPool
from .convert_readout import ConvertReadout
from .convert_residual import ConvertResidualAdd
from .convert_spike_matrix import ConvertSpikeMatrix
from .drop_tokens import DropTokens
from .errors import HardwareError
from .fork_streams import ForkStreams
from .graph import INTEGER
from .sign_currents import SignCurrents

__all__ = ["HardwareError", "execute", "steps", "to_hardware"]


def steps(timesteps: int) -> list[tuple[str, Transformation]]:
    """Return the passes in order, each with its name; each leaves a graph that computes the same embedding."""
    return [
        ("sign_currents", SignCurrents()),
        ("fork_streams", ForkStreams()),
        ("convert_image_conv", ConvertImageConv()),
        ("convert_spike_matrix", ConvertSpikeMatrix()),
        ("convert_pool", ConvertPool()),
        ("convert_attention", ConvertAttention()),
        ("convert_lif", ConvertLIF()),
        ("convert_align", ConvertAlign()),
        ("convert_residual", ConvertResidualAdd(timesteps)),
        ("convert_readout", ConvertReadout()),
        ("drop_tokens", DropTokens()),
    ]


def execute(model: ModelWrapper, pixels: np.ndarray) -> np.ndarray:
    """Return (N, E) int64 embeddings of (N, H, W, C) pixels by executing the graph in qonnx, one image at a time.

    A graph of RTL nodes is executed in Python too, whatever exec_mode its nodes have.
    """
    if any(node.domain.endswith(".rtl") for node in model.graph.node):
        from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode

        model = model.transform(SetExecMode("cppsim"))
    source, target = model.graph.input[0].name, model.graph.output[0].name
    out = [execute_onnx(model, {source: image[None].astype(np.float32)})[target].reshape(-1) for image in pixels]
    return np.stack(out).astype(np.int64)


def to_hardware(
    model: ModelWrapper, timesteps: int, pixels: np.ndarray, expected: np.ndarray
) -> Iterator[tuple[str, ModelWrapper]]:
    """Yield (name, graph) after each pass, the last one FINN's hardware graph.

    pixels (N, H, W, C) and expected (N, E): embeddings every graph must compute.
    Raises HardwareError if a pass changes an element, or an operator is left for which there is no hardware.
    """
    for name, transformation in steps(timesteps):
        model = model.transform(transformation)
        try:
            found = execute(model, pixels)
        except Exception as error:  # what operators raise has no base class
            raise HardwareError(f"pass {name}: the graph does not run any more: {error}") from error
        if not np.array_equal(found, expected):
            count = int((found != expected).sum()) if found.shape == expected.shape else expected.size
            raise HardwareError(f"pass {name}: {count} of {expected.size} embedding elements changed")
        yield name, model
    left = [node for node in model.graph.node if node.domain == INTEGER or "fpgadataflow" not in node.domain]
    if left:
        raise HardwareError(f"{left[0].name}: no hardware for {left[0].op_type}; expected only operators of hw/ops")
    yield "name_nodes", model.transform(GiveUniqueNodeNames())
