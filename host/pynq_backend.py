"""The accelerator on a Zynq board, through pynq: local (on the board) or remote (PYNQ_REMOTE_DEVICES).

    with PynqAccelerator(bundle) as accelerator:
        embeddings = accelerator.embed(images)

Buffers are allocated once; images are packed into them in one numpy operation, while the batch before is still on
the board. Whatever goes wrong, the DMA is stopped, the buffers are freed and the lock is given back.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from .accelerator import AcceleratorError
from .axi_dma import MAX_BYTES, AxiDma, BoardError, BoardTimeoutError
from .board_lock import BoardLock
from .pack import pack, unpack
from .pynq_device import Watchdog, address, is_recorded, is_remote, open_device, pynq_state, read_identity

if TYPE_CHECKING:
    from .bundle import Bundle

MAGIC, SCHEMA = 0x53434C50, 1
_STATE = 0x2C
_LOAD_S, _CLOSE_S, _LEAST_S = 60.0, 5.0, 5.0
# A batch that should take a millisecond is not slow at ten; one that should take ten seconds is at two hundred.
_PATIENCE = 20


class BatchError(AcceleratorError):
    """Images of another shape or type than the accelerator takes; the board is unharmed."""


@dataclass(frozen=True)
class _Slot:
    """One batch's buffers: as pynq gives them, as plain arrays, and their physical addresses."""

    source: Any
    images: np.ndarray
    source_at: int
    target: Any
    results: np.ndarray
    target_at: int


