"""INA219, INA226 and INA260 against a bus simulated at the ioctl: registers behave as in TI's data sheets."""

from __future__ import annotations

import ctypes
import errno
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.host.power import VirtualClock, measure
from spikeclip_fpga.host.power.errors import BadReadingError, SourceMissingError, SourceSettingsError
from spikeclip_fpga.host.power.ina import InaSource, averaging, averaging_219

AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)
CONVERSION_US = (140, 204, 332, 588, 1100, 2116, 4156, 8244)
ADC_219_US = {3: 532, 9: 1060, 10: 2130, 11: 4260, 12: 8510, 13: 17020, 14: 34050, 15: 68100}
SHUNT_LIMIT_219 = {0: 0.04, 1: 0.08, 2: 0.16, 3: 0.32}


class SimulatedIna:
    """A chip: 16-bit registers fed from volts and amperes, updated when a conversion ends."""

    def __init__(self, kind: str, clock: VirtualClock, shunt_ohm: float = 0.1) -> None:
        self.kind, self.clock, self.shunt_ohm = kind, clock, shunt_ohm
        self.volts, self.amperes, self.ripple_a = 5.0, 0.33, 0.0
        self.rng = np.random.default_rng(0)
        self.registers: dict[int, int] = {}
        self.identity = {"ina219": {}, "ina226": {0xFE: 0x5449, 0xFF: 0x2260}, "ina260": {0xFE: 0x5449, 0xFF: 0x2270}}[
            kind
        ]
        self.converting = True
        self.reset()

    def reset(self) -> None:
        self.config = {"ina219": 0x399F, "ina226": 0x4127, "ina260": 0x6127}[self.kind]
        self.calibration, self.overflow, self.ready = 0, False, False
        self.registers = dict.fromkeys((1, 2, 3, 4), 0)
        self.restart()

    def restart(self) -> None:
        self.ready, self.done = False, 0
        self.started_s = self.clock.now()

    def conversion_s(self) -> float:
        if self.kind == "ina219":
            bus, shunt = self.config >> 7 & 15, self.config >> 3 & 15
            return (ADC_219_US[max(3, bus)] + ADC_219_US[max(3, shunt)]) / 1e6
        times = CONVERSION_US[self.config >> 6 & 7] + CONVERSION_US[self.config >> 3 & 7]
        return AVERAGES[self.config >> 9 & 7] * times / 1e6

    def convert(self) -> None:
        """Update the data registers if a conversion ended since the last call."""
        done = int((self.clock.now() - self.started_s) / self.conversion_s() + 1e-9)
        if not self.converting or done == self.done:
            return
        self.done, self.ready, self.overflow = done, True, False
        amperes = self.amperes + self.ripple_a * float(self.rng.normal())
        if self.kind == "ina260":
            self.registers[1] = self.signed(amperes / 1.25e-3)
            self.registers[2] = math.floor(self.volts / 1.25e-3)
            self.registers[3] = math.floor(abs(amperes) * self.volts / 10e-3)
            return
        step_v = 10e-6 if self.kind == "ina219" else 2.5e-6
        limit = SHUNT_LIMIT_219[self.config >> 11 & 3] / step_v if self.kind == "ina219" else 32767
        shunt = max(-limit, min(limit, round(amperes * self.shunt_ohm / step_v)))
        bus = math.floor(self.volts / (4e-3 if self.kind == "ina219" else 1.25e-3))
        current = int(shunt * self.calibration / (4096 if self.kind == "ina219" else 2048))
        power = math.floor(abs(current) * bus / (5000 if self.kind == "ina219" else 20000))
        self.overflow = abs(current) > 32767 or power > 65535
        self.registers[1] = self.signed(shunt)
        self.registers[2] = bus << 3 if self.kind == "ina219" else bus
        self.registers[4] = self.signed(max(-32768, min(32767, current)))
        self.registers[3] = min(power, 65535)

    @staticmethod
    def signed(value: float) -> int:
        return int(value) & 0xFFFF

    def read(self, register: int) -> bytes:
        self.convert()
        if register in self.identity:
            value = self.identity[register]
        elif register == 0:
            value = self.config
        elif register == 5 and self.kind != "ina260":
            value = self.calibration
        elif register == 6 and self.kind != "ina219":
            value, self.ready = self.ready << 3 | self.overflow << 2, False
        else:
            value = self.registers.get(register, 0)
            if self.kind == "ina219" and register == 2:
                value |= self.ready << 1 | self.overflow
            if self.kind == "ina219" and register == 3:
                self.ready = False
        return struct.pack(">H", value)

    def write(self, register: int, data: bytes) -> None:
        (value,) = struct.unpack(">H", data)
        if register == 0 and value & 0x8000:
            self.reset()
        elif register == 0:
            self.config = value
            self.restart()
        elif register == 5 and self.kind == "ina219":
            self.calibration = value & 0xFFFE
        elif register == 5 and self.kind == "ina226":
            self.calibration = value & 0x7FFF


