"""The options of every verb that runs an accelerator, and its release whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeclip_fpga.host.accelerator import Accelerator


def add_bundle(verb: Any, required: bool = False) -> None:
    """Add --bundle, --board and --backend."""
    verb.add_argument(
        "--bundle", type=Path, required=required, help="bundle: network, labels and bitstream for a board"
    )
    verb.add_argument("--board", help="refuse a bundle for another board")
    verb.add_argument(
        "--backend",
        default="golden",
        help="what computes: golden or fast, and with a bundle twin or pynq (default: %(default)s)",
    )


@contextlib.contextmanager
def closing(accelerator: Accelerator) -> Iterator[Accelerator]:
    """Give ``accelerator`` and release its device at the end, if it has one."""
    try:
        yield accelerator
    finally:
        close = getattr(accelerator, "close", None)
        if close is not None:
            close()
