"""Work of the time-serial, event-driven placement: membranes and accumulators in memory (memory_aware.py)."""

from __future__ import annotations

from .layers import Layer
from .work import Access, Model, Work, event_bits, neuron_parameters


def work(model: Model) -> list[Work]:
    """Return the work of every node, per image."""
    return [*_layers(model), *_neurons(model), *_buffers(model)]


def _layers(model: Model) -> list[Work]:
    """Return the work of all layers with weights and of attention, per image."""
    rules = {"Conv": _dense, "Readout": _readout, "SpikeAttention": _attention}
    return [rules.get(layer.op, _events)(model, layer) for layer in model.read.layers]


def _neurons(model: Model) -> list[Work]:
    """Return the work of all LIF nodes: each membrane is read, leaked, compared and written at every step."""
    found = []
    for group in model.read.neurons:
        steps, bits = group.count * model.timesteps, group.membrane_bits
        parameter_bits, parameters = neuron_parameters(group)
        fired = model.spikes([group.name])
        drive = steps if group.static else 0  # the one current of an image that stands still, at every step
        found.append(
            Work(
                *(group.name, "LIF"),
                (
                    Access("state", 2 * steps + drive, bits, group.count * bits),
                    Access("params", 2 * steps, parameter_bits, parameters),
                    Access("outputs", fired, event_bits(group.count), event_bits(group.count) * group.count),
                ),
                adds=2 * steps + fired,  # bias and leak; the reset of those that fired
                multiplies=steps,
                add_bits=bits,
                multiply_bits=(bits, group.leak_bits),
            )
        )
    return found


def _buffers(model: Model) -> list[Work]:
    """Return the work of the residual additions: two streams read, one written, at every step."""
    bits = model.stream_bits()
    found = []
    for name, shape in model.read.streams.items():
        elements = shape[0] * shape[1] * shape[2]
        steps = elements * model.timesteps
        accesses = (Access("state", 3 * steps, bits, elements * bits),)
        found.append(Work(name, "ResidualAdd", accesses, adds=steps, add_bits=bits))
    return found


def _drained(model: Model, layer: Layer) -> int:
    """Accesses that take sums, and clear them, at every step; 0 where the membrane itself was added to."""
    return 0 if layer.into else 2 * model.timesteps * layer.outputs


def _inputs(model: Model, layer: Layer, spikes: float) -> Access:
    bits = event_bits(layer.inputs)
    return Access("inputs", spikes, bits, bits * layer.inputs)


def _events(model: Model, layer: Layer) -> Work:
    additions, spikes = model.additions(layer), model.spikes(layer.sources)
    weight_bits, state_bits = model.weight_bits(layer), model.state_bits(layer)
    reach = layer.kernel**2 * layer.out_shape[2]
    return Work(
        *(layer.name, layer.op),
        (
            _inputs(model, layer, spikes),
            Access("weights", additions, weight_bits, layer.weights * weight_bits),
            Access(
                *("state", model.potential_accesses * additions + _drained(model, layer)),
                *(state_bits, layer.outputs * state_bits),
            ),
        ),
        adds=additions,
        address_adds=spikes * reach + (2 * spikes if layer.op == "SpikeConv" else 0),
        address_multiplies=2 * spikes if layer.op == "SpikeConv" else 0,
        add_bits=state_bits,
    )


def _dense(model: Model, layer: Layer) -> Work:
    """Lemaire's formal convolution: the image is numbers, and is convolved once."""
    weight_bits, sum_bits = model.weight_bits(layer), model.sum_bits(layer)
    return Work(
        *(layer.name, layer.op),
        (
            Access("inputs", layer.flops, 8, 8 * layer.inputs),
            Access("weights", layer.flops, weight_bits, layer.weights * weight_bits),
            Access("outputs", layer.outputs, sum_bits, layer.outputs * sum_bits),
            Access("state", layer.outputs, sum_bits, layer.outputs * sum_bits),  # read again by what follows
        ),
        adds=layer.flops,
        multiplies=layer.flops,
        address_adds=layer.inputs + layer.outputs + layer.out_shape[2] * layer.kernel**2,
        add_bits=sum_bits,
        multiply_bits=(8, weight_bits),
    )


def _attention(model: Model, layer: Layer) -> Work:
    """K^T V in memory, d^2 counts a head: a spike of K adds a row of V to it, a spike of Q adds a row of it."""
    depth = layer.in_shape[2] // layer.heads
    bits = model.sum_bits(layer)
    from_k, from_q = (model.spikes([name]) * depth for name in (layer.sources[1], layer.sources[0]))
    product = layer.in_shape[2] * depth * bits
    return Work(
        *(layer.name, layer.op),
        (
            _inputs(model, layer, model.spikes(layer.sources)),
            Access("state", model.potential_accesses * from_k + from_q, bits, product),
            Access(
                *("state", model.potential_accesses * from_q + _drained(model, layer)),
                *(model.state_bits(layer), layer.outputs * model.state_bits(layer)),
            ),
        ),
        adds=from_k + from_q,
        address_adds=from_k + from_q,
        add_bits=model.state_bits(layer),
    )


def _readout(model: Model, layer: Layer) -> Work:
    """D sums over tokens and steps, then a dense projection of numbers."""
    spikes, channels = model.spikes(layer.sources), layer.in_shape[2]
    weight_bits, sum_bits = model.weight_bits(layer), model.sum_bits(layer)
    return Work(
        *(layer.name, layer.op),
        (
            _inputs(model, layer, spikes),
            Access("state", model.potential_accesses * spikes, sum_bits, channels * sum_bits),
            Access("inputs", channels, sum_bits, channels * sum_bits),
            Access("weights", layer.flops, weight_bits, layer.weights * weight_bits),
            Access("outputs", layer.outputs, sum_bits, layer.outputs * sum_bits),
        ),
        adds=spikes + layer.flops,
        multiplies=layer.flops,
        address_adds=layer.flops,
        add_bits=sum_bits,
        multiply_bits=(model.readout_bits(layer), weight_bits),
    )
