"""The accelerator on an Alveo card, through XRT: an .xclbin of FINN's Vitis flow. NEVER RUN ON A CARD YET.

    with XrtAccelerator(bundle) as accelerator:
        embeddings = accelerator.embed(images)

Tested against a simulated pyxrt only (tests/host/simulated_pyxrt.py). FINN's flow links one DMA kernel that reads
images from the card's memory, idma, and one that writes results to it, odma, each called with (buffer, frames).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from .accelerator import AcceleratorError
from .axi_dma import BoardError, BoardTimeoutError
from .board_lock import BoardLock
from .pack import pack
from .packed_results import read_layout

if TYPE_CHECKING:
    from .bundle import Bundle

_STREAMS = "streams.json"
# FINN+ (1.6) writes the first of these, FINN's releases the second.
_NAMES = {"idma": ("idma_0", "idma0"), "odma": ("odma_0", "odma0")}
_BUFFER, _FRAMES = 0, 1  # arguments of both
_LEAST_S, _PATIENCE = 5.0, 20
_MAX_BYTES = 1 << 30
_RESET = "reset the card with `xrt-smi reset` (older: xbutil), and open it again"


class XrtAccelerator:
    """The accelerator of ``bundle`` on card number ``index``; a context manager, for one thread at a time.

    batch: frames per run of the kernels. timeout_s: of a batch, default 20 times its simulated time and at least 5 s.
    lock_folder: default the system's for temporary files. Raises AcceleratorError: BoardBusyError, BoardTimeoutError
    or BoardError.
    """

    name = "xrt"

    def __init__(
        self,
        bundle: Bundle,
        *,
        index: int = 0,
        batch: int = 256,
        timeout_s: float | None = None,
        lock_folder: Path | None = None,
    ) -> None:
        self._name, self._shape = bundle.name, tuple(bundle.manifest["input"]["shape"])
        self.embed_dim = int(bundle.manifest["output"]["shape"][0])
        self._buffers: dict[str, Any] = {}
        self._memory: dict[str, np.ndarray] = {}
        self._kernels: dict[str, Any] = {}
        self._device: Any = None
        self._lock: BoardLock | None = None
        if bundle.xclbin is None:
            raise BoardError(f"{bundle.folder}: no .xclbin in it; link one with Vitis (docs/boards.md), or use fast")
        if _STREAMS not in bundle.manifest["files"]:
            raise BoardError(f"{bundle.folder}: no {_STREAMS} in it, which says what the DMA writes; pack it again")
        self._results = read_layout(bundle.folder / _STREAMS, self._shape, self.embed_dim)
        self._frame_bytes = {"idma": int(np.prod(self._shape)), "odma": self._results.frame_bytes}
        most = _MAX_BYTES // max(self._frame_bytes.values())
        if not 1 <= batch <= most:
            raise BoardError(f"batch: expected 1 to {most} frames, got {batch}")
        self.batch = batch
        self._timeout_s = max(_LEAST_S, _PATIENCE * bundle.seconds(batch)) if timeout_s is None else timeout_s
        self._xrt = _pyxrt()
        try:
            self._lock = BoardLock(f"xrt-{index}", lock_folder)
            self._lock.acquire()
            with self._named(f"card {index}", "see with `xrt-smi examine` that it is there and free"):
                self._open(index, bundle.xclbin)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> XrtAccelerator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Return (N, E) int64 embeddings of (N, H, W, C) uint8 images.

        Raises AcceleratorError for images of another shape or type; BoardError after a fault, then the card is given
        back and has to be opened anew.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self._shape:
            wanted = ", ".join(map(str, self._shape))
            raise AcceleratorError(f"images: expected uint8 (N, {wanted}), got {images.dtype} {images.shape}")
        if self._device is None:
            raise BoardError(f"{self._name}: the card was given back; open it again")
        found = np.empty((len(images), self.embed_dim), np.int64)
        try:
            for start in range(0, len(images), self.batch):
                part = images[start : start + self.batch]
                with self._named("card", _RESET):
                    self._run(part, found[start : start + len(part)])
        except BaseException:
            self.close()
            raise
        return found

    def close(self) -> None:
        """Free the buffers and kernels and give the card back. Never raises."""
        # pyxrt frees what nothing refers to: views before their buffers, those before kernels and device.
        self._memory.clear()
        self._buffers.clear()
        self._kernels.clear()
        self._device = None
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self._lock.release()
            self._lock = None

    def _open(self, index: int, file: Path) -> None:
        xrt = self._xrt
        self._device = xrt.device(index)
        image = xrt.xclbin(str(file))
        uuid = self._device.load_xclbin(image)
        expected, loaded = image.get_uuid().to_string(), self._device.get_xclbin_uuid().to_string()
        if not uuid.to_string() == loaded == expected:
            raise BoardError(
                f"{self._name}: the card holds xclbin {loaded}, expected {expected}; end the program that uses it"
            )
        kernels = [kernel.get_name() for kernel in image.get_kernels()]
        for role in _NAMES:
            kernel = self._kernels[role] = self._kernel(uuid, kernels, role)
            size = self.batch * self._frame_bytes[role]
            buffer = self._buffers[role] = xrt.bo(self._device, size, xrt.bo.normal, kernel.group_id(_BUFFER))
            self._memory[role] = np.frombuffer(buffer.map(), np.uint8)[:size]

    def _kernel(self, uuid: Any, kernels: list[str], role: str) -> Any:
        """Return the compute unit of that role, whatever its kernel is called, for this process alone."""
        reasons = []
        for kernel in kernels:
            for unit in _NAMES[role]:
                try:
                    return self._xrt.kernel(self._device, uuid, f"{kernel}:{{{unit}}}", self._xrt.kernel.exclusive)
                except (RuntimeError, ValueError, IndexError) as error:  # what pybind11 makes of C++'s exceptions
                    reasons.append(" ".join(str(error).split()))
        said = "; ".join(dict.fromkeys(reasons)) or "none"
        raise BoardError(
            f"{self._name}: no compute unit {' or '.join(_NAMES[role])} in kernels {', '.join(kernels) or 'none'} "
            f"({said}); link it with FINN's Vitis flow, and see that no other program uses the card"
        )

    def _run(self, images: np.ndarray, out: np.ndarray) -> None:
        """Write the embeddings of 1 to ``batch`` images to ``out``."""
        direction, count = self._xrt.xclBOSyncDirection, len(images)
        size = {role: count * bytes_ for role, bytes_ in self._frame_bytes.items()}
        pack(images, self._memory["idma"][: size["idma"]].reshape(images.shape))
        self._buffers["idma"].sync(direction.XCL_BO_SYNC_BO_TO_DEVICE, size["idma"], 0)
        runs = {}
        # The writer first, so that it is there when results come.
        for role in ("odma", "idma"):
            run = runs[role] = self._xrt.run(self._kernels[role])
            run.set_arg(_BUFFER, self._buffers[role])
            run.set_arg(_FRAMES, count)
            run.start()
        for role in ("idma", "odma"):
            self._wait(runs[role], role, count)
        self._buffers["odma"].sync(direction.XCL_BO_SYNC_BO_FROM_DEVICE, size["odma"], 0)
        raw = self._memory["odma"][: size["odma"]]
        self._results.unpack(raw.reshape(count, self._results.frame_bytes), out)

    def _wait(self, run: Any, role: str, count: int) -> None:
        states = self._xrt.ert_cmd_state
        # 0 would be to wait without end.
        state = run.wait(max(1, round(1e3 * self._timeout_s)))
        if state == states.ERT_CMD_STATE_COMPLETED:
            return
        waiting = ("NEW", "QUEUED", "SUBMITTED", "TIMEOUT")
        if state in [getattr(states, f"ERT_CMD_STATE_{name}") for name in waiting]:
            raise BoardTimeoutError(
                f"{self._name}: {role}: expected {count} frames within {self._timeout_s:g} s, got no end; {_RESET}"
            )
        raise BoardError(f"{self._name}: {role} ended with {state}, expected ERT_CMD_STATE_COMPLETED; {_RESET}")

    @contextlib.contextmanager
    def _named(self, where: str, remedy: str) -> Iterator[None]:
        """Raise what XRT raises as a BoardError of one line."""
        try:
            yield
        except AcceleratorError:
            raise
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise BoardError(f"{self._name}: {where}: {text}; {remedy}") from error


def _pyxrt() -> Any:
    try:
        import pyxrt
    except ImportError as error:
        raise BoardError(
            "backend xrt: pyxrt is not installed here; it comes with XRT, not from a registry: install XRT, then "
            "`source /opt/xilinx/xrt/setup.sh`"
        ) from error
    return pyxrt
