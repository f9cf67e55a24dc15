"""The project's own client: backends pynq and twin, their faults, their lock."""

from __future__ import annotations

import ctypes
import dataclasses
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from spikeclip_fpga.host.accelerator import AcceleratorError, FastAccelerator, open_accelerator
from spikeclip_fpga.host.axi_dma import BoardError, BoardTimeoutError
from spikeclip_fpga.host.board_lock import BoardBusyError, BoardLock
from spikeclip_fpga.host.bundle import Bundle
from spikeclip_fpga.host.pynq_backend import BatchError, PynqAccelerator
from spikeclip_fpga.host.twin import Fault, Twin
from spikeclip_fpga.host.twin.image import to_bit
from spikeclip_fpga.host.twin_backend import TwinAccelerator

Open = Callable[..., PynqAccelerator]

pytest.importorskip("pynq", reason="pynq is not installed here; this runs in the board environment")


@pytest.fixture
def board(bundle: Bundle, fast: FastAccelerator) -> Iterator[Twin]:
    """A board that outlives the runs on it."""
    with Twin.for_bundle(bundle, fast, port=0) as running:
        yield running


@pytest.fixture
def opened(bundle: Bundle, board: Twin, tmp_path: Path) -> Open:
    """Open the backend on that board, over a connection of its own."""
    from pynq.pl_server.remote_device import RemoteDevice

    def run(**settings: Any) -> PynqAccelerator:
        device = RemoteDevice(0, board.host, board.port)
        common = {"device": device, "own_device": True, "bit": Path(board.overlay), "lock_folder": tmp_path}
        return PynqAccelerator(bundle, **{**common, **settings})

    return run


def fresh_image(board: Twin, folder: Path, handoff: str) -> Path:
    """Write an image with its .hwh that pynq cannot know yet: by the .bit's hash it keeps what it read of the .hwh."""
    bit = folder / "fresh.bit"
    image = dataclasses.replace(board.board.model.image, name=f"fresh-{uuid.uuid4()}")
    bit.write_bytes(to_bit(image, board.board.model.part))
    bit.with_suffix(".hwh").write_text(handoff)
    return bit


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize(("count", "batch"), [(256, 100), (256, 256), (3, 1), (0, 4)])
def test_embeddings_are_the_fast_runners(
    opened: Open, fast: FastAccelerator, images: np.ndarray, overlap: bool, count: int, batch: int
) -> None:
    with opened(batch=batch, overlap=overlap) as accelerator:
        found = accelerator.embed(images[:count])
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, fast.embed(images[:count]))


def test_the_twin_backend_starts_its_own_board(bundle: Bundle, fast: FastAccelerator, images: np.ndarray) -> None:
    for _ in range(2):
        with TwinAccelerator(bundle) as accelerator:
            np.testing.assert_array_equal(accelerator.embed(images[:8]), fast.embed(images[:8]))
            assert accelerator.twin.frames == 8
            assert accelerator.twin.simulated_s == pytest.approx(bundle.seconds(8))


def test_backends_are_opened_by_name(bundle: Bundle, fast: FastAccelerator, images: np.ndarray) -> None:
    accelerator = open_accelerator("twin", bundle)
    assert (accelerator.name, accelerator.embed_dim) == ("twin", 384)
    np.testing.assert_array_equal(accelerator.embed(images[:2]), fast.embed(images[:2]))
    accelerator.close()  # type: ignore[attr-defined]
    with pytest.raises(AcceleratorError, match="expected a bundle"):
        open_accelerator("twin", bundle.network_file)
    with pytest.raises(BoardError, match="no bitstream in it"):
        open_accelerator("pynq", bundle)


def test_a_bundle_without_addresses_cannot_be_emulated(bundle: Bundle, fast: FastAccelerator) -> None:
    overlay = {**bundle.manifest["overlay"], "hwh": None}
    blind = dataclasses.replace(bundle, manifest={**bundle.manifest, "overlay": overlay})
    with pytest.raises(AcceleratorError, match=r"no \.hwh in it"):
        TwinAccelerator(blind, fast)


def test_realtime_takes_the_simulated_time(bundle: Bundle, fast: FastAccelerator, images: np.ndarray) -> None:
    with TwinAccelerator(bundle, fast, realtime=True) as accelerator:
        accelerator.embed(images[:1])
        started = time.monotonic()
        accelerator.embed(images)
        assert time.monotonic() - started >= bundle.seconds(256)  # a lower bound, so no load breaks it


