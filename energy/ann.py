"""Work of the ANN twin: the same layers on 8-bit activations, once, without neurons (memory_aware.py)."""

from __future__ import annotations

from .layers import Layer
from .work import Access, Model, Work

ACTIVATION_BITS = 8


def work(model: Model) -> list[Work]:
    """Return the work of every layer and residual addition, per image; softmax and normalisation are left out."""
    found = [_layer(model, layer) for layer in model.read.layers]
    for name, shape in model.read.streams.items():
        elements = shape[0] * shape[1] * shape[2]
        accesses = (Access("state", 3 * elements, ACTIVATION_BITS, elements * ACTIVATION_BITS),)
        found.append(Work(name, "ResidualAdd", accesses, adds=elements))
    return found


def _layer(model: Model, layer: Layer) -> Work:
    """Lemaire's formal layer: a convolution reads its input for each tap, a linear layer once for each token."""
    convolution, attention = layer.op in ("Conv", "SpikeConv"), layer.op == "SpikeAttention"
    weight_bits = ACTIVATION_BITS if attention else model.weight_bits(layer)
    reads = layer.flops if convolution else 3 * layer.inputs if attention else layer.inputs
    # Attention's second operand is no weight but the other activations.
    operands = layer.inputs if attention else layer.weights
    addresses = layer.inputs + layer.outputs + layer.out_shape[2] * layer.kernel**2 if convolution else layer.flops
    return Work(
        *(layer.name, layer.op),
        (
            Access("inputs", reads, ACTIVATION_BITS, layer.inputs * ACTIVATION_BITS),
            Access("weights", layer.flops, weight_bits, operands * weight_bits),
            Access("outputs", layer.outputs, ACTIVATION_BITS, layer.outputs * ACTIVATION_BITS),
        ),
        adds=layer.flops + (0 if attention else layer.outputs),
        multiplies=layer.flops,
        address_adds=addresses,
    )