class PynqAccelerator:
    """The accelerator of ``bundle`` on a board; a context manager, for one thread at a time.

    batch: frames per transfer. overlap: pack and unpack while the board computes. timeout_s: of a batch, default
    20 times its simulated time and at least 5 s. device: a pynq Device, default PYNQ_REMOTE_DEVICES' first or the
    board itself. own_device: whether its connection is closed at the end. bit: another file than the bundle's.
    reuse: whether a bitstream that is loaded already is kept; default: on the board itself, of whose loads pynq
    keeps a record. lock_folder: default the system's for temporary files.
    Raises AcceleratorError: BoardBusyError, BoardTimeoutError or BoardError.
    """

    name = "pynq"

    def __init__(
        self,
        bundle: Bundle,
        *,
        batch: int = 256,
        overlap: bool = True,
        timeout_s: float | None = None,
        device: Any = None,
        own_device: bool = False,
        bit: Path | None = None,
        reuse: bool | None = None,
        lock_folder: Path | None = None,
    ) -> None:
        self._bundle, self._shape = bundle, tuple(bundle.manifest["input"]["shape"])
        self.embed_dim = int(bundle.manifest["output"]["shape"][0])
        self._frame_bytes = int(np.prod(self._shape))
        if not 1 <= batch <= MAX_BYTES // max(self._frame_bytes, 4 * self.embed_dim):
            raise BoardError(f"batch: expected 1 to {MAX_BYTES // self._frame_bytes} frames, got {batch}")
        self.batch, self._overlap = batch, overlap
        self._timeout_s = max(_LEAST_S, _PATIENCE * bundle.seconds(batch)) if timeout_s is None else timeout_s
        self._buffers: list[Any] = []
        self._slots: list[_Slot] = []
        self._dma: AxiDma | None = None
        self._lock: BoardLock | None = None
        self._closed = False
        self._own_device = own_device or device is None
        self._device: Any = None
        self._watchdog: Watchdog | None = None
        file = bit or bundle.bit
        if file is None:
            raise BoardError(
                f"{bundle.folder}: no bitstream in it; build one with Vivado (docs/boards.md), or use backend twin"
            )
        try:
            with self._named(f"{bundle.name}: board not opened", "see that it is on; PYNQ_REMOTE_DEVICES names one"):
                self._device = open_device() if device is None else device
                self._watchdog = Watchdog(self._device)
                self._lock = BoardLock(address(self._device), lock_folder)
                self._lock.acquire()
                with self._watchdog.limit(_LOAD_S):
                    self._open(file, reuse)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> PynqAccelerator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Return (N, E) int64 embeddings of (N, H, W, C) uint8 images.

        Raises BatchError for images of another shape or type, BoardError after a fault; then the board is given back
        and has to be opened anew.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self._shape:
            raise BatchError(f"images: expected uint8 (N, {_dims(self._shape)}), got {images.dtype} {images.shape}")
        found = np.empty((len(images), self.embed_dim), np.int64)
        starts = range(0, len(images), self.batch)
        parts = (images[start : start + self.batch] for start in starts)
        for start, part in zip(starts, self.stream(parts), strict=True):
            unpack(part, found[start : start + len(part)])
        return found

    def stream(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield (n, E) int32 embeddings of each batch of (n, H, W, C) uint8 images, 1 <= n <= batch, in order.

        While the board computes one batch, the next is taken from ``batches`` and packed. What is yielded is only
        good until the next one is asked for. Raises as embed does.
        """
        running: tuple[int, int] | None = None
        slot = 0
        try:
            for images in batches:
                self._require_open()
                count = self._pack(slot, images)
                done, running = running, (slot, count)
                if done is not None:
                    self._wait(*done)
                self._start(slot, count)
                if done is not None:
                    yield self._unpack(*done)
                if not self._overlap:
                    self._wait(*running)
                    done, running = running, None
                    yield self._unpack(*done)
                slot = (slot + 1) % len(self._slots)
            if running is not None:
                done, running = running, None
                self._wait(*done)
                yield self._unpack(*done)
        except (GeneratorExit, BatchError):  # no fault of the board: let it finish, so that the next run starts clean
            if running is not None and not self._closed:
                self._wait(*running)
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the DMA, free the buffers and give the board back. Never raises; may be called again."""
        if self._closed:
            return
        self._closed = True
        if self._watchdog is not None:
            with contextlib.suppress(Exception), self._watchdog.limit(_CLOSE_S):
                self._release()
            self._watchdog.end()
        if self._own_device and self._device is not None and is_remote(self._device):
            self._device.client.channel.close()
        if self._lock is not None:
            self._lock.release()

    def _release(self) -> None:
        """Stop the DMA first, lest it write into memory that is another's by then; free the buffers."""
        if self._dma is not None:
            with contextlib.suppress(Exception):
                self._dma.stop()
        self._dma, self._slots = None, []
        while self._buffers:
            with contextlib.suppress(Exception):
                self._buffers.pop().freebuffer()

    def _open(self, bit: Path, reuse: bool | None) -> None:
        import pynq

        overlay_names = self._bundle.manifest["overlay"]
        with pynq_state():
            if is_remote(self._device):
                pynq.Device.active_device = self._device  # pynq sets the ports' widths of this one
            # pynq keeps the clock registers of the first device it saw, even for the overlays of others.
            if "_real_instance" in vars(pynq.Clocks):
                del pynq.Clocks._real_instance
            recorded = is_recorded(bit) and (not is_remote(self._device) if reuse is None else reuse)
            overlay = pynq.Overlay(str(bit), download=False, device=self._device)
            blocks = [
                pynq.MMIO(entry["phys_addr"], entry["addr_range"], device=self._device)
                for entry in (overlay.ip_dict[overlay_names["dma"]], overlay.ip_dict[overlay_names["id"]])
            ]
            if not (recorded and self._is_clean(blocks[1])):
                self._download(overlay, bit)
        self._identity = blocks[1]
        self._check_identity()
        dma = AxiDma(blocks[0], overlay_names["dma"])
        dma.reset()
        self._dma = dma
        self._slots = [self._allocate(pynq) for _ in range(2 if self._overlap else 1)]

    def _download(self, overlay: Any, bit: Path) -> None:
        # pynq 4.0.0 finds no frequencies in Vivado's .hwh of a Zynq-7000, and fails on them.
        for index, clock in overlay.clock_dict.items():
            if index == 0 or clock.get("frequency") is None:
                clock["frequency"] = self._bundle.clk_mhz
        # A remote board keeps files by name, and one that is there already is not sent again, whatever is in it.
        overlay.binfile_name = f"spikeclip-{hashlib.sha256(bit.read_bytes()).hexdigest()[:16]}.bin"
        overlay.download()

    def _check_identity(self) -> None:
        magic, schema, network = read_identity(self._identity)
        expected = self._bundle.network_digest
        if (magic, schema) != (MAGIC, SCHEMA):
            raise BoardError(
                f"{self._bundle.name}: ID block says {magic:#010x}, schema {schema}, expected {MAGIC:#010x}, {SCHEMA}; "
                "this is no bitstream of this project: take the bundle's"
            )
        if network != expected:
            raise BoardError(
                f"{self._bundle.name}: the bitstream holds network {network.hex()[:12]}…, expected "
                f"{expected.hex()[:12]}…; load this bundle's, and remove old ones of the same name from the board"
            )

    def _is_clean(self, identity: Any) -> bool:
        """Return whether the fabric holds this bundle's network with nothing on the way."""
        try:
            found = read_identity(identity)
            return found == (MAGIC, SCHEMA, self._bundle.network_digest) and identity.read(_STATE) == 0
        except RuntimeError:
            return False

    def _allocate(self, pynq: Any) -> _Slot:
        made: list[Any] = []
        for shape, dtype in (((self.batch, *self._shape), np.uint8), ((self.batch, self.embed_dim), np.int32)):
            try:
                buffer = pynq.allocate(shape, dtype, target=self._device)
                self._buffers.append(buffer)
                # The address also tells whether there is memory: a remote allocate does not say so.
                made += [buffer, buffer.view(np.ndarray), int(buffer.physical_address)]
            except RuntimeError as error:
                raise BoardError(
                    f"{self._bundle.name}: no memory for batches of {self.batch} frames on the board ({error}); "
                    "take a smaller batch"
                ) from error
        return _Slot(*made)

    def _pack(self, slot: int, images: np.ndarray) -> int:
        """Copy images, as signed bytes, to the board's memory; return how many."""
        count = len(images)
        if images.dtype != np.uint8 or images.shape[1:] != self._shape or not 1 <= count <= self.batch:
            raise BatchError(
                f"batch: expected uint8 (1 to {self.batch}, {_dims(self._shape)}), got {images.dtype} {images.shape}"
            )
        pack(images, self._slots[slot].images[:count])
        with self._named("input buffer"), self._limit(self._timeout_s):
            self._slots[slot].source.flush()
        return count

    def _start(self, slot: int, count: int) -> None:
        assert self._dma is not None
        at = self._slots[slot]
        with self._named("DMA"), self._limit(self._timeout_s):
            self._dma.start(at.source_at, count * self._frame_bytes, at.target_at, count * 4 * self.embed_dim)
        self._started = time.monotonic()

    def _wait(self, slot: int, count: int) -> None:
        """Return when the batch of ``slot`` is back in memory."""
        assert self._dma is not None
        with self._named("DMA"), self._limit(self._timeout_s + _CLOSE_S):
            while not self._dma.done():
                passed = time.monotonic() - self._started
                if passed > self._timeout_s:
                    raise BoardTimeoutError(
                        f"{self._bundle.name}: expected {count} frames within {self._timeout_s:g} s, they are not back "
                        f"({self._dma.describe()}); open the board again, which loads its bitstream anew"
                    )
                time.sleep(min(1e-3, passed / 16))  # costs a sixteenth of the latency at most
            received, expected = self._dma.received(), count * 4 * self.embed_dim
            if received != expected:
                raise BoardError(f"{self._bundle.name}: {received} bytes came back, expected {expected}; open it again")

    def _unpack(self, slot: int, count: int) -> np.ndarray:
        with self._named("output buffer"), self._limit(self._timeout_s):
            self._slots[slot].target.invalidate()
        return self._slots[slot].results[:count]

    def _require_open(self) -> None:
        if self._closed:
            raise BoardError(f"{self._bundle.name}: the board was given back; open it again")

    def _limit(self, seconds: float) -> contextlib.AbstractContextManager[None]:
        assert self._watchdog is not None
        return self._watchdog.limit(seconds)

    @contextlib.contextmanager
    def _named(self, where: str, remedy: str = "open the board again") -> Iterator[None]:
        """Raise what pynq, numpy or gRPC raise as a BoardError of one line."""
        try:
            yield
        except AcceleratorError:
            raise
        except Exception as error:
            if self._watchdog is not None and self._watchdog.barked:
                raise BoardTimeoutError(f"{where}: no answer from the board in time; see that it is on") from error
            details = getattr(error, "details", None)  # of gRPC
            text = str(details() if callable(details) else error) or type(error).__name__
            raise BoardError(f"{where}: {' '.join(text.split())}; {remedy}") from error


def _dims(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
