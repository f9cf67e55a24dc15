"""Work of an ANN by Lemaire's formal layers, once, without neurons (memory_aware.py)."""

from __future__ import annotations

from .layers import ATTENTION, Layer
from .twins import Twin
from .work import Access, Model, Work

ACTIVATION_BITS = 8


def work(model: Model) -> list[Work]:
    """Return the work of the ANN twin with the network's own weights and 8-bit activations, per image."""
    weights = {layer.name: model.weight_bits(layer) for layer in model.read.layers if layer.weights}
    twin = Twin("ann", model.read.layers, model.read.streams, ACTIVATION_BITS, weights, stream_bits=ACTIVATION_BITS)
    return formal(twin)


def formal(twin: Twin) -> list[Work]:
    """Return the work of every layer and residual addition, per image; softmax and normalisation are left out."""
    found = [_layer(twin, layer) for layer in twin.layers]
    for name, shape in twin.streams.items():
        elements, bits = shape[0] * shape[1] * shape[2], twin.stream_bits
        accesses = (Access("state", 3 * elements, bits, elements * bits),)
        found.append(Work(name, "ResidualAdd", accesses, adds=elements, add_bits=bits, floating=twin.floating))
    return found


def _layer(twin: Twin, layer: Layer) -> Work:
    """Lemaire's formal layer: a convolution reads its input for each tap, a linear layer once for each token.

    A softmax needs the N^2 scores of every head whole: written, and read back.
    """
    convolution, attention = layer.op in ("Conv", "SpikeConv"), layer.op in ATTENTION
    input_bits, weight_bits = twin.input_bits(layer), twin.operand_bits(layer)
    reads = layer.flops if convolution else 3 * layer.inputs if attention else layer.inputs
    # Attention's second operand is no weight but the other activations.
    operands = layer.inputs if attention else layer.weights
    addresses = layer.inputs + layer.outputs + layer.out_shape[2] * layer.kernel**2 if convolution else layer.flops
    scores = layer.heads * layer.out_positions**2 if layer.op == "SoftmaxAttention" else 0
    return Work(
        *(layer.name, layer.op),
        (
            Access("inputs", reads, input_bits, layer.inputs * input_bits),
            Access("weights", layer.flops, weight_bits, operands * weight_bits),
            Access("outputs", layer.outputs, twin.output_bits(layer), layer.outputs * twin.output_bits(layer)),
            *([Access("state", 2 * scores, input_bits, scores * input_bits)] if scores else []),
        ),
        adds=layer.flops + (0 if attention else layer.outputs),
        multiplies=layer.flops,
        address_adds=addresses,
        add_bits=twin.sum_bits(layer),
        multiply_bits=(input_bits, weight_bits),
        floating=twin.floating,
    )
