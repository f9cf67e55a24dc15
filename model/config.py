"""The one description of a SpikeCLIP network: what every stage needs to know to rebuild it.

A :class:`ModelConfig` travels inside each checkpoint (as JSON in the safetensors header), so no
stage has to be told twice what the stage before it built.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, Literal

PoolOrder = Literal["current", "spike"]
ReadoutKind = Literal["tdw", "mean", "ad", "ar"]
ResetKind = Literal["subtract", "zero"]


class ConfigError(ValueError):
    """A network description that cannot be built; the message names the field and the remedy."""


@dataclass(frozen=True)
class NeuronConfig:
    """Parameters of the LIF neuron (SpikeCLIP eq. 1-2): U_t = I_t + beta U_{t-1} - S_{t-1} v_threshold.

    ``reset="zero"`` is the hard reset of SpikingJelly checkpoints: after a spike the membrane
    restarts from 0. ``tau`` (SpikingJelly's decay-input form, U_t = (1-1/tau) U_{t-1} + I_t/tau) is
    used instead of ``beta`` when it is set.
    """

    beta: float = 0.9
    v_threshold: float = 1.0
    v_threshold_attention: float = 0.25
    reset: ResetKind = "subtract"
    tau: float | None = None
    leak_bits: int = 5
    membrane_frac_bits: int = 4
    surrogate_alpha: float = 2.0
    detach_reset: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.beta <= 1.0:
            raise ConfigError(f"neuron.beta: expected 0 to 1, got {self.beta}")
        for name in ("v_threshold", "v_threshold_attention", "surrogate_alpha"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"neuron.{name}: expected a number above 0, got {getattr(self, name)}")
        if self.reset not in ("subtract", "zero"):
            raise ConfigError(f"neuron.reset: expected 'subtract' or 'zero', got {self.reset!r}")
        if self.tau is not None and not 1.0 <= self.tau < math.inf:
            raise ConfigError(f"neuron.tau: expected 1 or more, got {self.tau}")
        if not 1 <= self.leak_bits <= 10:
            raise ConfigError(f"neuron.leak_bits: expected 1 to 10, got {self.leak_bits}")
        if not 0 <= self.membrane_frac_bits <= 10:
            raise ConfigError(f"neuron.membrane_frac_bits: expected 0 to 10, got {self.membrane_frac_bits}")

    @property
    def decay(self) -> float:
        """Factor on the old membrane: beta, or 1 - 1/tau in SpikingJelly's form."""
        return self.beta if self.tau is None else 1.0 - 1.0 / self.tau

    @property
    def input_gain(self) -> float:
        """Factor on the input current: 1, or 1/tau in SpikingJelly's form."""
        return 1.0 if self.tau is None else 1.0 / self.tau

    @property
    def leak_multiplier(self) -> int:
        """k of the integer leak floor(k V / 2^leak_bits), the nearest to ``decay``."""
        return round(self.decay * 2**self.leak_bits)


@dataclass(frozen=True)
class ModelConfig:
    """A SpikeCLIP image encoder. Defaults are the ``tiny`` preset."""

    preset: str = "tiny"
    image_size: int = 32
    in_channels: int = 3
    conv_channels: tuple[int, ...] = (24, 48, 96)
    pool_after: tuple[int, ...] = (1, 1, 1)
    pool_kernel: int = 2
    pool_order: PoolOrder = "current"
    depth: int = 2
    heads: int = 8
    mlp_ratio: int = 2
    embed_dim: int = 384
    timesteps: int = 4
    attention_scale: float = 0.125
    readout: ReadoutKind = "tdw"
    neuron: NeuronConfig = dataclasses.field(default_factory=NeuronConfig)

    def __post_init__(self) -> None:
        if not 1 <= self.timesteps <= 16:
            raise ConfigError(f"timesteps: expected 1 to 16, got {self.timesteps}")
        if len(self.conv_channels) < 2:
            raise ConfigError(
                f"conv_channels: expected 2 convolutions or more (the first one's neurons repeat the image "
                f"over T), got {self.conv_channels}"
            )
        if len(self.pool_after) != len(self.conv_channels):
            raise ConfigError(
                "pool_after: expected one 0 or 1 for each of the "
                f"{len(self.conv_channels)} convolutions, got {self.pool_after}"
            )
        if self.pool_kernel not in (2, 3):
            raise ConfigError(f"pool_kernel: expected 2 or 3, got {self.pool_kernel}")
        if self.pool_order not in ("current", "spike"):
            raise ConfigError(f"pool_order: expected 'current' or 'spike', got {self.pool_order!r}")
        if self.pool_order == "spike" and self.pool_after[-1]:
            raise ConfigError(
                "pool_order: 'spike' pools spikes, and the last convolution has no neuron; "
                "set pool_after's last entry to 0"
            )
        if set(self.pool_after) - {0, 1}:
            raise ConfigError(f"pool_after: expected one 0 or 1 for each convolution, got {self.pool_after}")
        counts = {
            name: getattr(self, name) for name in ("image_size", "in_channels", "heads", "mlp_ratio", "embed_dim")
        }
        for name, count in {**counts, "conv_channels": min(self.conv_channels)}.items():
            if count < 1:
                raise ConfigError(f"{name}: expected 1 or more, got {count}")
        if self.depth < 0:
            raise ConfigError(f"depth: expected 0 or more, got {self.depth}")
        if self.dim % self.heads:
            raise ConfigError(f"heads: expected a divisor of the width {self.dim}, got {self.heads}")
        if self.readout not in ("tdw", "mean", "ad", "ar"):
            raise ConfigError(f"readout: expected tdw, mean, ad or ar, got {self.readout!r}")
        if self.image_size % 2 ** sum(self.pool_after):
            raise ConfigError(
                f"image_size: expected a multiple of {2 ** sum(self.pool_after)} for {sum(self.pool_after)} pools, "
                f"got {self.image_size}"
            )

    @property
    def dim(self) -> int:
        """Width D of a token: the channels of the last convolution."""
        return self.conv_channels[-1]

    @property
    def grid(self) -> int:
        """Side of the token grid after all pools."""
        return self.image_size // 2 ** sum(self.pool_after)

    @property
    def tokens(self) -> int:
        """Number of tokens N = grid^2."""
        return self.grid**2

    def to_json(self) -> str:
        """Return the configuration as one JSON object, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Rebuild a configuration; raise ConfigError on a field this version does not know."""
        try:
            raw: dict[str, Any] = json.loads(text)
            neuron = NeuronConfig(**raw.pop("neuron"))
            for key in ("conv_channels", "pool_after"):
                raw[key] = tuple(raw[key])
            return cls(neuron=neuron, **raw)
        except (TypeError, KeyError, AttributeError, json.JSONDecodeError) as error:
            raise ConfigError(f"config: not a SpikeCLIP configuration of this version ({error})") from error


PRESETS: dict[str, ModelConfig] = {
    "tiny": ModelConfig(),
    "small": ModelConfig(preset="small", conv_channels=(32, 64, 128), depth=2, heads=8, mlp_ratio=4),
    # Spikingformer-4-384 as SpikeCLIP uses it; sizes as in the published models.
    "base": ModelConfig(
        preset="base",
        conv_channels=(48, 96, 192, 384, 384),
        pool_after=(0, 0, 1, 1, 0),
        pool_kernel=3,
        depth=4,
        heads=12,
        mlp_ratio=4,
        embed_dim=512,
    ),
}


def preset(name: str, **changes: Any) -> ModelConfig:
    """Return the preset ``name`` with the given fields changed.

    Neuron fields (``beta``, ``leak_bits``, ...) may be given next to the network's own.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    neuron_fields = {f.name for f in dataclasses.fields(NeuronConfig)}
    neuron_changes = {k: changes.pop(k) for k in list(changes) if k in neuron_fields}
    base = PRESETS[name]
    try:
        return dataclasses.replace(base, neuron=dataclasses.replace(base.neuron, **neuron_changes), **changes)
    except TypeError as error:
        raise ConfigError(f"preset {name}: {error}") from error
