"""Padding and sliding windows of a map: FINN's own nodes."""

from __future__ import annotations

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from .graph import make, tensor, type_of


def windows(
    model: ModelWrapper, source: str, layer: str, *, kernel: int, stride: int, pad: int, depthwise: bool
) -> tuple[str, list[NodeProto], tuple[int, int]]:
    """Return the tensor of windows (1, H', W', k k X) of map ``source`` (1, H, W, X), its nodes and (H', W').

    depthwise: the stream gives all of a channel group's window before the next group, as a pool reads it.
    """
    _, height, width, channels = model.get_tensor_shape(source)
    datatype, nodes = type_of(model, source), []
    if pad:
        padded = tensor(model, f"{layer}.padded", (1, height + 2 * pad, width + 2 * pad, channels), datatype)
        nodes.append(
            make(
                "FMPadding",
                [source],
                [padded],
                f"{layer}.padding",
                ImgDim=[height, width],
                Padding=[pad] * 4,
                NumChannels=channels,
                SIMD=1,
                inputDataType=datatype,
            )
        )
        source, height, width = padded, height + 2 * pad, width + 2 * pad
    out = ((height - kernel) // stride + 1, (width - kernel) // stride + 1)
    if kernel == 1 and stride == 1:
        return source, nodes, out
    target = tensor(model, f"{layer}.windows", (1, *out, kernel * kernel * channels), datatype)
    nodes.append(
        make(
            "ConvolutionInputGenerator",
            [source],
            [target],
            f"{layer}.windows",
            ConvKernelDim=[kernel, kernel],
            IFMChannels=channels,
            IFMDim=[height, width],
            OFMDim=list(out),
            SIMD=1,
            Stride=[stride, stride],
            Dilation=[1, 1],
            inputDataType=datatype,
            outputDataType=datatype,
            depthwise=int(depthwise),
        )
    )
    return target, nodes, out
