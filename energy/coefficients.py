"""Every energy coefficient, once: its value, unit, process and source. All may be overridden from JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

PROCESS = "45 nm, 0.9 V"
HOROWITZ = "M. Horowitz, ISSCC 2014, Computing's energy problem, table of operations"
PAPER = "SpikeCLIP (2025), appendix F; ICLR 2024 submission, appendix A.7"
LEMAIRE = "E. Lemaire et al., ICONIP 2022 (arXiv 2210.13107), memory model and the authors' implementation of it"
OVERRIDDEN = "overridden by the user"


class CoefficientError(ValueError):
    """A coefficient that does not exist or has no usable value; the message names it and the remedy."""


@dataclass(frozen=True)
class Coefficient:
    """One number with its unit, the process it holds for, and where it was taken from."""

    value: float
    unit: str
    source: str
    process: str = PROCESS

    @property
    def exact(self) -> Fraction:
        """The value as it is written in decimal, without the error of binary floating point."""
        return Fraction(repr(self.value))


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of all estimates.

    e_ac, e_mac: the papers' accumulate and multiply-accumulate (float32: 0.9, and 3.7 + 0.9).
    e_add, e_mul: int32, of the memory-aware model.  An access to a memory of n bits costs
    sram_base + sram_per_bit n and moves up to sram_word bits: the least-squares line through Horowitz's
    caches of 8 kB (10 pJ), 32 kB (20 pJ) and 1 MB (100 pJ), 64 bits an access.
    potential_accesses: accesses to the state for each event: 2, read and write back; 1 repeats the
    authors' implementation, which counts the write alone.
    e_add_8 ... e_fmul: Horowitz's table, of which arithmetic.py makes operations of any width.
    """

    e_ac: Coefficient = Coefficient(0.9, "pJ", f"{PAPER}; float32 add of {HOROWITZ}")
    e_mac: Coefficient = Coefficient(4.6, "pJ", f"{PAPER}; float32 multiply 3.7 + add 0.9 of {HOROWITZ}")
    e_add: Coefficient = Coefficient(0.1, "pJ", f"{LEMAIRE}; int32 add of {HOROWITZ}")
    e_mul: Coefficient = Coefficient(3.1, "pJ", f"{LEMAIRE}; int32 multiply of {HOROWITZ}")
    sram_base: Coefficient = Coefficient(13.2, "pJ", LEMAIRE)
    sram_per_bit: Coefficient = Coefficient(1.09e-5, "pJ/bit", LEMAIRE)
    sram_word: Coefficient = Coefficient(64, "bit", f"cache access of {HOROWITZ}")
    potential_accesses: Coefficient = Coefficient(2, "accesses", "a read and a write back for each event", "any")
    e_add_8: Coefficient = Coefficient(0.03, "pJ", f"int8 add of {HOROWITZ}")
    e_add_32: Coefficient = Coefficient(0.1, "pJ", f"int32 add of {HOROWITZ}")
    e_mul_8: Coefficient = Coefficient(0.2, "pJ", f"int8 multiply of {HOROWITZ}")
    e_mul_32: Coefficient = Coefficient(3.1, "pJ", f"int32 multiply of {HOROWITZ}")
    e_fadd: Coefficient = Coefficient(0.9, "pJ", f"float32 add of {HOROWITZ}")
    e_fmul: Coefficient = Coefficient(3.7, "pJ", f"float32 multiply of {HOROWITZ}")

    def sram_access_pj(self, memory_bits: int) -> float:
        """Return the energy, in pJ, of one access of up to ``sram_word`` bits to a memory of ``memory_bits``."""
        return self.sram_base.value + self.sram_per_bit.value * memory_bits

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Return name -> value, unit, process and source."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, text: str) -> Coefficients:
        """Return the defaults with the values of a JSON object replaced, ``{"e_ac": 0.5}``.

        An entry may be an object with ``value`` and any of ``process`` and ``source``; units stay.
        Raises CoefficientError for unknown names and for values that are no positive numbers.
        """
        try:
            raw = json.loads(text)
        except json.JSONDecodeError as error:
            raise CoefficientError(f"coefficients: not JSON ({error}); write an object such as {EXAMPLE}") from error
        if not isinstance(raw, dict):
            raise CoefficientError(f"coefficients: expected a JSON object such as {EXAMPLE}, got {type(raw).__name__}")
        base = cls()
        return dataclasses.replace(base, **{name: _overridden(base, name, entry) for name, entry in raw.items()})


EXAMPLE = '{"e_ac": 0.5}'


def _overridden(base: Coefficients, name: str, entry: Any) -> Coefficient:
    names = [f.name for f in dataclasses.fields(base)]
    if name not in names:
        raise CoefficientError(f"coefficient {name}: unknown; expected one of {', '.join(names)}")
    parts = entry if isinstance(entry, dict) else {"value": entry}
    unknown = set(parts) - {"value", "process", "source"}
    value = parts.get("value")
    if unknown or isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise CoefficientError(
            f"coefficient {name}: expected a number above 0, or an object with value, process and source, got {entry!r}"
        )
    return dataclasses.replace(getattr(base, name), **{"source": OVERRIDDEN, **parts})
