"""What every operator says about itself: RTL sources and parameters, ROM files, streams, cycles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

Array = np.ndarray

OPS = Path(__file__).parent
LIB = OPS.parent / "lib"


class ParameterError(ValueError):
    """An operator that cannot be built as asked; the message names both values."""


@dataclass(frozen=True)
class Resources:
    """What an operator takes: LUTs (pairs counted once, as in :mod:`hw.netlist`), registers, RAMB18, DSPs, UltraRAMs.

    An estimate for LUTs and registers after synthesis, exact for the rest; see tests/hw/test_synth.py.
    """

    lut: int
    ff: int
    bram18: int = 0
    dsp: int = 0
    uram: int = 0


class Operator(ABC):
    """A configured operator. Its streams are beats as in :mod:`hw.beats`; arrays are golden's."""

    top: ClassVar[str]
    sources: ClassVar[tuple[Path, ...]]

    @abstractmethod
    def parameters(self) -> dict[str, int | str]:
        """Return the RTL parameters."""

    @abstractmethod
    def input_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""

    @abstractmethod
    def output_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""

    @abstractmethod
    def initiation_interval(self) -> int:
        """Return the cycles per position (vector) in the steady state."""

    @abstractmethod
    def latency(self) -> int:
        """Return the cycles from a first input beat to the first output beat, without stalls."""

    @abstractmethod
    def resources(self, family: str = "xc7") -> Resources:
        """Return what the operator takes of a part of ``family``, xc7 or xcup (the LUTs are the same)."""


def require(holds: bool, message: str) -> None:
    """Raise ParameterError with ``message`` unless ``holds``."""
    if not holds:
        raise ParameterError(message)


def require_multiple(operator: str, whole: Mapping[str, int], part: Mapping[str, int]) -> None:
    """Raise ParameterError unless ``part`` divides ``whole`` (each one name and its value)."""
    ((name, value),), ((by, divisor),) = whole.items(), part.items()
    require(
        divisor >= 1 and value >= 1 and value % divisor == 0,
        f"{operator}: {name} {value} is not a multiple of {by} {divisor}; choose {by} among the divisors",
    )


def require_between(operator: str, low: int, high: int, **values: int) -> None:
    """Raise ParameterError unless each of ``values`` is in low to high."""
    for name, value in values.items():
        require(low <= value <= high, f"{operator}: {name}: expected {low} to {high}, got {value}")


def family_of(part: str) -> str:
    """Return the family resources are modelled for, xc7 or xcup, of an AMD part name."""
    return "xc7" if part.lower().startswith("xc7") else "xcup"
