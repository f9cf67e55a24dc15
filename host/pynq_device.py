"""What pynq leaves to its users: which board, whose turn to load an overlay, calls without a time limit."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .axi_dma import BoardError

_TICK_S = 0.2


class Watchdog:
    """Cuts the connection to a remote board when a call takes too long; a local board is left alone.

    pynq's calls to a remote board have no time limit, so that a silent board would stop the host for good.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self._deadline: float | None = None
        self._over = threading.Event()
        self.barked = False
        if is_remote(device):
            threading.Thread(target=self._watch, name="board-watchdog", daemon=True).start()

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Cut the connection if the block takes longer than ``seconds``."""
        self._deadline = time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None

    def end(self) -> None:
        """Watch no longer."""
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(_TICK_S):
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self.barked = True
                self._device.client.channel.close()
                return


def open_device() -> Any:
    """Return PYNQ_REMOTE_DEVICES' first board, newly connected, or the board this runs on. Raises BoardError."""
    try:
        import pynq
    except ImportError as error:
        raise BoardError(
            "backend pynq: pynq is not installed here; on a board, run in PYNQ's own Python environment"
        ) from error
    remote = [name.strip() for name in os.environ.get("PYNQ_REMOTE_DEVICES", "").split(",") if name.strip()]
    if not remote:
        return pynq.Device.active_device
    from pynq.pl_server.remote_device import RemoteDevice

    return RemoteDevice(0, remote[0])  # a new one: pynq's own keeps a connection that may have been cut


def is_remote(device: Any) -> bool:
    """Return whether a device is reached over a network."""
    return bool(device.has_capability("REMOTE"))


def address(device: Any) -> str:
    """Return what a device is called in messages and locks."""
    return f"{device.ip_addr}:{device.port}" if is_remote(device) else "of this machine"


@contextlib.contextmanager
def pynq_state() -> Iterator[None]:
    """Let one process at a time load overlays: pynq keeps files in its own package, for all of them."""
    path = Path(tempfile.gettempdir()) / f"spikeclip-fpga.pynq-{os.getuid()}.lock"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def is_recorded(bit: Path) -> bool:
    """Return whether pynq's record says that this very file was the last to be loaded."""
    from pynq.pl_server import global_state

    try:
        if not global_state.global_state_file_exists():
            return False
        state = global_state.load_global_state()
        return state is not None and state.bitfile_hash == global_state.bitstream_hash(str(bit))
    except (OSError, ValueError):
        return False


def read_identity(registers: Any) -> tuple[int, int, bytes]:
    """Return magic, schema and network hash of the ID block."""
    words = [int(registers.read(offset)) for offset in range(0, 0x28, 4)]
    return words[0], words[1], b"".join(word.to_bytes(4, "little") for word in words[2:])
