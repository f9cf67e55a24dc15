"""Numbers as a person reads them: units, sensible digits, thousands apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

NONE = "\N{EN DASH}"
_GAP = "\N{NO-BREAK SPACE}"  # between a number and its unit
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


_WORDS = {"float32": "float32 prices", "width": "integer prices by operand width"}


def significant(value: float | None, digits: int = 3) -> str:
    """Return ``value`` to ``digits`` significant digits without an exponent, thousands apart."""
    if value is None:
        return NONE
    if not value or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"


def energy(nanojoules: float | None) -> str:
    """Return an energy with the unit that suits it: nJ, µJ or mJ."""
    if nanojoules is None:
        return NONE
    for factor, unit in ((1e6, "mJ"), (1e3, "µJ")):
        if abs(nanojoules) >= factor:
            return f"{significant(nanojoules / factor)}{_GAP}{unit}"
    return f"{significant(nanojoules)}{_GAP}nJ"


def microjoules(nanojoules: float | None) -> str:
    """Return an energy in µJ without its unit, for columns."""
    return NONE if nanojoules is None else significant(nanojoules / 1000)


def count(value: float | None) -> str:
    """Return a count, thousands apart."""
    return NONE if value is None else f"{value:,.0f}"


def millions(value: float | None) -> str:
    """Return a count in millions, three significant digits."""
    return NONE if value is None else significant(value / 1e6)


def si(value: float | None, unit: str = "") -> str:
    """Return a value with an SI prefix, three significant digits."""
    if value is None:
        return NONE
    factor, prefix = next(((f, p) for f, p in _PREFIXES if abs(value) >= f), (1.0, ""))
    return f"{significant(value / factor)}{_GAP}{prefix}{unit}".strip()


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share from 0 to 1 in percent."""
    return NONE if share is None else f"{100 * share:.{digits}f}{_GAP}%"


def fixed(value: float | None, digits: int = 2) -> str:
    """Return a number to ``digits`` places."""
    return NONE if value is None else f"{value:,.{digits}f}"


def signed(value: float | None, digits: int = 2) -> str:
    """Return a number with its sign; minus is a minus, not a hyphen."""
    return NONE if value is None else f"{value:+,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def plain(name: str) -> str:
    """Return a name of the code's as a person writes it: time-parallel for time_parallel."""
    return _WORDS.get(name, name.replace("_", "-"))


def tick(value: float, _: Any = None) -> str:
    """Return a round number with an SI prefix, as an axis shows it."""
    factor, prefix = next(((f, p) for f, p in _PREFIXES if abs(value) >= f), (1.0, ""))
    return f"{value / factor:g}{_GAP}{prefix}".strip()


FILTERS: dict[str, Callable[..., Any]] = {
    "significant": significant,
    "energy": energy,
    "microjoules": microjoules,
    "count": count,
    "millions": millions,
    "si": si,
    "percent": percent,
    "fixed": fixed,
    "signed": signed,
    "plain": plain,
}
