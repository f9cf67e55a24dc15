"""Bench meters: SCPI over a real socket (and through PyVISA where it is installed), and the Joulescope."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spikeclip_fpga.host.power.errors import BadReadingError, SourceMissingError, SourceSettingsError, TooSlowError
from spikeclip_fpga.host.power.joulescope import JoulescopeSource
from spikeclip_fpga.host.power.scpi import ScpiMeter


class Instrument(socketserver.ThreadingTCPServer):
    """A meter on loopback that answers what ``answers`` says and keeps what it was told."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.answers = {"*IDN?": "ACME,PM1,42,1.0", "MEAS:VOLT?": "+5.01000E+00", "MEAS:CURR?": "+3.30000E-01"}
        self.heard: list[str] = []

    @property
    def resource(self) -> str:
        return f"TCPIP::127.0.0.1::{self.server_address[1]}::SOCKET"


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Instrument)
        for line in self.rfile:
            command = line.decode().strip()
            self.server.heard.append(command)
            if command in self.server.answers:
                self.wfile.write(self.server.answers[command].encode() + b"\n")
                self.wfile.flush()


@pytest.fixture
def instrument() -> Iterator[Instrument]:
    with Instrument() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=[None, "@py"])
def meter(request: pytest.FixtureRequest, instrument: Instrument) -> Callable[..., ScpiMeter]:
    """Open the instrument with nothing but Python, and through PyVISA."""
    if request.param is not None:
        pytest.importorskip("pyvisa")
        pytest.importorskip("pyvisa_py")

    def open_meter(**settings: Any) -> ScpiMeter:
        settings = {"timeout_s": 0.3, "boundary": "5 V input", "visa_library": request.param, **settings}
        return ScpiMeter(instrument.resource, **settings)

    return open_meter


def test_voltage_times_current(meter: Callable[..., ScpiMeter], instrument: Instrument) -> None:
    with meter(setup=("SENS:CURR:NPLC 1",)) as source:
        reading = source.read()
        assert (reading.voltage_v, reading.current_a) == (5.01, 0.33)
        assert reading.power_w == pytest.approx(5.01 * 0.33)
        assert source.name == f"ACME,PM1,42,1.0 ({instrument.resource})"
    assert instrument.heard == ["*IDN?", "SENS:CURR:NPLC 1", "MEAS:VOLT?", "MEAS:CURR?"]


def test_power_by_a_command_of_the_user(meter: Callable[..., ScpiMeter], instrument: Instrument) -> None:
    instrument.answers["MEAS:SCAL:POW:DC?"] = "1.6531,W"
    with meter(power_command="MEAS:SCAL:POW:DC?") as source:
        assert source.read().power_w == 1.6531


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("OVLD", r"ACME.*: MEAS:CURR\?: expected a number, got 'OVLD'"),
        ("+9.90000000E+37", r"MEAS:CURR\?: out of range \(SCPI's \+9.90000000E\+37\); choose a larger range"),
        ("9.91E37", r"MEAS:CURR\?: not a number"),
    ],
)
def test_answers_that_are_no_reading(
    meter: Callable[..., ScpiMeter], instrument: Instrument, answer: str, message: str
) -> None:
    with meter() as source:
        instrument.answers["MEAS:CURR?"] = answer
        with pytest.raises(BadReadingError, match=message):
            source.read()


def test_no_answer_is_named(meter: Callable[..., ScpiMeter], instrument: Instrument) -> None:
    with meter() as source:
        del instrument.answers["MEAS:CURR?"]
        with pytest.raises(
            TooSlowError, match=r"MEAS:CURR\?: no answer .*waited up to 0.3 s.; check the cable"
        ) as caught:
            source.read()
        assert "\n" not in str(caught.value)


