"""TI's INA219, INA226 and INA260 on I2C: how boards without power rails to read (PYNQ-Z1, Z2) are measured.

Formulas from TI's data sheets SBOS448 (INA219), SBOS547 (INA226), SBOS656 (INA260):
current_lsb = max_current / 2^15, calibration = k / (current_lsb * shunt) with k = 0.04096 (219), 0.00512 (226);
the register is an integer, so the step that counts is the one it stands for, k / (calibration * shunt).
Power step = 20 (219), 25 (226) current steps. The INA260 has its shunt inside: 1.25 mA, 1.25 mV, 10 mW.
"""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from pathlib import Path

from .clock import Clock, RealClock
from .errors import BadReadingError, SourceMissingError, SourceSettingsError
from .i2c import I2cDevice, Ioctl
from .source import PowerSource, Reading, require_boundary, require_positive

_CONFIG, _BUS, _POWER, _CALIBRATION, _FLAGS, _MAKER, _DIE = 0x00, 0x02, 0x03, 0x05, 0x06, 0xFE, 0xFF
_RESET = 0x8000
_TI = 0x5449
_AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)
_CONVERSION_US = (140, 204, 332, 588, 1100, 2116, 4156, 8244)
# INA219: code of SADC and BADC -> microseconds; 12 bits, averaging from 0x9 on.
_CONVERSION_219_US = {0x3: 532, 0x9: 1060, 0xA: 2130, 0xB: 4260, 0xC: 8510, 0xD: 17020, 0xE: 34050, 0xF: 68100}
# INA219: largest shunt voltage of PGA settings 0 to 3.
_RANGES_219_V = (0.04, 0.08, 0.16, 0.32)


@dataclass(frozen=True)
class Chip:
    """A chip's registers and constants; calibration_k and shunt_limit_v are None where the shunt is inside."""

    config_reset: int
    die: int | None
    current_register: int
    calibration_k: float | None
    calibration_mask: int
    shunt_limit_v: float | None
    bus_shift: int
    bus_step_v: float
    power_steps: float
    bus_limit_v: float


CHIPS = {
    "ina219": Chip(0x399F, None, 0x04, 0.04096, 0xFFFE, 0.32, 3, 4e-3, 20, 26),
    "ina226": Chip(0x4127, 0x226, 0x04, 0.00512, 0x7FFF, 32767 * 2.5e-6, 0, 1.25e-3, 25, 36),
    "ina260": Chip(0x6127, 0x227, 0x01, None, 0, None, 0, 1.25e-3, 8, 36),
}


def averaging(rate_hz: float) -> tuple[int, int, float]:
    """Return AVG code, conversion time code and seconds per reading for INA226 and INA260.

    The longest that fits one period, so that a reading averages over it instead of sampling a moment; at equal
    length the longer conversion, which has less noise. Raises SourceSettingsError above 3,571 Hz.
    """
    fitting = [
        (2 * count * us / 1e6, us, a, c)
        for a, count in enumerate(_AVERAGES)
        for c, us in enumerate(_CONVERSION_US)
        if 2 * count * us / 1e6 <= 1 / rate_hz
    ]
    if not fitting:
        raise SourceSettingsError(f"rate_hz: expected 3571 at most (a conversion takes 280 us), got {rate_hz:g}")
    seconds, _, code, time_code = max(fitting)
    return code, time_code, seconds


def averaging_219(rate_hz: float) -> tuple[int, float]:
    """Return the ADC code and seconds per reading for the INA219. Raises SourceSettingsError above 939 Hz."""
    fitting = [(2 * us / 1e6, code) for code, us in _CONVERSION_219_US.items() if 2 * us / 1e6 <= 1 / rate_hz]
    if not fitting:
        raise SourceSettingsError(f"rate_hz: expected 939 at most (a conversion takes 1064 us), got {rate_hz:g}")
    seconds, code = max(fitting)
    return code, seconds


