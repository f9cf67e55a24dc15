"""One node's RTL in FINN's exec_mode "rtlsim": tensors to beats, FINN's simulator calls, beats to tensors."""

from __future__ import annotations

import numpy as np

from .. import beats
from .finn_node import SpikingNode, integers
from .operator import Array, require


def run_rtl(node: SpikingNode, context: dict[str, Array]) -> None:
    """Simulate ``node`` (after PrepareIP and PrepareRTLSim) on its inputs in ``context``; put its outputs there.

    Tensors are folded as get_folded_*_shape says, the first element of a beat in its lowest bits. Constants
    are in the RTL's memories. Raises ParameterError for a tensor of another shape or of no whole numbers.
    """
    raw = node.onnx_node
    streams = {f"in{i}": _to_beats(node, i, context[raw.input[i]]) for i in range(len(node.streams))}
    results: dict[str, list[int]] = {f"out{i}": [] for i in range(len(raw.output))}
    simulation = node.get_rtlsim()
    try:
        node.reset_rtlsim(simulation)
        node.rtlsim_multi_io(simulation, {"inputs": streams, "outputs": results})
    finally:
        node.close_rtlsim(simulation)
    for i, name in enumerate(raw.output):
        context[name] = _from_beats(node, i, results[f"out{i}"])


def _to_beats(node: SpikingNode, ind: int, tensor: Array) -> list[int]:
    name, shape = node.onnx_node.name, node.get_normal_input_shape(ind)
    require(tensor.shape == shape, f"{name}: input {ind}: expected shape {shape}, got {tensor.shape}")
    folded = integers(tensor, f"{name}: input {ind}").reshape(-1, node.get_folded_input_shape(ind)[-1])
    packed = beats.pack(folded, node.get_input_datatype(ind).bitwidth())
    return [int.from_bytes(beat.tobytes(), "little") for beat in packed.astype("<u4")]


def _from_beats(node: SpikingNode, ind: int, stream: list[int]) -> Array:
    datatype, fields = node.get_output_datatype(ind), node.get_folded_output_shape(ind)[-1]
    words = beats.words_of(node.get_outstream_width_padded(ind))
    octets = b"".join(beat.to_bytes(4 * words, "little") for beat in stream)
    packed = np.frombuffer(octets, "<u4").reshape(-1, words)
    values = beats.unpack(packed, datatype.bitwidth(), fields, signed=datatype.signed())
    return values.reshape(node.get_normal_output_shape(ind)).astype(np.float32)
