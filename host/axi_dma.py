"""The host's side of AXI DMA 7.1 in direct register mode (PG021): start a batch both ways, see it end or fail.

pynq's own driver waits without end and, once an error has halted a channel, says "not started"; here every wait
has an end and every error its name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from .accelerator import AcceleratorError

_MM2S, _S2MM = 0x00, 0x30
_CR, _SR, _ADDRESS, _ADDRESS_MSB, _LENGTH = 0x00, 0x04, 0x18, 0x1C, 0x28
_RUN, _RESET = 0x1, 0x4
_HALTED, _IDLE = 0x1, 0x2
_ERRORS = {
    0x10: "internal error: a transfer longer than its buffer, or a failed memory access",
    0x20: "slave error: memory refused an access",
    0x40: "decode error: an address that is no memory",
}
_CHANNELS = {_MM2S: "MM2S", _S2MM: "S2MM"}
_RESET_S = 1.0
MAX_BYTES = (1 << 26) - 1


class BoardError(AcceleratorError):
    """A board that failed; the message says where, and what to do."""


class BoardTimeoutError(BoardError):
    """A board that did not answer in time."""


class Registers(Protocol):
    """Memory-mapped registers, such as pynq.MMIO."""

    def read(self, offset: int) -> int:
        """Return the 32-bit word at ``offset``."""

    def write(self, offset: int, data: int) -> None:
        """Write the 32-bit word at ``offset``."""


class AxiDma:
    """A DMA's two channels; ``name`` stands in messages."""

    def __init__(self, registers: Registers, name: str) -> None:
        self._registers, self._name = registers, name

    def reset(self) -> None:
        """Reset both channels, dropping what is under way, and run them. Raises BoardTimeoutError."""
        self._registers.write(_CR, _RESET)
        self._await(lambda: not self._registers.read(_CR) & _RESET, "to come out of reset")
        for channel in _CHANNELS:
            self._registers.write(channel + _CR, _RUN)
        self._await(lambda: not any(self._status(c) & _HALTED for c in _CHANNELS), "to run after a reset")

    def stop(self) -> None:
        """Reset both channels and leave them halted: from then on memory is left alone."""
        self._registers.write(_CR, _RESET)

    def start(self, source: int, source_bytes: int, target: int, target_bytes: int) -> None:
        """Start a batch: ``source_bytes`` to the accelerator, up to ``target_bytes`` of results back.

        The channel to memory first, so that no result has to wait.
        """
        for channel, address, size in ((_S2MM, target, target_bytes), (_MM2S, source, source_bytes)):
            self._registers.write(channel + _ADDRESS, address & 0xFFFF_FFFF)
            if address >> 32:
                self._registers.write(channel + _ADDRESS_MSB, address >> 32)
            self._registers.write(channel + _LENGTH, size)

    def done(self) -> bool:
        """Return whether the batch has ended. Raises BoardError after an error."""
        back = self._status(_S2MM)
        if back & _IDLE and not self._error(back):
            return True
        for channel, status in ((_S2MM, back), (_MM2S, self._status(_MM2S))):
            if self._error(status):
                raise BoardError(f"{self._name}: {_CHANNELS[channel]} {self._error(status)} (DMASR {status:#010x})")
        return False

    def received(self) -> int:
        """Return the bytes that the last batch brought back."""
        return self._registers.read(_S2MM + _LENGTH)

    def describe(self) -> str:
        """Return the state of both channels in a few words."""
        return ", ".join(f"{name}_DMASR {self._status(channel):#010x}" for channel, name in _CHANNELS.items())

    def _status(self, channel: int) -> int:
        return self._registers.read(channel + _SR)

    @staticmethod
    def _error(status: int) -> str | None:
        return next((text for bit, text in _ERRORS.items() if status & bit), None)

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _RESET_S
        while not condition():
            if time.monotonic() > end:
                raise BoardTimeoutError(
                    f"{self._name}: expected {what} within {_RESET_S:g} s; open it again, or restart the board"
                )
