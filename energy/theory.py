"""The papers' theory of energy, equations (F.1) to (F.5), exactly: rational numbers, rounded only for print.

  (F.1) energy(l) = E_AC SOPs(l)          (F.2) energy(b) = E_MAC FLOPs(b)
  (F.3) SOPs(l) = T x firing rate of l's input x FLOPs(l)
  (F.4) E_SpikeCLIP = E_AC (sum of SOPs over fully connected and convolutional layers)
  (F.5) ECR = 1 - E_AC T mean firing rate / E_MAC
FLOPs are multiply-accumulates of one step. Memory, neurons, attention and control cost nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .coefficients import Coefficients
from .counters import CountError, Counts, firing_rate
from .layers import Layer, Network, Neurons


@dataclass(frozen=True)
class LayerTheory:
    """One layer, per image: ``operations`` are SOPs by (F.3), or MACs where the input is not spikes.

    rate: firing rate of the input, None without spikes.  energy_pj by (F.1) or (F.2); ann_energy_pj: of the
    same layer in the ANN twin.
    """

    name: str
    op: str
    flops: int
    rate: Fraction | None
    operations: Fraction
    energy_pj: Fraction
    ann_energy_pj: Fraction


@dataclass(frozen=True)
class Theory:
    """The papers' figures for one set of images, per image.

    mean_rate: over all LIF neurons.  closed: (F.5).  summed: 1 - sum of energies / E_MAC sum of FLOPs.
    summed - closed = weighting + dense_layers: layers with many operations have other firing rates than
    the mean neuron, and layers fed by numbers (first convolution, projection) stay multiply-accumulates.
    """

    images: int
    timesteps: int
    layers: tuple[LayerTheory, ...]
    mean_rate: Fraction
    closed: Fraction
    summed: Fraction
    weighting: Fraction
    dense_layers: Fraction

    @property
    def energy_pj(self) -> Fraction:
        """Sum over layers of the SNN's energy, pJ per image."""
        return sum((layer.energy_pj for layer in self.layers), Fraction())

    @property
    def ann_energy_pj(self) -> Fraction:
        """(F.2) over all layers: the ANN twin's energy, pJ per image."""
        return sum((layer.ann_energy_pj for layer in self.layers), Fraction())

    @property
    def sops(self) -> Fraction:
        """Sum of (F.3) over spiking layers, per image."""
        return sum((layer.operations for layer in self.layers if layer.rate is not None), Fraction())

    @property
    def macs(self) -> Fraction:
        """Multiply-accumulates of layers that are not fed by spikes, per image."""
        return sum((layer.operations for layer in self.layers if layer.rate is None), Fraction())


def synaptic_operations(timesteps: int, rate: Fraction, flops: int) -> Fraction:
    """(F.3): return T x firing rate of the input x FLOPs."""
    return timesteps * rate * flops


def closed_form(rate: Fraction, timesteps: int, coefficients: Coefficients) -> Fraction:
    """(F.5): return the energy reduction of an SNN of mean firing rate ``rate`` over its ANN twin."""
    return 1 - coefficients.e_ac.exact * timesteps * rate / coefficients.e_mac.exact


def estimate(
    network: Network, counts: Counts, coefficients: Coefficients | None = None, first_layer_steps: int = 1
) -> Theory:
    """Return the papers' figures for the counted images.

    first_layer_steps: how often the first convolution is computed: once, as here, since the image does not
    change; T repeats papers that compute it at every step.  Raises CountError without images, or for a value
    outside 1 to T.
    """
    if not 1 <= first_layer_steps <= network.timesteps:
        raise CountError(f"first_layer_steps: expected 1 to {network.timesteps}, got {first_layer_steps}")
    given = coefficients or Coefficients()
    neurons = {n.name: n for n in network.neurons}
    rows = [
        _layer(layer, _input_rate(layer, counts, network.timesteps), network.timesteps, given, first_layer_steps)
        for layer in network.layers
        if layer.op != "SpikeAttention"
    ]
    mean = firing_rate(list(neurons.values()), counts, network.timesteps)
    return _whole(rows, mean, counts.images, network.timesteps, given)


def uniform(
    layers: Sequence[Layer], rate: Fraction, timesteps: int, coefficients: Coefficients | None = None
) -> Theory:
    """Return the papers' figures with one firing rate for every layer: what a configuration alone can tell."""
    given = coefficients or Coefficients()
    rows = [
        _layer(layer, rate if layer.spiking else None, timesteps, given, 1)
        for layer in layers
        if layer.op != "SpikeAttention"
    ]
    return _whole(rows, rate, 0, timesteps, given)


def _input_rate(layer: Layer, counts: Counts, timesteps: int) -> Fraction | None:
    if not layer.spiking:
        return None
    read = Neurons(layer.sources[0], layer.in_shape, 0)
    return firing_rate([read], counts, timesteps)


def _layer(
    layer: Layer, rate: Fraction | None, timesteps: int, coefficients: Coefficients, first_layer_steps: int
) -> LayerTheory:
    e_mac = coefficients.e_mac.exact
    if rate is None:
        operations = Fraction(layer.flops * (first_layer_steps if layer.op == "Conv" else 1))
        energy = e_mac * operations
    else:
        operations = synaptic_operations(timesteps, rate, layer.flops)
        energy = coefficients.e_ac.exact * operations
    return LayerTheory(layer.name, layer.op, layer.flops, rate, operations, energy, e_mac * layer.flops)


def _whole(rows: list[LayerTheory], mean: Fraction, images: int, timesteps: int, coefficients: Coefficients) -> Theory:
    flops = sum(row.flops for row in rows)
    spiking = [row for row in rows if row.rate is not None]
    spiking_flops = sum(row.flops for row in spiking)
    gain = coefficients.e_ac.exact * timesteps / coefficients.e_mac.exact
    events = sum((row.rate * row.flops for row in spiking if row.rate is not None), Fraction())
    weighted = events / spiking_flops if spiking_flops else Fraction()
    dense = sum((row.operations for row in rows if row.rate is None), Fraction()) / flops
    share = 1 - Fraction(spiking_flops, flops)
    energy = sum((row.energy_pj for row in rows), Fraction())
    return Theory(
        images=images,
        timesteps=timesteps,
        layers=tuple(rows),
        mean_rate=mean,
        closed=closed_form(mean, timesteps, coefficients),
        summed=1 - energy / (coefficients.e_mac.exact * flops),
        weighting=gain * (mean - weighted),
        dense_layers=share * gain * weighted - dense,
    )
