"""The one table of bit widths, and the Brevitas weight quantisers built from it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from brevitas.quant import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat
from brevitas.quant.fixed_point import Int8WeightPerChannelFixedPoint

from spikeclip_fpga.model.config import ConfigError, ModelConfig


@dataclass(frozen=True)
class BitWidths:
    """Widths, in bits, of everything that is quantised.

    first, hidden, last: weights of the first convolution, of all spiking layers, of the projection
    (2 to 8).  layers: exceptions by layer name, for example ``{"blocks.0.mlp.fc2": 6}``.
    residual_frac: fraction bits of the residual stream's grid.  time_weight: of the readout's weights
    over time.  readout: of the weighted token sums that enter the projection.
    """

    first: int = 8
    hidden: int = 4
    last: int = 8
    residual_frac: int = 7
    time_weight: int = 8
    readout: int = 8
    layers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, bits in {"first": self.first, "hidden": self.hidden, "last": self.last, **self.layers}.items():
            if not 2 <= bits <= 8:
                raise ConfigError(f"bit width of {name}: expected 2 to 8, got {bits}")
        for name, bits in {"time_weight": self.time_weight, "readout": self.readout}.items():
            if not 2 <= bits <= 16:
                raise ConfigError(f"bit width of {name}: expected 2 to 16, got {bits}")
        if not 0 <= self.residual_frac <= 12:
            raise ConfigError(f"residual_frac: expected 0 to 12, got {self.residual_frac}")

    def weight(self, layer: str) -> int:
        """Return the weight width of ``layer``."""
        if layer in self.layers:
            return self.layers[layer]
        if layer == "tokenizer.0":
            return self.first
        return self.last if layer == "readout.project" else self.hidden

    def require_layers(self, config: ModelConfig) -> None:
        """Raise ConfigError if an exception names a layer that a network of ``config`` does not have."""
        parts = ("attention.q", "attention.k", "attention.v", "attention.proj", "mlp.fc1", "mlp.fc2")
        known = [f"tokenizer.{i}" for i in range(len(config.conv_channels))]
        known += [f"blocks.{i}.{part}" for i in range(config.depth) for part in parts] + ["readout.project"]
        for name in self.layers:
            if name not in known:
                raise ConfigError(f"bit width of {name}: no such layer; expected one of {', '.join(known)}")

    def to_json(self) -> str:
        """Return the table as JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> BitWidths:
        """Rebuild the table; raise ConfigError on a field this version does not know."""
        try:
            return cls(**json.loads(text))
        except (TypeError, json.JSONDecodeError) as error:
            raise ConfigError(f"bit widths: not of this version ({error})") from error


def spiking_weight(bits: int) -> dict[str, Any]:
    """Weights that feed a neuron: a free scale per output channel, since the threshold absorbs it."""
    return {"weight_quant": Int8WeightPerChannelFloat, "weight_bit_width": bits}


def residual_weight(bits: int, residual_frac: int) -> dict[str, Any]:
    """Weights that feed the residual stream: per channel a power of two, no finer than the stream's grid.

    One unit of the accumulator is then a whole number of grid steps, and requantising is a shift.
    """

    class ResidualWeight(Int8WeightPerChannelFixedPoint):
        # Brevitas bounds the range, 2^(bits-1) steps, not the step.
        scaling_min_val = 2.0 ** (bits - 1 - residual_frac)

    return {"weight_quant": ResidualWeight, "weight_bit_width": bits}


def projection_weight(bits: int) -> dict[str, Any]:
    """Weights of the projection: one scale for all, since only the embedding's direction counts."""
    return {"weight_quant": Int8WeightPerTensorFloat, "weight_bit_width": bits}
