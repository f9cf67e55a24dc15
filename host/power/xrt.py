"""Power of an Alveo card: XRT's electrical report, by xbutil (or xrt-smi) or by the pyxrt module.

Both give the same JSON: power_consumption_watts, and power_rails with volts and amps. The card's controller
refreshes its sensors about once a second, so windows must be long. Rails XRT failed to read are 0.000 there; here
that is an error.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .errors import BadReadingError, SourceMissingError
from .source import PowerSource, Reading, missing_package, require_boundary, require_positive

TOOLS = ("xrt-smi", "xbutil")
_TIMEOUT_S = 30.0


def report_by_tool(device: str, command: str | None = None) -> Callable[[], str]:
    """Return a function that gives the JSON of ``<tool> examine --report electrical`` for a PCIe address."""
    tool = command or next((found for name in TOOLS if (found := shutil.which(name))), None)
    if tool is None or shutil.which(tool) is None:
        raise SourceMissingError(
            f"XRT card {device}: {command or ' and '.join(TOOLS)} not found; install XRT and source its setup.sh"
        )

    def report() -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "electrical.json"
            asked = [tool, "examine", "--device", device, "--report", "electrical", "--format", "JSON"]
            try:
                done = subprocess.run(
                    [*asked, "--output", str(path)], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
                )
            except subprocess.TimeoutExpired:
                raise SourceMissingError(
                    f"XRT card {device}: {tool}: no answer in {_TIMEOUT_S:g} s; reset the card"
                ) from None
            if done.returncode or not path.is_file():
                said = " ".join((done.stderr or done.stdout).split())
                raise SourceMissingError(
                    f"XRT card {device}: {tool} ended with {done.returncode}: {said:.160}; "
                    "check the card's address with 'examine'"
                )
            return path.read_text(encoding="utf-8")

    return report


def report_by_pyxrt(index: int) -> Callable[[], str]:
    """Return a function that gives the electrical JSON of card ``index`` by XRT's Python module."""
    try:
        import pyxrt
    except ImportError as error:
        raise missing_package(f"XRT card {index}", "pyxrt (part of XRT: source its setup.sh)", error) from error
    try:
        card = pyxrt.device(index)
    except Exception as error:  # pyxrt raises several kinds
        raise SourceMissingError(f"XRT card {index}: {error}; check the cards with 'xrt-smi examine'") from error
    return lambda: str(card.get_info(pyxrt.xrt_info_device.electrical))


class XrtSource(PowerSource):
    """An Alveo card.

    device: PCIe address (0000:65:00.1) read by xrt-smi or xbutil, or an index read by pyxrt. rails: ids such as
    12v_pex whose volts times amps are summed; XRT's own total of the card by default. report: where the JSON
    comes from, if neither. Raises SourceMissingError.
    """

    def __init__(
        self,
        device: str | int,
        *,
        rails: Sequence[str] = (),
        boundary: str | None = None,
        rate_hz: float = 1.0,
        accuracy_pct: float | None = None,
        command: str | None = None,
        report: Callable[[], str] | None = None,
    ) -> None:
        self.name = f"XRT card {device}"
        require_positive(self.name, rate_hz=rate_hz)
        self._rails = [rails] if isinstance(rails, str) else list(rails)
        if report is None:
            report = report_by_pyxrt(device) if isinstance(device, int) else report_by_tool(device, command)
        self._report = report
        default = f"card's rails {', '.join(self._rails)}" if self._rails else "whole card, as XRT sums it"
        self.boundary = require_boundary(self.name, boundary or default)
        self.rate_hz, self.accuracy_pct = rate_hz, accuracy_pct
        # Cards with XRT's newer sensor interface report their total in whole watts.
        text = "" if self._rails else str(self._electrical().get("power_consumption_watts"))
        self.resolution_w = 1e-3 if self._rails else 1.0 if text.isdigit() else 1e-6
        self.read()

    def _electrical(self) -> dict[str, Any]:
        text = self._report()
        try:
            data = json.loads(text)
            if "devices" in data:
                data = data["devices"][0]
            data = data.get("electrical", data)
        except (json.JSONDecodeError, AttributeError, TypeError, LookupError):
            raise BadReadingError(
                f"{self.name}: expected XRT's electrical report, got {text!r:.80}; update XRT"
            ) from None
        if not isinstance(data, dict) or "power_rails" not in data:
            raise SourceMissingError(f"{self.name}: no electrical sensors in XRT's report; check the card's shell")
        return data

    def read(self) -> Reading:
        """Return the card's power, or its rails'; takes as long as XRT does. Raises PowerError."""
        data = self._electrical()
        if not self._rails:
            text = str(data.get("power_consumption_watts", "missing"))
            try:
                return Reading(float(text))
            except ValueError:
                raise BadReadingError(
                    f"{self.name}: power_consumption_watts: expected a number, got {text!r}; give rails instead"
                ) from None
        known = {str(rail.get("id")): rail for rail in data["power_rails"]}
        values = [self._rail(name, known) for name in self._rails]
        watts = sum(volts * amperes for volts, amperes in values)
        return Reading(watts, *values[0]) if len(values) == 1 else Reading(watts)

    def _rail(self, name: str, known: dict[str, Any]) -> tuple[float, float]:
        """Return volts and amperes of a rail."""
        if name not in known:
            raise SourceMissingError(f"{self.name}: no rail {name!r}; there are: {', '.join(sorted(known))}")
        found = []
        for quantity, key in (("voltage", "volts"), ("current", "amps")):
            part = known[name].get(quantity, {})
            if str(part.get("is_present")).lower() != "true" or "error_msg" in part:
                reason = part.get("error_msg", "not present")
                raise BadReadingError(f"{self.name}: rail {name}: {quantity}: {reason}; choose another rail")
            try:
                found.append(float(part[key]))
            except (KeyError, ValueError):
                raise BadReadingError(
                    f"{self.name}: rail {name}: {key}: expected a number, got {part.get(key)!r}; update XRT"
                ) from None
        return found[0], found[1]
