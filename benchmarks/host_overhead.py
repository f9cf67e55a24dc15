"""Measure what the host adds to each image: packing, starting and awaiting a batch, unpacking.

The backend and pynq are the real ones; the accelerator behind the emulated registers answers at once with results
computed before, and the time inside it is taken off. Once with the emulated board in the client's memory, which is
how registers and buffers are reached on a board, and once through gRPC, as the twin is. Beside it the packing of
finn-plus-driver (or finn-plus, which has the same), on the same data. In turns; medians of all rounds.

  .venv-board/bin/python benchmarks/host_overhead.py --bundle FOLDER [--batch 256] [--rounds 40] [--json out.json]
                                                     [--finn-python PYTHON]

--finn-python: an interpreter that has finn-plus-driver or finn-plus, if this one has not.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TARGET_US = 20.0
FINN = """
import json, statistics, sys, time
import numpy as np
from qonnx.core.datatype import DataType
try:
    from finn_plus_driver import packing
    name = "finn-plus-driver"
except ImportError:
    from finn.util import data_packing as packing
    name = "finn-plus"
batch, rounds = int(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (batch, 32, 32, 3)).astype(np.uint8)
results = rng.integers(-(1 << 17), 1 << 17, (batch, 384)).astype(np.int32)
int32 = results.view(np.uint8).reshape(batch, 384, 4)
int18 = np.ascontiguousarray(int32[..., :3])
buffer = np.empty((batch, 3072, 1), np.uint8)
rev = dict(reverse_inner=True, reverse_endian=True)
def pack():
    signed = (images ^ np.uint8(0x80)).view(np.int8).reshape(batch, 3072, 1)
    np.copyto(buffer, packing.finnpy_to_packed_bytearray(signed, DataType["INT8"], **rev))
works = {
    "pack INT8": pack,
    "unpack INT32": lambda: packing.packed_bytearray_to_finnpy(int32, DataType["INT32"], (batch, 384, 1), **rev),
    "unpack INT18": lambda: packing.packed_bytearray_to_finnpy(int18, DataType["INT18"], (batch, 384, 1), **rev),
}
taken = {key: [] for key in works}
for _ in range(rounds):
    for key, work in works.items():
        start = time.perf_counter()
        work()
        taken[key].append(time.perf_counter() - start)
print(json.dumps({"name": name, **{k: statistics.median(v) / batch * 1e6 for k, v in taken.items()}}))
"""


class Instant:
    """An accelerator that knows the answer, and how long it was busy giving it."""

    name = "instant"

    def __init__(self, answers: np.ndarray) -> None:
        self.answers, self.embed_dim, self.seconds = answers, answers.shape[1], 0.0

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Return the first answers."""
        start = time.perf_counter()
        found = self.answers[: len(images)]
        self.seconds += time.perf_counter() - start
        return found


def memory_device(board: Any) -> Any:
    """Return a pynq Device whose registers and buffers are those of ``board``, in this process."""
    from pynq.pl_server import Device
    from pynq.pl_server.embedded_device import bit2bin
    from pynqmetadata.frontends import Metadata
    from pynqmetadata.views.runtime import RuntimeMetadataParser

    class Buffer(np.ndarray):
        """A buffer as pynq gives it, on the processor's view of the board's memory."""

        def __array_finalize__(self, other: Any) -> None:
            self.key = getattr(other, "key", None)

        @property
        def physical_address(self) -> int:
            return int(board.memory.address(self.key))

        def flush(self) -> None:
            board.memory.flush(self.key)

        def invalidate(self) -> None:
            board.memory.invalidate(self.key)

        def freebuffer(self) -> None:
            board.memory.free(self.key)

    class MemoryDevice(Device):  # type: ignore[misc]
        """Registers by function call, in place of a mapped page."""

        def __init__(self) -> None:
            super().__init__("in-memory")
            self.arch, self.name, self.capabilities = board.clocks.arch, board.model.board, {"REGISTER_RW": True}

        def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
            parser = RuntimeMetadataParser(Metadata(input=Path(bitfile_name).with_suffix(".hwh")))
            parser.bin_data = bit2bin(Path(bitfile_name).read_bytes())
            return parser

        def download(self, bitstream: Any, parser: Any = None) -> None:
            board.configure(parser.bin_data)
            self.post_download(bitstream, parser, self.name)

        def read_registers(self, address: int, length: int) -> bytes:
            return b"".join(board.read(address + i).to_bytes(4, "little") for i in range(0, length, 4))

        def write_registers(self, address: int, data: bytes) -> None:
            for i in range(0, len(data), 4):
                board.write(address + i, int.from_bytes(data[i : i + 4], "little"))

        def allocate(self, shape: Any, dtype: Any, **_: Any) -> Any:
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            key = board.memory.allocate(size)
            buffer = board.memory.cpu(key).view(dtype).reshape(shape).view(Buffer)
            buffer.key = key
            return buffer

    return MemoryDevice()


