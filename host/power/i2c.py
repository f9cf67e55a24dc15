"""16-bit registers of a chip on a Linux I2C bus (/dev/i2c-N), by SMBus word transfers: one ioctl per access."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import BadReadingError, SourceMissingError, SourceSettingsError

# linux/i2c-dev.h and linux/i2c.h
_I2C_SLAVE = 0x0703
_I2C_SMBUS = 0x0720
_READ, _WRITE = 1, 0
_WORD_DATA = 3

Ioctl = Callable[[int, int, Any], Any]


class _Data(ctypes.Union):
    """union i2c_smbus_data."""

    _fields_ = (("byte", ctypes.c_uint8), ("word", ctypes.c_uint16), ("block", ctypes.c_uint8 * 34))


class _Transfer(ctypes.Structure):
    """struct i2c_smbus_ioctl_data."""

    _fields_ = (
        ("read_write", ctypes.c_uint8),
        ("command", ctypes.c_uint8),
        ("size", ctypes.c_uint32),
        ("data", ctypes.POINTER(_Data)),
    )


class I2cDevice:
    """A chip at ``address`` (7 bits) of the bus ``path``, whose registers are sent high byte first.

    SMBus sends the low byte of a word first, so words are swapped here. An access is one transfer with repeated
    start: another program on the bus cannot come between. ioctl: fcntl.ioctl, or the bus of a test.
    """

    def __init__(self, path: str | Path, address: int, ioctl: Ioctl = fcntl.ioctl) -> None:
        self.where = f"{path} address 0x{address:02x}"
        if not 0x03 <= address <= 0x77:
            raise SourceSettingsError(f"{self.where}: expected an address of 0x03 to 0x77; see its pins A0, A1")
        self._ioctl, self._file = ioctl, -1
        try:
            self._file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            there = ", ".join(sorted(str(found) for found in Path(path).parent.glob("i2c-*"))) or "none"
            raise SourceMissingError(
                f"{path}: no such I2C bus; there are: {there}; enable it (modprobe i2c-dev) or give another"
            ) from None
        except PermissionError:
            raise SourceMissingError(f"{path}: not allowed; run as root, or join the group i2c") from None
        try:
            self._ioctl(self._file, _I2C_SLAVE, address)
        except OSError as error:
            self.close()
            if error.errno == errno.EBUSY:
                raise SourceMissingError(
                    f"{self.where}: held by a kernel driver; read it through hwmon instead, or unbind the driver"
                ) from None
            raise SourceMissingError(f"{self.where}: {error.strerror or error}; is it an I2C bus?") from None

    def close(self) -> None:
        """Close the bus."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _transfer(self, direction: int, register: int, word: int) -> int:
        data = _Data()
        data.word = ((word & 0xFF) << 8) | word >> 8
        try:
            self._ioctl(self._file, _I2C_SMBUS, _Transfer(direction, register, _WORD_DATA, ctypes.pointer(data)))
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.EREMOTEIO, errno.EIO):
                raise SourceMissingError(
                    f"{self.where}: no chip answers; check power, SDA, SCL and address pins (i2cdetect -y shows "
                    "who answers)"
                ) from None
            raise BadReadingError(
                f"{self.where}: register 0x{register:02x}: {error.strerror or error}; check the bus's wiring and speed"
            ) from None
        return ((data.word & 0xFF) << 8) | data.word >> 8

    def read(self, register: int) -> int:
        """Return a 16-bit register, 0 to 65535. Raises SourceMissingError, BadReadingError."""
        return self._transfer(_READ, register, 0)

    def read_signed(self, register: int) -> int:
        """Return a 16-bit register as two's complement."""
        value = self.read(register)
        return value - 0x10000 if value & 0x8000 else value

    def write(self, register: int, word: int) -> None:
        """Write a 16-bit register. Raises SourceMissingError, BadReadingError."""
        self._transfer(_WRITE, register, word)
