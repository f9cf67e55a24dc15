"""A Joulescope JS110 or JS220 in the supply: it integrates at 1 or 2 MHz and sends mean powers."""

from __future__ import annotations

import queue
from typing import Any

import numpy as np

from .errors import SourceMissingError, SourceSettingsError, TooSlowError
from .source import PowerSource, Reading, missing_package, require_boundary

# What the instrument offers as statistics rate.
RATES_HZ = (1, 2, 5, 10, 20, 50, 100)
_ANSWER_S = 5.0


class JoulescopeSource(PowerSource):
    """A Joulescope; each reading is the mean since the one before, so no peak is missed.

    rate_hz: one of RATES_HZ. device: an opened-by-us device of the joulescope package; the only one connected by
    default. Raises SourceMissingError (no package, none or several connected), SourceSettingsError.
    """

    def __init__(
        self,
        *,
        boundary: str,
        rate_hz: float = 50,
        accuracy_pct: float | None = None,
        device: Any = None,
    ) -> None:
        self.name = "Joulescope"
        if rate_hz not in RATES_HZ:
            raise SourceSettingsError(f"{self.name}: rate_hz: expected one of {RATES_HZ}, got {rate_hz:g}")
        self.boundary = require_boundary(self.name, boundary)
        self.rate_hz, self.accuracy_pct = float(rate_hz), accuracy_pct
        # Its means are far finer than any board's noise.
        self.resolution_w = 1e-9
        self._device = self._only_one() if device is None else device
        self.name = f"Joulescope {self._device}"
        self.detail = f"each reading averages {1e3 / rate_hz:.3g} ms"
        self._means: queue.SimpleQueue[tuple[float, float, float]] = queue.SimpleQueue()
        try:
            self._device.open()
        except Exception as error:  # the driver raises several kinds
            raise SourceMissingError(f"{self.name}: does not open ({error}); close other programs using it") from error
        try:
            self._device.parameter_set("reduction_frequency", f"{rate_hz:g} Hz")
            self._device.parameter_set("i_range", "auto")
            self._device.statistics_callback_register(self._on_statistics, "sensor")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _only_one() -> Any:
        try:
            import joulescope
        except ImportError as error:
            raise missing_package("Joulescope", "joulescope", error) from error
        try:
            return joulescope.scan_require_one(config="auto")
        except RuntimeError as error:
            raise SourceMissingError(f"Joulescope: {error}; connect exactly one; check its USB permission") from None

    def _on_statistics(self, statistics: dict[str, Any], *_: Any) -> None:
        """Keep one mean; called in the driver's thread."""
        power, voltage, current = (
            float(statistics["signals"][name]["µ"]["value"]) for name in ("power", "voltage", "current")
        )
        self._means.put((power, voltage, current))

    def read(self) -> Reading:
        """Return the mean of what came since the last call, waiting for it if need be. Raises TooSlowError."""
        try:
            means = [self._means.get(timeout=_ANSWER_S)]
            while not self._means.empty():
                means.append(self._means.get())
        except queue.Empty:
            raise TooSlowError(
                f"{self.name}: no answer for {_ANSWER_S:g} s; check its cable, or plug it out and in"
            ) from None
        return Reading(*np.mean(means, axis=0).tolist())

    def close(self) -> None:
        """Stop and close the instrument."""
        device, self._device = self._device, None
        if device is not None:
            device.statistics_callback_unregister(self._on_statistics, "sensor")
            device.close()
