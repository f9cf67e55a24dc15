"""Power from the kernel's hwmon files: /sys/class/hwmon/hwmon*/ (power in uW, in in mV, curr in mA)."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import BadReadingError, SourceMissingError
from .source import PowerSource, Reading, require_boundary, require_positive

ROOT = Path("/sys/class/hwmon")
_UPDATES_HZ = 10.0
# The kernel driver ina2xx: steps of the power register per step of current; uV per step of the shunt, scaled.
_INA_POWER_STEPS = {"ina219": (20, 1e7), "ina226": (25, 2.5e6), "ina230": (25, 2.5e6), "ina231": (25, 2.5e6)}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _channels(folder: Path) -> dict[str, str]:
    """Return channel (power1, in0, curr1) -> its label, or the channel where it has none."""
    found = {}
    for path in sorted(folder.glob("*_input")) + sorted(folder.glob("power*_average")):
        channel = path.name.rsplit("_", 1)[0]
        if re.fullmatch(r"(power|in|curr)\d+", channel):
            found[channel] = _text(folder / f"{channel}_label") or channel
    return found


def list_hwmon(root: str | Path = ROOT) -> dict[str, dict[str, str]]:
    """Return "hwmonN (chip name)" -> its channels and labels, of all chips that measure power, voltage or current."""
    folders = sorted(Path(root).glob("hwmon*"))
    return {f"{f.name} ({_text(f / 'name') or '?'})": c for f in folders if (c := _channels(f))}


class HwmonSource(PowerSource):
    """One power channel of one chip.

    chip: the content of its ``name`` file, or its folder (hwmon3). power: channel (power1) or label; the chip's
    only one by default. voltage, current: channels or labels, read as well; where the chip has no power channel,
    power is their product. root: the folder of hwmon*. Raises SourceMissingError naming what there is.
    """

    def __init__(
        self,
        chip: str,
        *,
        boundary: str,
        power: str | None = None,
        voltage: str | None = None,
        current: str | None = None,
        rate_hz: float | None = None,
        resolution_w: float | None = None,
        accuracy_pct: float | None = None,
        root: str | Path = ROOT,
    ) -> None:
        self._folder = self._find(chip, Path(root))
        self.name = f"hwmon {chip}"
        self._labels = _channels(self._folder)
        self._voltage, self._current = self._channel("in", voltage), self._channel("curr", current)
        product = power is None and self._voltage is not None and self._current is not None
        self._power = None if product else self._only_power(power)
        self.name = f"hwmon {chip} {self._power or f'{self._voltage}*{self._current}'}"
        self.boundary, self.accuracy_pct = require_boundary(self.name, boundary), accuracy_pct
        self.rate_hz = self._updates_hz() if rate_hz is None else rate_hz
        require_positive(self.name, rate_hz=self.rate_hz)
        self.resolution_w = self._step_w() if resolution_w is None else resolution_w

    @staticmethod
    def _find(chip: str, root: Path) -> Path:
        folders = sorted(root.glob("hwmon*"))
        found = [folder for folder in folders if chip in (folder.name, _text(folder / "name"))]
        if len(found) == 1:
            return found[0]
        there = ", ".join(list_hwmon(root)) or "none"
        if found:
            names = ", ".join(folder.name for folder in found)
            raise SourceMissingError(f"{root}: {len(found)} chips are called {chip}; give one of {names}")
        raise SourceMissingError(
            f"{root}: no chip {chip!r}; chips with power, voltage or current: {there}; "
            "load its driver, or measure outside the board (INA226, meter)"
        )

    def _channel(self, kind: str, wanted: str | None) -> str | None:
        """Return the channel of a name or label; None for None. Raises SourceMissingError."""
        if wanted is None:
            return None
        found = [c for c, label in self._labels.items() if c.startswith(kind) and wanted in (c, label)]
        if len(found) == 1:
            return found[0]
        there = ", ".join(f"{c} ({label})" for c, label in self._labels.items()) or "none"
        raise SourceMissingError(
            f"{self.name}: expected one channel {kind}* called {wanted!r}, found {len(found)}; there are: {there}"
        )

    def _only_power(self, wanted: str | None) -> str:
        if wanted is not None:
            return str(self._channel("power", wanted))
        found = [channel for channel in self._labels if channel.startswith("power")]
        if len(found) == 1:
            return found[0]
        there = ", ".join(f"{c} ({label})" for c, label in self._labels.items()) or "none"
        raise SourceMissingError(
            f"{self.name}: {len(found)} power channels, expected one; give power, or voltage and current, of: {there}"
        )

    def _updates_hz(self) -> float:
        """Return how often the chip has a new value: its update_interval (ms) if stated."""
        text = _text(self._folder / "update_interval")
        return min(350.0, 1e3 / float(text)) if text and text.isdigit() and int(text) else _UPDATES_HZ

    def _step_w(self) -> float | None:
        """Return the step of the power channel in W where the driver tells the shunt; None if unknown."""
        kind = (_text(self._folder / "name") or "").split("_")[0]
        shunt = _text(self._folder / "shunt_resistor")
        if self._power is None:
            return None
        if kind == "ina260":
            return 0.01
        if kind in _INA_POWER_STEPS and shunt and shunt.isdigit() and int(shunt):
            steps, scale = _INA_POWER_STEPS[kind]
            return round(scale / int(shunt)) * steps * 1e-6
        return None

    def _value(self, channel: str, scale: float) -> float:
        suffix = "input" if (self._folder / f"{channel}_input").exists() else "average"
        path = self._folder / f"{channel}_{suffix}"
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise SourceMissingError(
                f"{self.name}: {path}: {error.strerror or error}; the chip or its driver is gone: check dmesg"
            ) from None
        except UnicodeDecodeError:
            text = "no text"
        if not re.fullmatch(r"-?\d+", text):
            raise BadReadingError(f"{self.name}: {path}: expected an integer, got {text!r:.40}; check the driver")
        return int(text) * scale

    def read(self) -> Reading:
        """Return power, and voltage and current if asked for. Raises SourceMissingError, BadReadingError."""
        volts = None if self._voltage is None else self._value(self._voltage, 1e-3)
        amperes = None if self._current is None else self._value(self._current, 1e-3)
        if self._power is not None:
            return Reading(self._value(self._power, 1e-6), volts, amperes)
        assert volts is not None and amperes is not None
        return Reading(volts * amperes, volts, amperes)
