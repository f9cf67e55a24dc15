"""Lower a QONNX graph to the integer graph, checking after every pass that nothing changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.infer_shapes import InferShapes

from spikeclip_fpga.model.config import ModelConfig
from spikeclip_fpga.model.data.input import PIXEL_SCALE, PIXEL_ZERO

from .export import write
from .network import IMAGE, IntNetwork, Node, save
from .ops.integer import DOMAIN
from .passes import LoweringError, steps
from .quantizers import BitWidths


def execute(model: ModelWrapper, images: np.ndarray) -> np.ndarray:
    """Return (N, E) int64 embeddings of (N, H, W, 3) uint8 images by executing any graph of the ladder in qonnx."""
    source, target = model.graph.input[0].name, model.graph.output[0].name
    integer_input = model.get_tensor_datatype(source).is_integer()
    channels_last = model.get_tensor_shape(source)[-1] == images.shape[-1]
    out = []
    for image in images:
        pixels = image[None].astype(np.float32) - PIXEL_ZERO
        x = pixels if channels_last else pixels.transpose(0, 3, 1, 2)
        y = execute_onnx(model, {source: np.ascontiguousarray(x if integer_input else x * np.float32(PIXEL_SCALE))})
        out.append(y[target][0])
    embedding = np.stack(out)
    whole = np.rint(embedding)
    if not np.array_equal(whole, embedding):
        raise ArithmeticError("the graph's embedding is not made of whole numbers")
    return whole.astype(np.int64)


def read_qonnx(path: Path) -> ModelWrapper:
    """Return the QONNX graph in ``path``; raise LoweringError if it is none of this project's."""
    if not path.is_file():
        raise LoweringError(f"{path}: no such file; make it with `spikeclip quantize`")
    try:
        model = ModelWrapper(str(path))
        onnx.checker.check_model(model.model, full_check=False)
    except Exception as error:  # protobuf's and onnx's errors share no base class
        raise LoweringError(
            f"{path}: not a readable ONNX file ({type(error).__name__}); make it with `spikeclip quantize`"
        ) from error
    if model.get_metadata_prop("config") is None or model.get_metadata_prop("bits") is None:
        raise LoweringError(f"{path}: no SpikeCLIP configuration in its metadata; make it with `spikeclip quantize`")
    return model


def lower(model: ModelWrapper, check_images: np.ndarray) -> Iterator[tuple[str, ModelWrapper]]:
    """Yield (name, graph) after each pass.

    Raises LoweringError if a pass changes any element of the embeddings of ``check_images``.
    """
    config = ModelConfig.from_json(model.get_metadata_prop("config"))
    bits = BitWidths.from_json(model.get_metadata_prop("bits"))
    expected = execute(model, check_images)
    for step in steps(config.timesteps, bits.residual_frac):
        model = step.apply(model)
        if step.name not in ("pack_time", "prove_ranges"):
            model = model.transform(InferShapes())
        found = execute(model, check_images)
        if not np.array_equal(found, expected):
            count = int((found != expected).sum())
            raise LoweringError(f"pass {step.name}: {count} of {expected.size} embedding elements changed")
        yield step.name, model


def lower_file(source: Path, target: Path, check_images: np.ndarray) -> Iterator[str]:
    """Lower the QONNX file ``source``; write ``target`` (.onnx) and the same network as .safetensors beside it.

    Yields the name of each pass once it is checked. Nothing is written unless all of them are.
    """
    if target.suffix != ".onnx" or target.resolve() == source.resolve():
        raise LoweringError(f"{target}: expected a name ending in .onnx, other than {source.name}; give one with --out")
    model = read_qonnx(source)
    provenance = {k: model.get_metadata_prop(k) for k in ("dataset", "text_tower")}
    lowered = model
    for name, step in lower(model, check_images):
        yield name
        lowered = step
    network = to_network(lowered, {k: v for k, v in provenance.items() if v is not None})
    if not np.array_equal(network.run(check_images), execute(lowered, check_images)):
        raise LoweringError(f"{target}: the network for numpy differs from the graph")
    write(lowered, target)
    save(network, target.with_suffix(".safetensors"))


def to_network(model: ModelWrapper, provenance: dict[str, Any]) -> IntNetwork:
    """Return the integer graph as data for numpy (network.py); constants in the narrowest type."""
    constants: dict[str, np.ndarray] = {}
    nodes = []
    source = model.graph.input[0].name
    for node in model.graph.node:
        if node.domain != DOMAIN:
            raise LoweringError(f"{node.name}: {node.op_type} is no operator of the integer graph")
        attributes = getCustomOp(node).golden_attributes()
        inputs = tuple(IMAGE if name == source else name for name in node.input)
        nodes.append(Node(node.op_type, node.name, inputs, node.output[0], attributes))
        for name in node.input:
            value = model.get_initializer(name)
            if value is not None:
                constants[name] = _narrow(value)
    meta = {
        **provenance,
        "config": model.get_metadata_prop("config"),
        "bits": model.get_metadata_prop("bits"),
        "embedding_scale": float(model.get_metadata_prop("embedding_scale")),
        "pixel_zero": PIXEL_ZERO,
        "types": json.dumps(
            {t: model.get_tensor_datatype(t).name for t in model.get_all_tensor_names()}, sort_keys=True
        ),
    }
    return IntNetwork(tuple(nodes), constants, meta)


def _narrow(value: np.ndarray) -> np.ndarray:
    whole = value.astype(np.int64)
    for candidate in (np.int8, np.int16, np.int32):
        if np.array_equal(whole.astype(candidate), whole):
            return whole.astype(candidate)
    return whole
