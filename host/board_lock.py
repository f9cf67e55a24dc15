"""One process at a time on a board: a lock that says who holds it.

The kernel drops it when its holder ends, however that happens. It binds those who ask for it: this project's
processes on one machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import re
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from .accelerator import AcceleratorError


class BoardBusyError(AcceleratorError):
    """A board that another process holds; the message says which."""


class BoardLock:
    """The lock of the board called ``key``. folder: where its file is, default the system's for temporary files."""

    def __init__(self, key: str, folder: Path | None = None) -> None:
        name = re.sub(r"[^A-Za-z0-9._-]", "_", key)
        self.key = key
        self.path = (folder or Path(tempfile.gettempdir())) / f"spikeclip-fpga.{name}.lock"
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock and write down who has it. Raises BoardBusyError at once if it is taken."""
        file = self._open()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            text = os.pread(file, 4096, 0)
            os.close(file)
            raise BoardBusyError(f"board {self.key}: in use by {_holder(text)}; wait for it, or end it") from error
        holder = {
            "pid": os.getpid(),
            "user": _user(),
            "since": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": Path(sys.argv[0]).name if sys.argv else "",
        }
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(holder).encode(), 0)
        self._file = file

    def release(self) -> None:
        """Give the lock back; nothing happens without it."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        # Not O_CREAT at once: in a sticky folder Linux then refuses other users' files, even to root.
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        for _ in range(2):
            with contextlib.suppress(FileNotFoundError):
                return os.open(self.path, flags)
            with contextlib.suppress(FileExistsError):
                file = os.open(self.path, flags | os.O_CREAT | os.O_EXCL, 0o666)
                os.fchmod(file, 0o666)  # whatever the umask: the next user may be another
                return file
        raise BoardBusyError(f"{self.path}: comes and goes; remove it")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _holder(text: bytes) -> str:
    try:
        found = json.loads(text)
        where = "this process" if found["pid"] == os.getpid() else f"process {found['pid']} ({found['command']})"
        return f"{where} of {found['user']} since {found['since']}"
    except (ValueError, KeyError, TypeError):
        return "a process that has not said who it is"