def test_batches_of_a_stream_overlap_and_keep_their_order(
    opened: Open, fast: FastAccelerator, images: np.ndarray
) -> None:
    with opened(batch=50) as accelerator:
        parts = [part.copy() for part in accelerator.stream(images[i : i + 50] for i in range(0, 256, 50))]
    assert [len(p) for p in parts] == [50, 50, 50, 50, 50, 6]
    np.testing.assert_array_equal(np.concatenate(parts), fast.embed(images))


def test_a_stream_left_early_leaves_the_board_usable(opened: Open, fast: FastAccelerator, images: np.ndarray) -> None:
    with opened(batch=20) as accelerator:
        for _ in accelerator.stream(images[i : i + 20] for i in range(0, 200, 20)):
            break
        np.testing.assert_array_equal(accelerator.embed(images[:30]), fast.embed(images[:30]))


def test_wrong_images_are_refused_and_the_board_is_kept(
    opened: Open, fast: FastAccelerator, images: np.ndarray
) -> None:
    with opened(batch=10) as accelerator:
        for wrong in (images[:, :16], images.astype(np.int8), images[0]):
            with pytest.raises(BatchError, match=r"expected uint8 .*got"):
                accelerator.embed(wrong)
        with pytest.raises(BatchError, match="1 to 10"):
            list(accelerator.stream([images[:5], images[:11]]))
        np.testing.assert_array_equal(accelerator.embed(images[:30]), fast.embed(images[:30]))


FAULTS = [
    (Fault.TRANSFER_ERROR, BoardError, r"MM2S slave error"),
    (Fault.STUCK_DMA, BoardTimeoutError, r"expected 4 frames within 1 s.*MM2S_DMASR"),
    (Fault.SHORT_BUFFER, BoardTimeoutError, r"expected 4 frames within 1 s"),
    (Fault.DISCONNECT, BoardError, r"DMA: .*open the board again"),
    (Fault.SILENCE, BoardTimeoutError, r"no answer from the board in time"),
]


@pytest.mark.parametrize(("fault", "kind", "text"), FAULTS, ids=[f.value for f, _, _ in FAULTS])
def test_a_fault_is_named_in_time_and_the_next_run_succeeds(
    opened: Open,
    board: Twin,
    fast: FastAccelerator,
    images: np.ndarray,
    tmp_path: Path,
    fault: Fault,
    kind: type[BoardError],
    text: str,
) -> None:
    accelerator = opened(batch=4, timeout_s=1.0)
    np.testing.assert_array_equal(accelerator.embed(images[:6]), fast.embed(images[:6]))
    board.inject(fault)
    started = time.monotonic()
    with pytest.raises(kind, match=text) as caught:
        accelerator.embed(images[:12])
    assert time.monotonic() - started < 30  # 1 s of timeout, 5 s to give up a silent board, and a slow machine
    assert "\n" not in str(caught.value)
    with pytest.raises(BoardError, match="given back"):
        accelerator.embed(images[:1])
    lock = BoardLock(f"{board.host}:{board.port}", tmp_path)
    lock.acquire()
    lock.release()
    if fault in (Fault.DISCONNECT, Fault.SILENCE):
        board.reconnect()
    else:
        assert len(board.board.memory) == 0
    with opened(batch=4) as again:
        np.testing.assert_array_equal(again.embed(images[:12]), fast.embed(images[:12]))


def test_a_wrong_bitstream_is_refused_before_any_transfer(
    opened: Open, board: Twin, bundle: Bundle, fast: FastAccelerator, images: np.ndarray
) -> None:
    board.inject(Fault.WRONG_BITSTREAM)
    with pytest.raises(BoardError, match=f"expected {bundle.network_digest.hex()[:12]}…"):
        opened()
    assert board.frames == 0 and len(board.board.memory) == 0
    with opened() as accelerator:
        np.testing.assert_array_equal(accelerator.embed(images[:2]), fast.embed(images[:2]))


def test_too_little_memory_is_an_error_that_frees_what_there_was(opened: Open, board: Twin) -> None:
    with pytest.raises(BoardError, match="no memory for batches of 20000 frames"):
        opened(batch=20_000)
    assert len(board.board.memory) == 0


@pytest.mark.parametrize("batch", [0, 1 << 20])
def test_a_batch_no_transfer_can_hold_is_refused(opened: Open, batch: int) -> None:
    with pytest.raises(BoardError, match=r"batch: expected 1 to 21845 frames"):
        opened(batch=batch)


