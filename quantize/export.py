"""Export a quantisation-aware network to QONNX: standard ONNX, QONNX's Quant, and this project's LIF."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import onnx
import torch
from brevitas.export import export_qonnx
from onnx import ModelProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.cleanup import cleanup_model

from .layers import freeze
from .qat import QatSpikeCLIP

IMAGE, EMBEDDING = "image", "embedding"
SCOPES = "pkg.torch.onnx.name_scopes"


def to_qonnx(net: QatSpikeCLIP, meta: Mapping[str, str]) -> ModelWrapper:
    """Return the QONNX graph of ``net`` for one image: (1, 3, H, W) float32 -> (1, E) float32 whole numbers.

    The graph carries ``meta`` and what lowering needs (configuration, bit widths, the embedding's scale)
    as metadata properties.
    """
    config = net.config
    image = torch.zeros(1, config.in_channels, config.image_size, config.image_size)
    net = net.eval()
    # Constant layouts: the exporter writes tensors as they lie in memory.
    net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    freeze(net, image)
    net.requires_grad_(False)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for name in ("torch.onnx", "onnxscript", "onnx_ir"):
            logging.getLogger(name).setLevel(logging.ERROR)
        proto: ModelProto = export_qonnx(
            net,
            args=image,
            export_path=None,
            dynamo=True,
            optimize=True,
            verbose=False,
            input_names=[IMAGE],
            output_names=[EMBEDDING],
        )
    model = cleanup_model(ModelWrapper(proto))
    model.rename_tensor(model.graph.input[0].name, IMAGE)
    model.rename_tensor(model.graph.output[0].name, EMBEDDING)
    _keep_scopes(model)
    # A signed byte worth 1/128 a unit: model/data/input.py.
    model.set_tensor_datatype(IMAGE, DataType["FIXED<8,1>"])
    _, scale = net.readout.scales()
    about = {
        **meta,
        "config": config.to_json(),
        "bits": net.bits.to_json(),
        "embedding_scale": repr(float(scale)),
    }
    for key, value in about.items():
        model.set_metadata_prop(key, value)
    return model


def _keep_scopes(model: ModelWrapper) -> None:
    """Drop the exporter's notes (among them this machine's paths), but for the module each node came from."""
    for node in model.graph.node:
        kept = [p for p in node.metadata_props if p.key == SCOPES]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    del model.graph.metadata_props[:]
    for info in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del info.metadata_props[:]


def write(model: ModelWrapper, path: Path) -> None:
    """Check the graph and write it: to a temporary name first, then renamed."""
    write_with(path, lambda partial: onnx.save(model.model, partial))


def write_with(path: Path, save: Callable[[str], None]) -> None:
    """Let ``save`` write to a temporary name beside ``path``, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save(str(partial))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
