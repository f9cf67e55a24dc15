"""What can be made to go wrong, once each, to see that the host notices."""

from __future__ import annotations

import enum
import threading


class Fault(enum.Enum):
    """A fault the twin shows at its next opportunity, once.

    TRANSFER_ERROR: the next read of memory gets a slave error. STUCK_DMA: the next transfer never ends.
    WRONG_BITSTREAM: the next bitstream loaded is another network's, as when a stale file is found.
    SHORT_BUFFER: the next transfer to the accelerator loses its last beat. DISCONNECT: the server goes away at the
    next transfer. SILENCE: from the next transfer on, it keeps the connection and answers nothing.
    """

    TRANSFER_ERROR = "transfer-error"
    STUCK_DMA = "stuck-dma"
    WRONG_BITSTREAM = "wrong-bitstream"
    SHORT_BUFFER = "short-buffer"
    DISCONNECT = "disconnect"
    SILENCE = "silence"


class Faults:
    """The faults still to come. Safe to use from several threads."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()

    def inject(self, fault: Fault) -> None:
        """Have ``fault`` happen once, at its next opportunity."""
        with self._lock:
            self._waiting.append(fault)

    def strikes(self, fault: Fault) -> bool:
        """Return whether ``fault`` happens now; if so it is used up."""
        with self._lock:
            if fault not in self._waiting:
                return False
            self._waiting.remove(fault)
            return True
