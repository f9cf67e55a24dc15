"""A bench meter or supply that speaks SCPI: raw TCP with nothing but Python, anything else through PyVISA."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Sequence
from typing import Any, Protocol

from .errors import BadReadingError, SourceMissingError, SourceSettingsError, TooSlowError
from .source import PowerSource, Reading, missing_package, require_boundary, require_positive

# SCPI-1999, 7.2.1: infinity and not-a-number are sent as these numbers.
_INFINITY, _NAN = 9.9e37, 9.91e37


class Line(Protocol):
    """A connection that takes a line and gives one back."""

    def write(self, message: str) -> object:
        """Send a line."""
        ...

    def query(self, message: str) -> str:
        """Send a line and return the answer."""
        ...

    def close(self) -> object:
        """Close the connection."""
        ...


class TcpLine:
    """SCPI over a raw TCP socket (port 5025 on most meters)."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._socket = socket.create_connection((host, port), timeout_s)
        self._answers = self._socket.makefile("r", encoding="ascii", newline="\n")

    def write(self, message: str) -> None:
        """Send a line."""
        self._socket.sendall(message.encode("ascii") + b"\n")

    def query(self, message: str) -> str:
        """Send a line and return the answer. Raises OSError."""
        self.write(message)
        answer = self._answers.readline()
        if not answer:
            raise ConnectionResetError("connection closed by the meter")
        return answer.strip()

    def close(self) -> None:
        """Close the connection."""
        self._answers.close()
        self._socket.close()


def open_line(resource: str, timeout_s: float, visa_library: str | None) -> Line:
    """Return a connection to a VISA resource; TCPIP::<host>::<port>::SOCKET needs no PyVISA.

    visa_library: PyVISA's, e.g. "@py"; given, PyVISA is used for sockets too. Raises SourceMissingError.
    """
    plain = re.fullmatch(r"TCPIP\d*::([^:]+)::(\d+)::SOCKET", resource, re.IGNORECASE)
    if plain and visa_library is None:
        try:
            return TcpLine(plain[1], int(plain[2]), timeout_s)
        except OSError as error:
            raise SourceMissingError(
                f"meter {resource}: {error.strerror or error}; check its address and that its LAN interface is on"
            ) from None
    try:
        import pyvisa
    except ImportError as error:
        raise missing_package(f"meter {resource}", "pyvisa pyvisa-py", error) from error
    try:
        line: Any = pyvisa.ResourceManager(visa_library or "").open_resource(resource)
        line.timeout = 1e3 * timeout_s
        line.read_termination = line.write_termination = "\n"
    except Exception as error:  # PyVISA's back ends raise many kinds
        said = " ".join(str(error).split())
        raise SourceMissingError(
            f"meter {resource}: {said:.160}; check its cable and address (pyvisa-shell lists what there is)"
        ) from error
    return line


class ScpiMeter(PowerSource):
    """A meter asked for voltage and current (power is their product), or for power.

    resource: VISA name, e.g. TCPIP::192.168.1.9::5025::SOCKET or USB0::...::INSTR. power_command: e.g.
    "MEAS:POW?"; else voltage_command and current_command are asked one after the other. setup: commands sent
    first, e.g. "SENS:CURR:NPLC 1". rate_hz: what the meter manages. Raises SourceMissingError.
    """

    def __init__(
        self,
        resource: str,
        *,
        boundary: str,
        power_command: str | None = None,
        voltage_command: str = "MEAS:VOLT?",
        current_command: str = "MEAS:CURR?",
        setup: Sequence[str] = (),
        rate_hz: float = 5.0,
        resolution_w: float | None = None,
        accuracy_pct: float | None = None,
        timeout_s: float = 2.0,
        visa_library: str | None = None,
    ) -> None:
        self.name = f"meter {resource}"
        require_positive(self.name, rate_hz=rate_hz, timeout_s=timeout_s)
        self.boundary = require_boundary(self.name, boundary)
        for command in (power_command, voltage_command, current_command):
            if command is not None and not command.endswith("?"):
                raise SourceSettingsError(f"{self.name}: {command!r}: expected a query ending in '?'")
        self._power, self._voltage, self._current = power_command, voltage_command, current_command
        self.rate_hz, self.resolution_w, self.accuracy_pct = rate_hz, resolution_w, accuracy_pct
        self._timeout_s = timeout_s
        self._line: Line | None = open_line(resource, timeout_s, visa_library)
        try:
            identity = self._ask("*IDN?")
            self.name = f"{identity} ({resource})"
            for command in [setup] if isinstance(setup, str) else setup:
                self._line.write(command)
        except BaseException:
            self.close()
            raise
        self.detail = f"asked {power_command or f'{voltage_command} and {current_command}'}"

    def _ask(self, command: str) -> str:
        assert self._line is not None
        try:
            answer = self._line.query(command).strip()
        except Exception as error:  # sockets and PyVISA's back ends raise many kinds
            said = " ".join(str(error).split()) or type(error).__name__
            raise TooSlowError(
                f"{self.name}: {command}: no answer ({said:.120}; waited up to {self._timeout_s:g} s); "
                "check the cable, the command, and that no error waits on its display"
            ) from error
        if not answer:
            raise BadReadingError(f"{self.name}: {command}: empty answer; check the command in the meter's manual")
        return answer

    def _number(self, command: str) -> float:
        answer = self._ask(command)
        try:
            value = float(answer.split(",")[0])
        except ValueError:
            raise BadReadingError(
                f"{self.name}: {command}: expected a number, got {answer!r:.60}; check the command"
            ) from None
        if abs(value) >= _INFINITY * 0.999:
            what = "not a number" if math.isclose(value, _NAN, rel_tol=1e-6) else "out of range"
            raise BadReadingError(f"{self.name}: {command}: {what} (SCPI's {answer:.20}); choose a larger range")
        return value

    def read(self) -> Reading:
        """Return power, and voltage and current unless power is asked for. Raises PowerError."""
        if self._power is not None:
            return Reading(self._number(self._power))
        volts, amperes = self._number(self._voltage), self._number(self._current)
        return Reading(volts * amperes, volts, amperes)

    def close(self) -> None:
        """Close the connection."""
        if self._line is not None:
            self._line.close()
            self._line = None