class SimulatedBus:
    """What the kernel does with the ioctls of /dev/i2c-N: the bytes on the wire go to the chip at the address."""

    def __init__(self, chips: dict[int, SimulatedIna], busy: int | None = None) -> None:
        self.chips, self.busy, self.address, self.fault = chips, busy, -1, 0

    def ioctl(self, file: int, request: int, argument: Any) -> int:
        if request == 0x0703:
            if argument == self.busy:
                raise OSError(errno.EBUSY, "Device or resource busy")
            self.address = argument
            return 0
        assert request == 0x0720, hex(request)
        # struct i2c_smbus_ioctl_data { __u8 read_write; __u8 command; __u32 size; union i2c_smbus_data *data; };
        direction, register, size, pointer = struct.unpack("@BBIP", bytes(argument))
        assert size == 3, "I2C_SMBUS_WORD_DATA"
        if self.fault:
            raise OSError(self.fault, "simulated")
        if self.address not in self.chips:
            raise OSError(errno.ENXIO, "No such device or address")
        chip = self.chips[self.address]
        if direction == 1:
            ctypes.memmove(pointer, self._word(chip.read(register)), 2)
        else:
            low, high = struct.unpack("<2B", struct.pack("<H", struct.unpack("@H", ctypes.string_at(pointer, 2))[0]))
            chip.write(register, bytes([low, high]))  # low byte first on the wire
        return 0

    @staticmethod
    def _word(wire: bytes) -> bytes:
        """Return the host's word for two bytes off the wire: SMBus sends the low one first."""
        return struct.pack("@H", wire[0] | wire[1] << 8)


