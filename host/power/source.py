"""One interface for everything that measures power."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType

from .errors import SourceMissingError, SourceSettingsError


@dataclass(frozen=True)
class Reading:
    """One reading: watts, and volts and amperes where the sensor gives them."""

    power_w: float
    voltage_v: float | None = None
    current_a: float | None = None


class PowerSource(ABC):
    """A sensor of power.

    name: the sensor, as reports and errors call it. boundary: what is measured, e.g. "5 V input of the board".
    rate_hz: new readings per second. resolution_w: the step of a reading, None if unknown. accuracy_pct: error of
    the sensor itself (gain, shunt), None if not stated; it is no part of any interval. detail: how readings are
    made (averaging, calibration), in one line.
    """

    name: str
    boundary: str
    rate_hz: float
    resolution_w: float | None = None
    accuracy_pct: float | None = None
    detail: str = ""

    @abstractmethod
    def read(self) -> Reading:
        """Return one reading; may wait for it. Raises PowerError."""

    def close(self) -> None:
        """Release the sensor; a second call does nothing."""
        return None

    def __enter__(self) -> PowerSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def require_positive(source: str, **settings: float) -> None:
    """Raise SourceSettingsError for the first setting that is not a number above zero."""
    for key, value in settings.items():
        if not 0 < value < float("inf"):
            raise SourceSettingsError(f"{source}: {key}: expected above 0, got {value}")


def require_boundary(source: str, boundary: str) -> str:
    """Return ``boundary``. Raises SourceSettingsError if empty: a figure without its boundary compares with nothing."""
    if not boundary.strip():
        raise SourceSettingsError(
            f"{source}: boundary: expected what the sensor measures, got nothing; give e.g. '5 V input of the board'"
        )
    return boundary.strip()


def missing_package(source: str, package: str, error: ImportError) -> SourceMissingError:
    """Return the error for an optional package that does not import."""
    return SourceMissingError(f"{source}: the package {package} does not import ({error}); pip install {package}")
