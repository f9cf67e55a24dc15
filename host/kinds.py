"""What a backend is, in words a person reads beside its result: hardware, emulation, simulation or software."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

NAMES = ("golden", "fast", "rtl", "twin", "pynq", "xrt")


@dataclass(frozen=True)
class BackendKind:
    """kind: software, simulation, emulation or hardware. text: one line. emulated: no real accelerator computes."""

    kind: str
    text: str

    @property
    def emulated(self) -> bool:
        """Return whether anything but an accelerator in hardware computes."""
        return self.kind != "hardware"


_FIXED = {
    "golden": BackendKind("software", "numpy reference on this processor, no accelerator"),
    "fast": BackendKind("software", "compiled C++ on this processor, no accelerator"),
    "rtl": BackendKind("simulation", "the accelerator's RTL, simulated by Verilator"),
    "twin": BackendKind("emulation", "an emulated board behind the real pynq client"),
}
_BOARD = {
    "pynq": BackendKind("hardware", "the accelerator on this board, through pynq"),
    "xrt": BackendKind("hardware", "the accelerator on an Alveo card, through XRT"),
}
_LOOPBACK = ("127.", "localhost", "::1", "[::1]")


def backend_kind(name: str, built: bool, environment: Mapping[str, str] = os.environ) -> BackendKind:
    """Return what backend ``name`` is. built: the bundle holds a bitstream, without which nothing is hardware.

    Unknown names are software. pynq told to use a device on loopback, and XRT in an emulation mode, are emulation.
    """
    if name not in _BOARD:
        return _FIXED.get(name, BackendKind("software", f"{name} on this processor, no accelerator"))
    if not built:
        return BackendKind("emulation", f"{name}, but the bundle has no bitstream: an emulated board")
    if name == "pynq" and environment.get("PYNQ_REMOTE_DEVICES", "").startswith(_LOOPBACK):
        return BackendKind("emulation", "pynq told to use a device on loopback: an emulated board")
    if name == "xrt" and environment.get("XCL_EMULATION_MODE"):
        return BackendKind("emulation", f"XRT in emulation mode {environment['XCL_EMULATION_MODE']}")
    return _BOARD[name]
