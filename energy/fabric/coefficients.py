"""The prices of the fabric: value, interval, unit, process and source of each; JSON writes, reads and replaces them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .errors import FabricError
from .interval import Interval

FORMAT, SCHEMA = "spikeclip-fpga/fabric-coefficients", 1
OVERRIDDEN = "overridden by the user"
EXAMPLE = '{"lut": {"value": 0.4, "low": 0.3, "high": 0.5, "source": "mine"}}'
# The keys of a coefficient file that are no coefficients.
_HEAD = ("format", "schema", "part", "family")
_PARTS_OF_AN_ENTRY = {"value", "low", "high", "process", "source", "unit"}
# The coefficients that are joules of switching: what a calibration or a supply voltage scales.
DYNAMIC = ("clock", "ff", "lut", "signal", "bram", "dsp")
# Those that stand for what an RTL simulation does not see.
FACTORS = ("rtl_to_gates", "glitch")


@dataclass(frozen=True)
class FabricCoefficient:
    """One number, the lowest and the highest it may be, its unit, process, and where it was taken from."""

    value: float
    low: float
    high: float
    unit: str
    process: str
    source: str

    @property
    def interval(self) -> Interval:
        """Return value, low and high."""
        return Interval(self.value, self.low, self.high)

    def scaled(self, factor: Interval, source: str) -> FabricCoefficient:
        """Return it times ``factor``, bound by bound, with ``source`` put before its own."""
        return self.at(self.interval.by(factor), f"{source}; before: {self.source}")

    def at(self, value: Interval, source: str) -> FabricCoefficient:
        """Return it with another value and interval, from ``source``."""
        return dataclasses.replace(self, value=value.value, low=value.low, high=value.high, source=source)


@dataclass(frozen=True)
class FabricCoefficients:
    """The prices of one part. part: the longest known start of the AMD part name, "xc7z020".

    clock: a flip-flop and its share of the clock tree, a cycle.  ff: a change of a flip-flop's output, without
    the wire.  lut: a change of a LUT's output, carry chain included, without the wire.  signal: a change of a
    net, of LUTs and flip-flops alike.  bram: an access of a port of an 18 kb block RAM.  dsp: a cycle in which
    a DSP's inputs change.  static: the device's power when nothing switches, in W.
    rtl_to_gates: toggle rate of LUT outputs over that of named RTL signals.  glitch: changes of a LUT output
    over those that a simulation without delays sees.  Both multiply the LUTs' toggles.
    """

    part: str
    family: str
    clock: FabricCoefficient
    ff: FabricCoefficient
    lut: FabricCoefficient
    signal: FabricCoefficient
    bram: FabricCoefficient
    dsp: FabricCoefficient
    static: FabricCoefficient
    rtl_to_gates: FabricCoefficient
    glitch: FabricCoefficient

    def price(self, name: str) -> FabricCoefficient:
        """Return the price called ``name``, one of NAMES."""
        found: FabricCoefficient = getattr(self, name)
        return found

    def changed(self, prices: Mapping[str, FabricCoefficient]) -> FabricCoefficients:
        """Return these with some prices replaced, by name."""
        fields: dict[str, Any] = dict(prices)
        return dataclasses.replace(self, **fields)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that ``overridden`` reads back equal."""
        return {"format": FORMAT, "schema": SCHEMA, **dataclasses.asdict(self)}

    def overridden(self, text: str) -> FabricCoefficients:
        """Return these with those of a JSON object replaced: ``{"lut": 0.4}``, or what ``to_json`` wrote.

        A number alone is taken as exact. Raises FabricError for unknown names, another part or family, units
        other than the coefficient's, and values that are not 0 < low <= value <= high.
        """
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise FabricError(f"coefficients: not JSON ({error}); write an object such as {EXAMPLE}") from error
        if not isinstance(raw, dict):
            raise FabricError(f"coefficients: expected a JSON object such as {EXAMPLE}, got {type(raw).__name__}")
        mine = {"format": FORMAT, "schema": SCHEMA, "part": self.part, "family": self.family}
        for key in _HEAD:
            if key in raw and raw[key] != mine[key]:
                raise FabricError(
                    f"coefficients: {key}: expected {mine[key]!r}, got {raw[key]!r}; give a file made for this"
                )
        return self.changed({name: _overridden(self, name, entry) for name, entry in raw.items() if name not in _HEAD})


NAMES = tuple(f.name for f in dataclasses.fields(FabricCoefficients) if f.name not in _HEAD)


def _overridden(base: FabricCoefficients, name: str, entry: Any) -> FabricCoefficient:
    if name not in NAMES:
        raise FabricError(f"coefficient {name}: unknown; expected one of {', '.join(NAMES)}")
    old = base.price(name)
    parts = dict(entry) if isinstance(entry, dict) else {"value": entry}
    value = parts.get("value")
    numbers = [value, parts.setdefault("low", value), parts.setdefault("high", value)]
    usable = all(_is_number(number) for number in numbers) and 0 < parts["low"] <= parts["value"] <= parts["high"]
    if not usable or set(parts) - _PARTS_OF_AN_ENTRY:
        raise FabricError(
            f"coefficient {name}: expected a number above 0, or an object such as {EXAMPLE} with "
            f"0 < low <= value <= high, got {entry!r}"
        )
    if parts.get("unit", old.unit) != old.unit:
        raise FabricError(f"coefficient {name}: unit: expected {old.unit!r}, got {parts['unit']!r}; convert the value")
    texts = [key for key in ("process", "source") if not isinstance(parts.get(key, ""), str)]
    if texts:
        raise FabricError(f"coefficient {name}: {texts[0]}: expected text, got {parts[texts[0]]!r}")
    return dataclasses.replace(old, **{"source": OVERRIDDEN, **parts})


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
