"""Backend ``twin``: the pynq backend, unchanged, against a twin started for it in this process. No hardware."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .accelerator import Accelerator, FastAccelerator
from .axi_dma import BoardError
from .pynq_backend import PynqAccelerator

if TYPE_CHECKING:
    from .bundle import Bundle

# What is behind the registers may be slower than hardware by orders of magnitude.
_TIMEOUT_S = 300.0


class TwinAccelerator(PynqAccelerator):
    """The emulated board of ``bundle``, with ``behind`` (default: the fast runner) as its fabric.

    realtime: batches take at least their simulated time. settings: PynqAccelerator's. Raises AcceleratorError.
    """

    name = "twin"

    def __init__(
        self, bundle: Bundle, behind: Accelerator | None = None, *, realtime: bool = False, **settings: Any
    ) -> None:
        try:
            from pynq.pl_server.remote_device import RemoteDevice
        except ImportError as error:
            raise BoardError(
                "backend twin: it runs the real pynq client, which is not installed here; "
                "install this package with [board] into an environment of its own, and run there"
            ) from error
        from .twin import Twin

        self.twin = Twin.for_bundle(bundle, behind or FastAccelerator(bundle.network), port=0, realtime=realtime)
        try:
            device = RemoteDevice(0, self.twin.host, self.twin.port)
            overlay = Path(self.twin.overlay)
            # Nobody else knows this board: its lock goes with it.
            own = {"bit": overlay, "timeout_s": _TIMEOUT_S, "own_device": True, "lock_folder": overlay.parent}
            super().__init__(bundle, device=device, **{**own, **settings})
        except BaseException:
            self.twin.close()
            raise

    def __enter__(self) -> TwinAccelerator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the emulated board back and end it. Never raises."""
        super().close()
        self.twin.close()