def test_a_loaded_bitstream_is_kept_if_asked(
    opened: Open, board: Twin, bundle: Bundle, fast: FastAccelerator, images: np.ndarray, tmp_path: Path
) -> None:
    assert bundle.hwh is not None
    bit = fresh_image(board, tmp_path, bundle.hwh.read_text())
    opened(bit=bit).close()
    for _ in range(2):
        with opened(bit=bit, reuse=True) as accelerator:
            np.testing.assert_array_equal(accelerator.embed(images[:2]), fast.embed(images[:2]))
    assert board.board.configured == 1
    board.board.reset()  # switched off and on: what pynq recorded is no longer true
    with opened(bit=bit, reuse=True) as accelerator:
        np.testing.assert_array_equal(accelerator.embed(images[:2]), fast.embed(images[:2]))
    assert board.board.configured == 2
    opened(bit=bit).close()
    assert board.board.configured == 3


def test_a_handoff_without_frequencies_as_vivado_writes_it(
    opened: Open, board: Twin, bundle: Bundle, fast: FastAccelerator, images: np.ndarray, tmp_path: Path
) -> None:
    assert bundle.hwh is not None
    lines = bundle.hwh.read_text().splitlines(keepends=True)
    handoff = "".join(line for line in lines if "ACT_FREQMHZ" not in line)
    with opened(bit=fresh_image(board, tmp_path, handoff)) as accelerator:
        np.testing.assert_array_equal(accelerator.embed(images[:2]), fast.embed(images[:2]))
    assert board.board.clocks.fabric_mhz() == pytest.approx(bundle.clk_mhz)


def test_a_board_that_is_not_there(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYNQ_REMOTE_DEVICES", "127.0.0.77")
    with pytest.raises(BoardError, match="board not opened: Failed to connect"):
        PynqAccelerator(bundle, bit=Path("any.bit"))


def test_the_second_in_this_process_is_told(opened: Open) -> None:
    with opened(), pytest.raises(BoardBusyError, match="in use by this process"):
        opened()
    opened().close()


HOLDER = """
import sys
from pathlib import Path
from spikeclip_fpga.host.board_lock import BoardLock
lock = BoardLock(sys.argv[1], Path(sys.argv[2]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_told_who_holds_the_board(opened: Open, board: Twin, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, f"{board.host}:{board.port}", str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(BoardBusyError, match=rf"in use by process {holder.pid} \(-c\) of .+ since 20"):
            opened()
        holder.kill()
    opened().close()  # the kernel gave it back, though the holder could not


class _Mallinfo2(ctypes.Structure):
    """glibc's struct mallinfo2: what malloc has given out and not got back, over all its arenas."""

    _fields_: ClassVar = [("fields", ctypes.c_size_t * 10)]


def malloced() -> int:
    """Return the bytes malloc holds for this process. Resident memory would also count what malloc keeps for reuse,
    which grows by tens of MB at moments that only gRPC's threads decide (seen: 18 MB after 1,200 batches)."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo2
    fields = mallinfo2().fields
    hblkhd, uordblks = fields[4], fields[7]  # mapped, and from the heaps
    return int(hblkhd + uordblks)


def test_malloced_sees_what_is_held_and_what_is_freed() -> None:
    before = malloced()
    held = np.ones(5 << 20, np.uint8)
    assert malloced() - before == pytest.approx(held.nbytes, abs=1 << 20)
    del held
    assert malloced() - before == pytest.approx(0, abs=1 << 20)


def test_ten_thousand_classifications_need_no_more_memory(
    opened: Open, board: Twin, fast: FastAccelerator, images: np.ndarray
) -> None:
    expected = fast.embed(images)
    held, objects = np.zeros(40), np.zeros(40)
    with opened() as accelerator:
        for i in range(40):
            np.testing.assert_array_equal(accelerator.embed(images), expected)
            held[i], objects[i] = malloced(), sys.getallocatedblocks()
    assert board.frames == 40 * 256
    # The emulator's messages of 0.8 MB are on the way at random, hence medians: of batches 8 to 23 and 24 to 39.
    assert np.median(held[24:]) - np.median(held[8:24]) < 1 << 20, held.astype(int).tolist()  # 256 bytes an image
    assert np.median(objects[24:]) - np.median(objects[8:24]) < 16 * 256, objects.astype(int).tolist()