class InaSource(PowerSource):
    """An INA219, INA226 or INA260.

    chip: one of CHIPS. bus: /dev/i2c-N. address: 0x40 to 0x4f. shunt_ohm, max_current_a: of the shunt outside, for
    INA219 and INA226. Power is the chip's own register: current times voltage of one and the same conversion.
    Raises SourceMissingError (bus, chip), SourceSettingsError.
    """

    def __init__(
        self,
        chip: str = "ina226",
        *,
        bus: str | Path = "/dev/i2c-1",
        address: int = 0x40,
        boundary: str,
        shunt_ohm: float | None = None,
        max_current_a: float | None = None,
        rate_hz: float = 100.0,
        accuracy_pct: float | None = None,
        ioctl: Ioctl = fcntl.ioctl,
        clock: Clock | None = None,
    ) -> None:
        if chip not in CHIPS:
            raise SourceSettingsError(f"chip: expected one of {', '.join(CHIPS)}, got {chip!r}")
        self.name = f"{chip} at {bus} address 0x{address:02x}"
        require_positive(self.name, rate_hz=rate_hz)
        self._chip, self._kind = CHIPS[chip], chip
        self.boundary, self.accuracy_pct, self.rate_hz = require_boundary(self.name, boundary), accuracy_pct, rate_hz
        self.calibration = self._calibrate(shunt_ohm, max_current_a)
        self.resolution_w = self._power_step_w = self._chip.power_steps * self.current_step_a
        config, seconds = self._configuration(rate_hz, (shunt_ohm or 0) * (max_current_a or 0))
        self.detail = f"each reading averages {1e3 * seconds:.3g} ms" + (
            f", shunt {shunt_ohm:g} ohm, up to {max_current_a:g} A" if shunt_ohm and max_current_a else ""
        )
        self._device = I2cDevice(bus, address, ioctl)
        try:
            self._identify()
            self._device.write(_CONFIG, config)
            if self.calibration is not None:
                self._device.write(_CALIBRATION, self.calibration)
            self._await_conversion(clock or RealClock(), seconds)
        except BaseException:
            self.close()
            raise

    def _calibrate(self, shunt_ohm: float | None, max_current_a: float | None) -> int | None:
        """Return the calibration register and set current_step_a, in A."""
        chip = self._chip
        if chip.calibration_k is None or chip.shunt_limit_v is None:
            if shunt_ohm is not None or max_current_a is not None:
                raise SourceSettingsError(f"{self.name}: has its shunt inside; leave out shunt_ohm and max_current_a")
            self.current_step_a = 1.25e-3
            return None
        if shunt_ohm is None or max_current_a is None:
            raise SourceSettingsError(
                f"{self.name}: needs shunt_ohm and max_current_a: the resistor's value, e.g. 0.1, and the largest "
                "current expected"
            )
        require_positive(self.name, shunt_ohm=shunt_ohm, max_current_a=max_current_a)
        drop_v = shunt_ohm * max_current_a
        if drop_v > chip.shunt_limit_v * (1 + 1e-9):
            raise SourceSettingsError(
                f"{self.name}: {max_current_a:g} A through {shunt_ohm:g} ohm drops {1e3 * drop_v:.4g} mV, the chip "
                f"measures {1e3 * chip.shunt_limit_v:.4g} mV at most; use a smaller shunt_ohm or max_current_a"
            )
        exact = chip.calibration_k / (max_current_a / 2**15 * shunt_ohm)
        calibration = int(exact + 1e-9) & ~1 if self._kind == "ina219" else int(exact + 1e-9)
        calibration = min(calibration, chip.calibration_mask)  # the finest step the register can stand for
        if calibration < 2:
            raise SourceSettingsError(
                f"{self.name}: calibration {exact:.3g}: expected 2 or more; use a smaller shunt_ohm or max_current_a"
            )
        self.current_step_a = chip.calibration_k / (calibration * shunt_ohm)
        return calibration

    def _configuration(self, rate_hz: float, drop_v: float) -> tuple[int, float]:
        """Return the configuration register (continuous shunt and bus) and seconds per reading."""
        if self._kind == "ina219":
            code, seconds = averaging_219(rate_hz)
            gain = next(g for g, limit in enumerate(_RANGES_219_V) if drop_v <= limit * (1 + 1e-9))
            return 1 << 13 | gain << 11 | code << 7 | code << 3 | 7, seconds
        average, conversion, seconds = averaging(rate_hz)
        return self._chip.config_reset & 0x7000 | average << 9 | conversion << 6 | conversion << 3 | 7, seconds

    def _identify(self) -> None:
        """Raise SourceMissingError unless the chip at the address is the one named; reset it."""
        device = self._device
        if self._chip.die is not None:
            maker, die = device.read(_MAKER), device.read(_DIE)
            if (maker, die >> 4) != (_TI, self._chip.die):
                raise SourceMissingError(
                    f"{self.name}: expected maker 0x{_TI:04x} and die 0x{self._chip.die:03x}x, got 0x{maker:04x} and "
                    f"0x{die:04x}; give the chip that is there, or its address"
                )
        device.write(_CONFIG, _RESET)
        config = device.read(_CONFIG)
        if config != self._chip.config_reset:
            raise SourceMissingError(
                f"{self.name}: expected configuration 0x{self._chip.config_reset:04x} after a reset, got "
                f"0x{config:04x}; give the chip that is there, or its address"
            )

    def _ready(self) -> bool:
        if self._kind == "ina219":
            return bool(self._device.read(_BUS) & 2)
        return bool(self._device.read(_FLAGS) & 8)

    def _await_conversion(self, clock: Clock, seconds: float) -> None:
        """Return when the first conversion with the new settings is done."""
        for _ in range(20):
            clock.sleep(seconds)
            if self._ready():
                return
        raise SourceMissingError(
            f"{self.name}: no conversion done in {20 * seconds:.3g} s; power the chip off and on, check its supply"
        )

    def read(self) -> Reading:
        """Return power, voltage and current. Raises BadReadingError, SourceMissingError."""
        device, chip = self._device, self._chip
        bus = device.read(_BUS)
        overflow = bus & 1 if self._kind == "ina219" else device.read(_FLAGS) & 4
        current, power = device.read_signed(chip.current_register), device.read(_POWER)
        volts, amperes = (bus >> chip.bus_shift) * chip.bus_step_v, current * self.current_step_a
        if overflow or current in (32767, -32768):
            raise BadReadingError(
                f"{self.name}: current out of range at {volts:.4g} V (overflow); "
                "give a larger max_current_a, or use a smaller shunt"
            )
        if self.calibration is not None and power == 0 and current == 0:
            kept = device.read(_CALIBRATION)
            if kept != self.calibration:
                raise BadReadingError(
                    f"{self.name}: 0 W at {volts:.4g} V: calibration register is {kept}, expected {self.calibration}; "
                    "the chip was reset (its supply dipped): mend its supply and open it again"
                )
        # The power register has no sign; the current has.
        return Reading((-power if current < 0 else power) * self._power_step_w, volts, amperes)

    def close(self) -> None:
        """Close the bus; the chip goes on converting."""
        if hasattr(self, "_device"):
            self._device.close()
