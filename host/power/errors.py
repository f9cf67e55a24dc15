"""What can be wrong with a power measurement; every message is one line with the sensor, what it gave and a remedy."""

from __future__ import annotations


class PowerError(RuntimeError):
    """A power figure that is not to be had or not to be trusted."""


class SourceMissingError(PowerError):
    """A sensor, file, bus or package that is not there."""


class SourceSettingsError(PowerError):
    """Settings a sensor cannot take."""


class BadReadingError(PowerError):
    """A reading that is no power: not a number, negative, out of range."""


class SilentZeroError(PowerError):
    """A sensor that gives 0 W: not connected, not calibrated, or not there."""


class FrozenError(PowerError):
    """A sensor that repeats one reading beyond what its resolution explains."""


class TooSlowError(PowerError):
    """Too few readings for a window, a gap in them, or no answer."""


class RecordingError(PowerError):
    """A recording that cannot be used; names file, line or span."""


class ProtocolError(PowerError):
    """A measurement asked for in a way that gives no interval."""


class ReportError(PowerError):
    """An energy report that is damaged, of another schema, or without units."""