def timed(work: Callable[[], object]) -> float:
    """Return the seconds one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(bundle: Any, batch: int, rounds: int) -> dict[str, float]:
    """Return microseconds per image: medians over ``rounds``."""
    from spikeclip_fpga.host.pack import pack, unpack
    from spikeclip_fpga.host.pynq_backend import PynqAccelerator
    from spikeclip_fpga.host.twin.board import Board
    from spikeclip_fpga.host.twin.server import model_of, write_overlay
    from spikeclip_fpga.host.twin_backend import TwinAccelerator

    rng = np.random.default_rng(0)
    model = model_of(bundle)
    images = rng.integers(0, 256, (batch, *model.shape)).astype(np.uint8)
    answers = rng.integers(-(1 << 17), 1 << 17, (batch, model.elements))
    behind = Instant(answers)
    packed, found = np.empty_like(images), np.empty(answers.shape, np.int64)
    results = answers.astype(np.int32)
    board = Board(model, behind.embed)
    taken: dict[str, list[float]] = {key: [] for key in ("pack", "unpack", "all, in memory", "all, through gRPC")}
    with tempfile.TemporaryDirectory() as folder:
        bit = write_overlay(model, bundle.hwh, Path(folder))
        local = PynqAccelerator(
            bundle, batch=batch, device=memory_device(board), bit=bit, reuse=False, lock_folder=Path(folder)
        )
        with local, TwinAccelerator(bundle, behind, batch=batch) as remote:
            for _ in range(rounds):
                taken["pack"].append(timed(lambda: pack(images, packed)))
                taken["unpack"].append(timed(lambda: unpack(results, found)))
                for key, accelerator in (("all, in memory", local), ("all, through gRPC", remote)):
                    behind.seconds = 0.0
                    start = time.perf_counter()
                    given = accelerator.embed(images)
                    taken[key].append(time.perf_counter() - start - behind.seconds)
                    if not np.array_equal(given, answers):
                        raise SystemExit(f"{key}: the embeddings are not those of the accelerator")
    board.close()
    return {key: statistics.median(values) / batch * 1e6 for key, values in taken.items()}


def finn_packing(python: str, batch: int, rounds: int) -> dict[str, Any] | str:
    """Return FINN's microseconds per image in interpreter ``python``, or why there are none."""
    done = subprocess.run([python, "-c", FINN, str(batch), str(rounds)], capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return dict(json.loads(done.stdout))


def main() -> None:
    """Measure and print."""
    from spikeclip_fpga.host.bundle import open_bundle

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--finn-python", default=sys.executable)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    bundle = open_bundle(args.bundle)
    found = measure(bundle, args.batch, args.rounds)
    finn = finn_packing(args.finn_python, args.batch, max(3, args.rounds // 4))
    print(f"{bundle.name}, batch {args.batch}, {platform.machine()}, numpy {np.__version__}; us per image")
    for key, value in found.items():
        print(f"  {key:<30} {value:8.2f}")
    if isinstance(finn, str):
        print(f"  FINN's packing: not measured ({finn})")
    else:
        for key in ("pack INT8", "unpack INT32", "unpack INT18"):
            print(f"  {finn['name'] + ' ' + key:<30} {finn[key]:8.2f}")
    good = found["all, in memory"] < TARGET_US
    print(f"target: below {TARGET_US:g} us, in memory: {'met' if good else 'MISSED'}")
    if args.json:
        args.json.write_text(json.dumps({"ours": found, "finn": finn, "batch": args.batch}, indent=2) + "\n")


if __name__ == "__main__":
    main()