def test_no_meter_no_pyvisa_no_query(instrument: Instrument, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken, pytest.raises(SourceMissingError, match=r"SOCKET: Connection refused; check its"):
        taken.bind(("127.0.0.1", 0))  # and nobody listens there
        ScpiMeter(f"TCPIP::127.0.0.1::{taken.getsockname()[1]}::SOCKET", boundary="x")
    monkeypatch.setitem(sys.modules, "pyvisa", None)
    with pytest.raises(SourceMissingError, match=r"meter USB0::1::2::INSTR: the package pyvisa .*; pip install pyvisa"):
        ScpiMeter("USB0::1::2::INSTR", boundary="x")
    with pytest.raises(SourceSettingsError, match=r"'MEAS:POW': expected a query ending in '\?'"):
        ScpiMeter(instrument.resource, boundary="x", power_command="MEAS:POW")


def statistics(power: float, voltage: float = 5.0, current: float = 0.4) -> dict[str, Any]:
    """Return what the instrument publishes each period, in the shape of pyjoulescope_driver's s/stats/value."""
    values = {"current": (current, "A"), "voltage": (voltage, "V"), "power": (power, "W")}
    signals = {
        name: {key: {"value": value if key == "avg" else 0.0, "units": unit} for key in ("avg", "std", "min", "max")}
        for name, (value, unit) in values.items()
    }
    time = {"samples": {"value": [0, 20000], "units": "samples"}}
    accumulators = {name: {"value": 0.0, "units": "x"} for name in ("charge", "energy")}
    return {"time": time, "signals": signals, "accumulators": accumulators}


class UsbDriver:
    """pyjoulescope_driver.Driver, as far as the joulescope package uses it for one instrument."""

    def __init__(self) -> None:
        self.published: dict[str, Any] = {}
        self.listeners: dict[str, list[Callable[[str, Any], None]]] = {}
        self.is_open = False

    def open(self, path: str, mode: Any = None, timeout: Any = None) -> int:
        self.is_open = True
        return 0

    def close(self, path: str, timeout: Any = None) -> None:
        self.is_open = False

    def publish(self, topic: str, value: Any, timeout: Any = None) -> None:
        self.published[topic] = value

    def query(self, topic: str, timeout: Any = None) -> Any:
        return self.published.get(topic, 0)

    def subscribe(self, topic: str, flags: Any, listener: Any, timeout: Any = None) -> None:
        self.listeners.setdefault(topic, []).append(listener)

    def unsubscribe(self, topic: str, listener: Any, timeout: Any = None) -> None:
        self.listeners[topic].remove(listener)

    def send(self, value: dict[str, Any]) -> None:
        for listener in self.listeners["u/js220/001122/s/stats/value"]:
            listener("u/js220/001122/s/stats/value", value)


def test_joulescope_package_over_a_simulated_usb_driver() -> None:
    """The real joulescope package; only the USB driver below it is simulated."""
    pytest.importorskip("joulescope")
    from joulescope.v1.js220 import DeviceJs220

    driver = UsbDriver()
    with JoulescopeSource(boundary="5 V input", rate_hz=50, device=DeviceJs220(driver, "u/js220/001122")) as source:
        assert driver.is_open and driver.published["u/js220/001122/s/stats/scnt"] == 20000
        assert driver.published["u/js220/001122/s/stats/ctrl"] == 1
        assert source.name == "Joulescope JS220-001122"
        driver.send(statistics(1.5))
        reading = source.read()
        assert (reading.power_w, reading.voltage_v, reading.current_a) == (1.5, 5.0, 0.4)
        # What came while nobody asked is averaged, not lost.
        for watts in (1.0, 2.0, 6.0):
            driver.send(statistics(watts))
        assert source.read().power_w == pytest.approx(3.0)
    assert not driver.is_open and not driver.listeners["u/js220/001122/s/stats/value"]


def test_joulescope_none_connected() -> None:
    pytest.importorskip("joulescope")
    with pytest.raises(SourceMissingError, match="Joulescope: no devices found; connect exactly one"):
        JoulescopeSource(boundary="5 V input")


class Silent:
    """An instrument that opens and then says nothing."""

    def open(self) -> None:
        """Open."""

    def close(self) -> None:
        """Close."""

    def parameter_set(self, name: str, value: Any) -> None:
        """Take any setting."""

    def statistics_callback_register(self, callback: Any, source: str) -> None:
        """Never call back."""

    def statistics_callback_unregister(self, callback: Any, source: str) -> None:
        """Nothing to do."""

    def __str__(self) -> str:
        return "JS110-7"


def test_joulescope_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikeclip_fpga.host.power.joulescope._ANSWER_S", 0.05)
    with pytest.raises(TooSlowError, match=r"Joulescope JS110-7: no answer for 0.05 s"):
        JoulescopeSource(boundary="x", device=Silent()).read()
    with pytest.raises(SourceSettingsError, match=r"rate_hz: expected one of \(1, 2, 5, 10, 20, 50, 100\), got 33"):
        JoulescopeSource(boundary="x", rate_hz=33, device=Silent())
    monkeypatch.setitem(sys.modules, "joulescope", None)
    with pytest.raises(SourceMissingError, match="the package joulescope does not import"):
        JoulescopeSource(boundary="x")
