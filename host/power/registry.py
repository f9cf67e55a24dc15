"""Open a source from one line of text: ``spikeclip measure --source ina226:shunt_ohm=0.1,max_current_a=0.8,...``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from .clock import Clock
from .errors import SourceSettingsError
from .hwmon import HwmonSource
from .ina import CHIPS, InaSource
from .joulescope import JoulescopeSource
from .pynq_rails import PynqRails
from .replay import CsvReplay
from .scpi import ScpiMeter
from .source import PowerSource
from .xrt import XrtSource

SOURCES: dict[str, Callable[..., PowerSource]] = {
    **{chip: partial(InaSource, chip) for chip in CHIPS},
    "csv": CsvReplay,
    "hwmon": HwmonSource,
    "joulescope": JoulescopeSource,
    "pynq": PynqRails,
    "scpi": ScpiMeter,
    "xrt": XrtSource,
}
# Not to be given in text: objects of the program, and what the name already says.
_OBJECTS = {"chip", "ioctl", "clock", "available", "report"}


def _settings(name: str) -> dict[str, inspect.Parameter]:
    """Return the settings source ``name`` takes in text."""
    parameters = inspect.signature(SOURCES[name]).parameters
    hidden = _OBJECTS - {"chip"} if name == "hwmon" else _OBJECTS
    if name == "joulescope":
        hidden = hidden | {"device"}
    return {key: value for key, value in parameters.items() if key not in hidden}


def _value(kind: str, text: str) -> Any:
    """Return ``text`` as the type a setting is declared with. Raises ValueError."""
    if "Sequence" in kind:
        return text.split("+")
    if "int" in kind and "str" in kind:
        return int(text) if text.isdigit() else text
    if kind.startswith("int"):
        return int(text, 0)
    if kind.startswith("float"):
        return float(text)
    return text


def source_table() -> str:
    """Return every source in one line with its settings; those without a default are marked with *."""
    rows = {
        name: ", ".join(f"{key}{'*' * (value.default is value.empty)}" for key, value in _settings(name).items())
        for name in sorted(SOURCES)
    }
    width = max(map(len, rows))
    lines = [f"{name:<{width}}  {settings}" for name, settings in rows.items()]
    return "\n".join([*lines, "* must be given: --source name:key=value,key=value"]) + "\n"


def open_source(spec: str, clock: Clock | None = None) -> PowerSource:
    """Return the source in ``name:key=value,key=value``; lists are joined by +. Raises PowerError.

    Examples: ``ina226:bus=/dev/i2c-1,address=0x40,shunt_ohm=0.1,max_current_a=0.8,boundary=5 V input``;
    ``pynq:rails=VCCINT+VCCBRAM``; ``csv:path=meter.csv,boundary=5 V input``. clock: for sources that need time.
    """
    name, _, rest = spec.partition(":")
    if name not in SOURCES:
        raise SourceSettingsError(f"source {name!r}: expected one of {', '.join(sorted(SOURCES))}")
    known = _settings(name)
    settings: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, text = part.partition("=")
        if not equals or key.strip() not in known:
            raise SourceSettingsError(f"source {name}: {part!r}: expected key=value with a key of {', '.join(known)}")
        try:
            settings[key.strip()] = _value(str(known[key.strip()].annotation), text)
        except ValueError:
            raise SourceSettingsError(f"source {name}: {key}: expected a number, got {text!r}") from None
    missing = [key for key, value in known.items() if value.default is value.empty and key not in settings]
    if missing:
        raise SourceSettingsError(f"source {name}: needs {', '.join(missing)}; give {missing[0]}=...")
    if clock is not None and "clock" in inspect.signature(SOURCES[name]).parameters:
        settings["clock"] = clock
    return SOURCES[name](**settings)
