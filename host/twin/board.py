"""The emulated board: address map, clocks, files, and the fabric that a bitstream configures."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from ..accelerator import AcceleratorError
from .dma import Dma
from .faults import Fault, Faults
from .image import Image, ImageError, from_bin
from .memory import ContiguousMemory
from .pipeline import Embed, Pipeline, Timing
from .processor import Clocks, clocks_of

MAGIC, SCHEMA = 0x53434C50, 1
_WORD = 0xFFFF_FFFF
FIRMWARE = "/lib/firmware/"
_MANAGER = "/sys/class/fpga_manager/fpga0/"
_FILE_LIMIT = 64 << 20  # a bitstream of the largest Zynq part has 30 MB


class TwinError(AcceleratorError):
    """A twin that cannot be started, or a request a board would not survive; one line."""


@dataclass(frozen=True)
class Map:
    """Where the design's registers are: (base, size) of the DMA and of the ID block."""

    dma: tuple[int, int]
    identity: tuple[int, int]

    @classmethod
    def read(cls, hwh: Path, dma: str, identity: str) -> Map:
        """Return the map that the .hwh file gives the instances of these names. Raises TwinError."""
        try:
            ranges = {
                str(r.get("INSTANCE")): (int(str(r.get("BASEVALUE")), 16), int(str(r.get("HIGHVALUE")), 16))
                for r in ElementTree.parse(hwh).iter("MEMRANGE")
                if r.get("MEMTYPE") == "REGISTER"
            }
            found = [(low, high - low + 1) for low, high in (ranges[dma], ranges[identity])]
        except (OSError, ValueError, KeyError, ElementTree.ParseError) as error:
            raise TwinError(f"{hwh}: no .hwh with registers of {dma} and {identity} ({error})") from error
        return cls(found[0], found[1])


@dataclass(frozen=True)
class Model:
    """What is emulated. board, part: their names. network: SHA-256 of the integer network, 32 bytes.

    shape: of an image, (H, W, C). elements: of an embedding. clk_mhz: the design's clock.
    """

    name: str
    board: str
    part: str
    network: bytes
    hwh: str
    map: Map
    shape: tuple[int, ...]
    elements: int
    xor: int
    clk_mhz: float
    timing: Timing

    @property
    def image(self) -> Image:
        """Return the emulation image that configures a board as this."""
        return Image(self.network, self.name, self.hwh)


class Board:
    """One board. Every method may be called from any thread. embed: as of Pipeline."""

    def __init__(self, model: Model, embed: Embed, realtime: bool = False) -> None:
        self.model, self.faults = model, Faults()
        self.changed = threading.Condition()
        self.memory, self.clocks = ContiguousMemory(), clocks_of(model.part)
        self._pipeline = Pipeline(embed, model.shape, model.elements, model.xor)
        self.dma = Dma(
            self.memory, self._pipeline, model.timing, self.faults, self.changed, self.clocks.fabric_mhz, realtime
        )
        self._identity: bytes | None = None  # of the network in the fabric; None: not configured
        self.configured = 0
        self._files = {
            "/proc/version": f"Linux version 6.6 (spikeclip twin, emulated) {self.clocks.arch}\n".encode(),
            "/proc/device-tree/chosen/pynq_board": model.board.encode() + b"\0",
            _MANAGER + "state": b"unknown\n",
            _MANAGER + "flags": b"0\n",
        }

    def close(self) -> None:
        """End the board's threads."""
        self.dma.close()

    @property
    def simulated_s(self) -> float:
        """Return the simulated seconds of all batches so far."""
        with self.changed:
            return self.dma.simulated_s

    @property
    def frames(self) -> int:
        """Return the frames completed since the fabric was configured."""
        with self.changed:
            return self._pipeline.frames

    def exists(self, path: str) -> bool:
        """Return whether the board's file system, which is this object's, has such a file."""
        with self.changed:
            return path in self._files

    def read_file(self, path: str) -> bytes:
        """Return a file's content. Raises TwinError if there is none."""
        with self.changed:
            if path not in self._files:
                raise TwinError(f"{path}: no such file on the emulated board")
            return self._files[path]

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file; to the FPGA manager's ``firmware``, configure the fabric. Raises TwinError."""
        if len(data) > _FILE_LIMIT:
            raise TwinError(f"{path}: {len(data)} bytes, the emulated board takes {_FILE_LIMIT}")
        if path == _MANAGER + "firmware":
            self.configure(self.read_file(FIRMWARE + data.decode("utf-8", "replace").strip()))
            return
        if not path.startswith((FIRMWARE, _MANAGER + "flags")):
            raise TwinError(f"{path}: the emulated board lets only {FIRMWARE} be written")
        with self.changed:
            self._files[path] = data

    def configure(self, data: bytes) -> None:
        """Configure the fabric with an emulation image in .bin form. Raises TwinError if it is anything else."""
        try:
            image = from_bin(data)
        except ImageError as error:
            raise TwinError(f"{self.model.name}: {error}") from error
        if image.network != self.model.network:
            raise TwinError(
                f"{image.name}: its network {image.network.hex()[:12]}… is not the one behind this board, "
                f"{self.model.network.hex()[:12]}…; start the twin with that bundle"
            )
        with self.changed:
            wrong = self.faults.strikes(Fault.WRONG_BITSTREAM)
            self._identity = bytes(b ^ 0xFF for b in image.network) if wrong else image.network
            self._pipeline.reset()
            self.dma.reset()
            self.configured += 1
            self._files[_MANAGER + "state"] = b"operating\n"

    def reset(self) -> None:
        """Switch off and on: no buffers, no configuration; files stay."""
        with self.changed:
            self._identity = None
            self._pipeline.reset()
            self.dma.reset()
            self.memory.clear()
            self._files[_MANAGER + "state"] = b"unknown\n"

    def read(self, address: int) -> int:
        """Return the 32-bit word at ``address``. Raises TwinError where nothing answers."""
        with self.changed:
            block, offset = self._decode(address)
            if block is self.dma:
                return self.dma.read(offset)
            if block is self.clocks:
                return self.clocks.read(address)
            return self._read_identity(offset)

    def write(self, address: int, value: int) -> None:
        """Write the 32-bit word at ``address``. Raises TwinError where nothing answers."""
        with self.changed:
            block, offset = self._decode(address)
            if block is self.dma:
                self.dma.write(offset, value)
            elif block is self.clocks:
                self.clocks.write(address, value)

    def _decode(self, address: int) -> tuple[Dma | Clocks | None, int]:
        """Return the block at ``address`` (None: the ID block) and the offset in it."""
        if self.clocks.holds(address):
            return self.clocks, 0
        for (base, size), block in ((self.model.map.dma, self.dma), (self.model.map.identity, None)):
            if base <= address < base + size and self._identity is not None:
                return block, address - base
        why = "the fabric is not configured" if self._identity is None else "nothing is there"
        raise TwinError(f"bus error at {address:#010x}: {why}")

    def _read_identity(self, offset: int) -> int:
        assert self._identity is not None
        words = [MAGIC, SCHEMA, *(int.from_bytes(self._identity[i : i + 4], "little") for i in range(0, 32, 4))]
        words += [self._pipeline.frames & _WORD, self._pipeline.state]
        return words[offset // 4] if offset // 4 < len(words) else 0