class Rig:
    """A bus file, a chip on it, and a source of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "i2c-1"
        self.path.touch()
        self.clock = VirtualClock()

    def chip(self, kind: str, shunt_ohm: float = 0.1) -> SimulatedIna:
        self.ina = SimulatedIna(kind, self.clock, shunt_ohm)
        self.bus = SimulatedBus({0x40: self.ina})
        return self.ina

    def open(self, kind: str, **settings: Any) -> InaSource:
        if kind != "ina260":
            settings = {"shunt_ohm": 0.1, "max_current_a": 0.8, **settings}
        settings = {"bus": self.path, "boundary": "5 V input", "clock": self.clock, **settings}
        return InaSource(kind, ioctl=self.bus.ioctl, **settings)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_the_data_sheet_s_example(rig: Rig) -> None:
    """SBOS547, table 1: 10 A through 2 mOhm at 11.98 V, current step 1 mA; the register contents are printed there."""
    ina = rig.chip("ina226", 0.002)
    ina.volts, ina.amperes = 11.98, 10.0
    source = rig.open("ina226", shunt_ohm=0.002, max_current_a=1e-3 * 2**15)
    assert source.calibration == ina.calibration == 0xA00
    rig.clock.sleep(1.0)
    reading = source.read()
    assert ina.registers == {1: 0x1F40, 2: 0x2570, 3: 0x12B8, 4: 0x2710}
    assert reading.power_w == pytest.approx(119.8, abs=1e-9) and reading.current_a == pytest.approx(10.0)
    assert reading.voltage_v == pytest.approx(11.98)


@pytest.mark.parametrize("kind", ["ina219", "ina226", "ina260"])
@pytest.mark.parametrize(("volts", "amperes"), [(5.0, 0.33), (4.87, 0.0123), (5.2, 0.799), (12.0, 0.25)])
def test_values_are_recovered_to_the_step(rig: Rig, kind: str, volts: float, amperes: float) -> None:
    ina = rig.chip(kind)
    ina.volts, ina.amperes = volts, amperes
    source = rig.open(kind)
    rig.clock.sleep(1.0)
    reading = source.read()
    step_v, step_a, step_w = {
        "ina219": (4e-3, 10e-6 / 0.1, source.resolution_w),
        "ina226": (1.25e-3, 2.5e-6 / 0.1, source.resolution_w),
        "ina260": (1.25e-3, 1.25e-3, 10e-3),
    }[kind]
    assert step_w is not None and reading.voltage_v is not None and reading.current_a is not None
    assert abs(reading.voltage_v - volts) <= step_v
    assert abs(reading.current_a - amperes) <= step_a + source.current_step_a
    # The chip multiplies what it measured, so its voltage and current steps show too.
    assert abs(reading.power_w - volts * amperes) <= step_w + step_v * amperes + step_a * volts
    assert step_w == pytest.approx({"ina219": 20, "ina226": 25, "ina260": 8}[kind] * source.current_step_a)


def test_calibration_follows_the_formulas(rig: Rig) -> None:
    rig.chip("ina219")
    # 0.04096 / (0.9 / 2^15 * 0.1) = 14913.08; bit 0 of the INA219's register is always 0.
    source = rig.open("ina219", max_current_a=0.9)
    assert source.calibration == rig.ina.calibration == 14912
    assert source.current_step_a == pytest.approx(0.04096 / (14912 * 0.1))
    rig.chip("ina226")
    source = rig.open("ina226", shunt_ohm=0.1, max_current_a=0.7)
    assert source.calibration == int(0.00512 / (0.7 / 2**15 * 0.1))
    # The step is that of the integer in the register, not of the wish.
    assert source.current_step_a == pytest.approx(0.00512 / (source.calibration * 0.1))
    assert source.current_step_a > 0.7 / 2**15


def test_readings_average_over_a_period_but_no_longer() -> None:
    for rate_hz in (1, 10, 100, 350, 1000, 3500):
        average, conversion, seconds = averaging(rate_hz)
        assert seconds == pytest.approx(2 * AVERAGES[average] * CONVERSION_US[conversion] / 1e6)
        assert 0.4 / rate_hz < seconds <= 1 / rate_hz
    for rate_hz in (5, 100, 900):
        code, seconds = averaging_219(rate_hz)
        assert seconds == pytest.approx(2 * ADC_219_US[code] / 1e6) and seconds <= 1 / rate_hz
    with pytest.raises(SourceSettingsError, match="rate_hz: expected 3571 at most"):
        averaging(4000)
    with pytest.raises(SourceSettingsError, match="rate_hz: expected 939 at most"):
        averaging_219(1000)


@pytest.mark.parametrize(("kind", "rate_hz"), [("ina219", 50), ("ina226", 100), ("ina226", 350), ("ina260", 100)])
def test_configuration_reaches_the_chip(rig: Rig, kind: str, rate_hz: float) -> None:
    ina = rig.chip(kind)
    source = rig.open(kind, rate_hz=rate_hz)
    assert ina.config & 7 == 7, "continuous, shunt and bus"
    assert 0.4 / rate_hz < ina.conversion_s() <= 1 / rate_hz
    assert f"averages {1e3 * ina.conversion_s():.3g} ms" in source.detail
    source.close()
    source.close()


def test_energy_through_the_chip(rig: Rig) -> None:
    """The whole way: amperes in the supply, registers, bus, sampler, joules."""
    ina = rig.chip("ina226")
    ina.volts, ina.amperes, ina.ripple_a = 5.0, 0.32, 0.003

    def batch() -> int:
        ina.volts, ina.amperes = 4.98, 0.42
        rig.clock.sleep(0.1)
        ina.volts, ina.amperes = 5.0, 0.32
        return 50

    source = rig.open("ina226")
    report = measure(source, batch, window_s=5.0, warmup_s=0.0, settle_s=0.0, clock=rig.clock)
    assert report.energy_total_mj.value == pytest.approx(4.98 * 0.42 * 2, rel=0.01)
    assert report.energy_dynamic_mj.value == pytest.approx((4.98 * 0.42 - 5.0 * 0.32) * 2, rel=0.01)
    assert report.sensor.name == f"ina226 at {rig.path} address 0x40"
    assert report.sensor.resolution_w == source.resolution_w


def test_reversed_shunt_gives_negative_power(rig: Rig) -> None:
    ina = rig.chip("ina226")
    ina.amperes = -0.3
    source = rig.open("ina226")
    rig.clock.sleep(1.0)
    assert source.read().power_w == pytest.approx(-1.5, abs=2e-3)


def test_overload_and_lost_calibration_are_refused(rig: Rig) -> None:
    ina = rig.chip("ina226")
    source = rig.open("ina226")
    ina.amperes = 5.0
    rig.clock.sleep(1.0)
    with pytest.raises(BadReadingError, match=r"i2c-1 address 0x40: current out of range at 5 V \(overflow\)"):
        source.read()
    ina.amperes = 0.3
    ina.reset()
    rig.clock.sleep(1.0)
    with pytest.raises(BadReadingError, match="0 W at 5 V: calibration register is 0, expected 2097; the chip was"):
        source.read()


def test_ina219_overflow_bit_is_heeded(rig: Rig) -> None:
    ina = rig.chip("ina219")
    source = rig.open("ina219", max_current_a=0.3)
    ina.amperes, ina.volts = 0.4, 26.0
    rig.clock.sleep(1.0)
    with pytest.raises(BadReadingError, match="overflow"):
        source.read()


def test_another_chip_is_refused(rig: Rig) -> None:
    rig.chip("ina219")
    with pytest.raises(SourceMissingError, match="expected maker 0x5449 and die 0x226x, got 0x0000 and 0x0000"):
        rig.open("ina226")
    rig.chip("ina260")
    with pytest.raises(SourceMissingError, match="got 0x5449 and 0x2270; give the chip that is there"):
        rig.open("ina226")
    with pytest.raises(SourceMissingError, match="expected configuration 0x399f after a reset, got 0x6127"):
        rig.open("ina219")


def test_a_chip_that_does_not_convert_is_refused(rig: Rig) -> None:
    rig.chip("ina226").converting = False
    with pytest.raises(SourceMissingError, match="no conversion done in"):
        rig.open("ina226")


def test_what_is_wrong_with_the_bus_is_said(rig: Rig, tmp_path: Path) -> None:
    rig.chip("ina226")
    with pytest.raises(SourceMissingError, match=r"i2c-9: no such I2C bus; there are: .*i2c-1; enable it"):
        rig.open("ina226", bus=tmp_path / "i2c-9")
    with pytest.raises(SourceMissingError, match=r"address 0x45: no chip answers; check power, SDA, SCL"):
        rig.open("ina226", address=0x45)
    rig.bus.busy = 0x40
    with pytest.raises(SourceMissingError, match="address 0x40: held by a kernel driver; read it through hwmon"):
        rig.open("ina226")
    rig.bus.busy = None
    source = rig.open("ina226")
    rig.bus.fault = errno.ETIMEDOUT
    with pytest.raises(BadReadingError, match="address 0x40: register 0x02: simulated"):
        source.read()
    rig.bus.fault = errno.EREMOTEIO
    with pytest.raises(SourceMissingError, match="address 0x40: no chip answers"):
        source.read()


def test_a_file_that_is_no_bus_is_refused(tmp_path: Path) -> None:
    """The real ioctl on a real file."""
    (tmp_path / "i2c-1").touch()
    with pytest.raises(SourceMissingError, match=r"i2c-1 address 0x40: .*; is it an I2C bus\?"):
        InaSource("ina260", bus=tmp_path / "i2c-1", boundary="x")


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("ina226", {"shunt_ohm": None}, "needs shunt_ohm and max_current_a"),
        ("ina226", {"max_current_a": 2.0}, "2 A through 0.1 ohm drops 200 mV, the chip measures 81.92 mV at most"),
        ("ina219", {"max_current_a": 4.0}, "the chip measures 320 mV at most"),
        ("ina226", {"shunt_ohm": -1.0}, "shunt_ohm: expected above 0, got -1.0"),
        ("ina226", {"address": 0x99}, "expected an address of 0x03 to 0x77"),
        ("ina226", {"boundary": " "}, "boundary: expected what the sensor measures, got nothing"),
        ("ina226", {"rate_hz": 0.0}, "rate_hz: expected above 0"),
        ("ina260", {"shunt_ohm": 0.1}, "has its shunt inside"),
    ],
)
def test_settings_a_chip_cannot_take(rig: Rig, kind: str, settings: dict[str, Any], message: str) -> None:
    rig.chip(kind)
    with pytest.raises(SourceSettingsError, match=message):
        rig.open(kind, **settings)


def test_unknown_chip_is_named() -> None:
    with pytest.raises(SourceSettingsError, match="chip: expected one of ina219, ina226, ina260, got 'ina999'"):
        InaSource("ina999", boundary="x")
