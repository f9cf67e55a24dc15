"""Work of this project's time-parallel placement: words of T bits, state in registers (memory_aware.py)."""

from __future__ import annotations

from .layers import Layer
from .work import Access, Model, Work, neuron_parameters


def work(model: Model) -> list[Work]:
    """Return the work of every node, per image."""
    return [*_layers(model), *_neurons(model), *_buffers(model)]


def _layers(model: Model) -> list[Work]:
    """Return the work of all layers with weights and of attention, per image."""
    rules = {"Readout": _readout, "SpikeAttention": _attention}
    return [rules.get(layer.op, _dense)(model, layer) for layer in model.read.layers]


def _neurons(model: Model) -> list[Work]:
    """Return the work of all LIF nodes: T steps of a neuron in one pass through registers, one word out."""
    found = []
    for group in model.read.neurons:
        steps = group.count * model.timesteps
        parameter_bits, parameters = neuron_parameters(group)
        found.append(
            Work(
                *(group.name, "LIF"),
                (
                    Access("params", 2 * group.count, parameter_bits, parameters),
                    Access("outputs", group.count, model.timesteps, group.count * model.timesteps),
                ),
                adds=3 * steps,  # bias, leak and reset are there at every step
                multiplies=steps,
                add_bits=group.membrane_bits,
                multiply_bits=(group.membrane_bits, group.leak_bits),
            )
        )
    return found


def _buffers(model: Model) -> list[Work]:
    """Return the work of max-pools (a row of partial maxima) and of the residual stream's FIFOs."""
    found = []
    widths = {layer.name: model.sum_bits(layer) for layer in model.read.layers}
    for pool in model.read.pools:
        steps = 1 if pool.static else model.timesteps
        bits = steps * widths.get(pool.layer, 1)
        values = pool.shape[0] * pool.shape[1] * pool.shape[2]
        row = pool.shape[1] * pool.shape[2]
        accesses = (Access("state", 2 * values, bits, row * bits),)
        found.append(Work(pool.name, pool.op, accesses, adds=values * steps, add_bits=widths.get(pool.layer, 1)))
    bits = model.stream_bits() * model.timesteps
    for name, shape in model.read.streams.items():
        elements = shape[0] * shape[1] * shape[2]
        accesses = (Access("state", 3 * elements, bits, elements * bits),)
        adds = elements * model.timesteps
        found.append(Work(name, "ResidualAdd", accesses, adds=adds, add_bits=model.stream_bits()))
    return found


def _dense(model: Model, layer: Layer) -> Work:
    """Every weight meets every window once; a line buffer of k rows is written once and read k^2 times."""
    image = layer.op == "Conv"
    bits = 8 if image else model.timesteps
    taps = layer.out_positions * layer.kernel**2 * layer.in_shape[2]
    rows = layer.kernel * layer.in_shape[1] * layer.in_shape[2] if layer.kernel > 1 else layer.in_shape[2]
    filled = layer.inputs if layer.kernel > 1 else 0
    weight_bits = model.weight_bits(layer)
    return Work(
        *(layer.name, layer.op),
        (
            Access("inputs", filled + taps, bits, rows * bits),
            Access("weights", layer.flops, weight_bits, layer.weights * weight_bits),
        ),
        adds=layer.flops * (1 if image else model.timesteps),
        multiplies=layer.flops if image else 0,
        add_bits=model.sum_bits(layer),
        multiply_bits=(8, weight_bits),
    )


def _attention(model: Model, layer: Layer) -> Work:
    """K^T V of one head and all steps: N d words of counts are updated d at a time, then read for every query."""
    depth = layer.in_shape[2] // layer.heads
    words, bits = layer.inputs, model.sum_bits(layer) * model.timesteps
    return Work(
        *(layer.name, layer.op),
        (
            Access("inputs", 3 * words, model.timesteps, words * model.timesteps),
            Access("state", 3 * words * depth, bits, layer.in_shape[2] * depth * bits),
        ),
        adds=layer.flops * model.timesteps,
        add_bits=model.sum_bits(layer),
    )


def _readout(model: Model, layer: Layer) -> Work:
    """D sums in registers over tokens and steps, then a dense projection of numbers."""
    weight_bits, sum_bits = model.weight_bits(layer), model.sum_bits(layer)
    channels, words = layer.in_shape[2], layer.inputs
    return Work(
        *(layer.name, layer.op),
        (
            Access("inputs", words, model.timesteps, words * model.timesteps),
            Access("inputs", channels, sum_bits, channels * sum_bits),
            Access("weights", layer.flops, weight_bits, layer.weights * weight_bits),
            Access("outputs", layer.outputs, sum_bits, layer.outputs * sum_bits),
        ),
        adds=words * model.timesteps + layer.flops,
        multiplies=layer.flops,
        add_bits=sum_bits,
        multiply_bits=(model.readout_bits(layer), weight_bits),
    )
