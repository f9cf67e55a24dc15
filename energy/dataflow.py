"""Work of an ANN in hardware built as this project's: what time_parallel.py moves, with numbers instead of words.

Line buffers, row-wise pools, K^T V in memory and counters for addresses are the same; an activation takes the
place of a word of T spikes, one multiply-accumulate that of T additions, and 2^bits - 1 thresholds, all compared
as in FINN's MVAU, that of a neuron's threshold and bias. Float32 has a bias in a layer's sum instead.
"""

from __future__ import annotations

from .layers import Layer, Shape
from .twins import Twin
from .work import Access, Work


def work(twin: Twin) -> list[Work]:
    """Return the work of every node of one pass, per image; softmax and normalisation are left out."""
    rules = {"SpikeAttention": _linear_attention, "SoftmaxAttention": _softmax_attention, "Readout": _readout}
    found = [rules.get(layer.op, _dense)(twin, layer) for layer in twin.layers]
    return [*found, *_activations(twin), *_buffers(twin)]


def _size(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2]


def _dense(twin: Twin, layer: Layer) -> Work:
    """Every weight meets every window once; a line buffer of k rows is written once and read k^2 times."""
    bits, weight_bits = twin.input_bits(layer), twin.operand_bits(layer)
    taps = layer.out_positions * layer.kernel**2 * layer.in_shape[2]
    rows = layer.kernel * layer.in_shape[1] * layer.in_shape[2] if layer.kernel > 1 else layer.in_shape[2]
    filled = layer.inputs if layer.kernel > 1 else 0
    return Work(
        *(layer.name, layer.op),
        (
            Access("inputs", filled + taps, bits, rows * bits),
            Access("weights", layer.flops, weight_bits, layer.weights * weight_bits),
        ),
        adds=layer.flops + (layer.outputs if twin.floating else 0),
        multiplies=layer.flops,
        add_bits=twin.sum_bits(layer),
        multiply_bits=(bits, weight_bits),
        floating=twin.floating,
    )


def _linear_attention(twin: Twin, layer: Layer) -> Work:
    """K^T V of one head: N d sums are updated d at a time, then read for every query."""
    depth, words = layer.in_shape[2] // layer.heads, layer.inputs
    bits, sums = twin.input_bits(layer), twin.sum_bits(layer)
    return _attention(
        *(twin, layer),
        Access("inputs", 3 * words, bits, words * bits),
        Access("state", 3 * words * depth, sums, layer.in_shape[2] * depth * sums),
    )


def _softmax_attention(twin: Twin, layer: Layer) -> Work:
    """K and V are kept, and all of both is read for every query; a query's N scores stay in registers."""
    words, bits = layer.inputs, twin.input_bits(layer)
    return _attention(
        *(twin, layer),
        Access("inputs", 3 * words, bits, words * bits),
        Access("state", 2 * words * (1 + layer.out_positions), bits, 2 * words * bits),
    )


def _attention(twin: Twin, layer: Layer, inputs: Access, state: Access) -> Work:
    bits = twin.input_bits(layer)
    return Work(
        *(layer.name, layer.op, (inputs, state)),
        adds=layer.flops,
        multiplies=layer.flops,
        add_bits=twin.sum_bits(layer),
        multiply_bits=(bits, bits),
        floating=twin.floating,
    )


def _readout(twin: Twin, layer: Layer) -> Work:
    """D sums in registers over tokens, then the projection."""
    bits, weight_bits, sums = twin.input_bits(layer), twin.operand_bits(layer), twin.sum_bits(layer)
    channels, words, activations = layer.in_shape[2], layer.inputs, twin.activation_bits
    return Work(
        *(layer.name, layer.op),
        (
            Access("inputs", words, activations, words * activations),
            Access("inputs", channels, bits, channels * bits),
            Access("weights", layer.flops, weight_bits, layer.weights * weight_bits),
            Access("outputs", layer.outputs, sums, layer.outputs * sums),
        ),
        adds=words + layer.flops,
        multiplies=layer.flops,
        add_bits=sums,
        multiply_bits=(bits, weight_bits),
        floating=twin.floating,
    )


def _activations(twin: Twin) -> list[Work]:
    """Return the work of making activations: thresholds read and compared, activations written."""
    levels = 0 if twin.floating else 2**twin.activation_bits - 1
    widths = {layer.name.removesuffix(".conv").removesuffix(".linear"): twin.sum_bits(layer) for layer in twin.layers}
    found = []
    for name, shape in twin.activations:
        count, bits = _size(shape), widths.get(name, twin.stream_bits)
        written = Access("outputs", count, twin.activation_bits, count * twin.activation_bits)
        read = Access("params", levels * count, bits, levels * shape[2] * bits)
        accesses = (read, written) if levels else (written,)
        found.append(Work(f"{name}.activation", "Thresholds", accesses, adds=levels * count, add_bits=bits))
    return found


def _buffers(twin: Twin) -> list[Work]:
    """Return the work of max-pools (a row of partial maxima) and of the residual stream's FIFOs."""
    widths = {layer.name: twin.sum_bits(layer) for layer in twin.layers}
    found = []
    for pool in twin.pools:
        bits, values, row = widths[pool.layer], _size(pool.shape), pool.shape[1] * pool.shape[2]
        accesses = (Access("state", 2 * values, bits, row * bits),)
        found.append(Work(pool.name, pool.op, accesses, adds=values, add_bits=bits, floating=twin.floating))
    for name, shape in twin.streams.items():
        elements, bits = _size(shape), twin.stream_bits
        accesses = (Access("state", 3 * elements, bits, elements * bits),)
        found.append(Work(name, "ResidualAdd", accesses, adds=elements, add_bits=bits, floating=twin.floating))
    return found
