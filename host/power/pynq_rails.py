"""Power rails through pynq's sensor API (pynq.get_rails: PMBus and other chips known to libsensors)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import SourceMissingError
from .source import PowerSource, Reading, missing_package, require_boundary, require_positive


def _rails_of_board() -> Mapping[str, Any]:
    """Return pynq's rails of this machine. Raises SourceMissingError."""
    if os.environ.get("PYNQ_REMOTE_DEVICES"):
        raise SourceMissingError(
            "pynq rails: PYNQ_REMOTE_DEVICES is set, and pynq reads the sensors of this machine, not of the remote "
            "board; run the measurement on the board, or use a meter in its supply"
        )
    try:
        from pynq import pmbus
    except ImportError as error:
        raise missing_package("pynq rails", "pynq", error) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said below, as an error
        rails: Mapping[str, Any] = pmbus.get_rails()
    if getattr(pmbus, "_lib", None) is None:
        raise SourceMissingError(
            "pynq rails: pynq cannot load libsensors.so, without which every sensor reads 0; "
            "apt-get install libsensors-dev (libsensors5 alone lacks that name)"
        )
    return rails


class PynqRails(PowerSource):
    """The sum of one or more of pynq's rails.

    rails: their names. available: name -> pynq Rail (with voltage, current, power sensors), of this board by
    default. Several rails are read one after the other. Raises SourceMissingError naming the rails there are.
    """

    def __init__(
        self,
        rails: Sequence[str],
        *,
        boundary: str | None = None,
        rate_hz: float = 10.0,
        resolution_w: float | None = None,
        accuracy_pct: float | None = None,
        available: Mapping[str, Any] | None = None,
    ) -> None:
        names = [rails] if isinstance(rails, str) else list(rails)
        self.name = f"pynq rails {'+'.join(names) or '(none)'}"
        require_positive(self.name, rate_hz=rate_hz)
        there = _rails_of_board() if available is None else available
        absent = [name for name in names if name not in there]
        if absent or not names:
            listed = ", ".join(sorted(there)) or "none (this board has no sensors: use an INA226 or a meter)"
            raise SourceMissingError(f"{self.name}: expected some of the rails there are, which are: {listed}")
        self._rails = [there[name] for name in names]
        for name, rail in zip(names, self._rails, strict=True):
            if rail.power is None and (rail.voltage is None or rail.current is None):
                raise SourceMissingError(
                    f"{self.name}: rail {name} has neither power nor both voltage and current; choose another"
                )
        default = f"rail {names[0]}" if len(names) == 1 else f"sum of rails {', '.join(names)}"
        self.boundary = require_boundary(self.name, boundary or default)
        self.rate_hz, self.resolution_w, self.accuracy_pct = rate_hz, resolution_w, accuracy_pct

    def read(self) -> Reading:
        """Return power; voltage and current of a single rail."""
        watts, volts, amperes = 0.0, None, None
        for rail in self._rails:
            volts = None if rail.voltage is None else float(rail.voltage.value)
            amperes = None if rail.current is None else float(rail.current.value)
            if rail.power is not None:
                watts += float(rail.power.value)
            elif volts is not None and amperes is not None:
                watts += volts * amperes
        return Reading(watts, volts, amperes) if len(self._rails) == 1 else Reading(watts)
