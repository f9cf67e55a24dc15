"""Contiguous memory: what pynq.allocate gives, with the processor's caches between it and the DMA.

A buffer has two copies: the processor's view (its cache) and the memory that the DMA reaches. flush copies the
first to the second, invalidate the second to the first. Who forgets one, as on a board, sees old data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PAGE = 4096
# Where Linux's contiguous allocator sits on a PYNQ-Z2: the upper part of 512 MB, 128 MB of it.
BASE, SIZE = 0x1000_0000, 128 << 20


class TwinMemoryError(RuntimeError):
    """A buffer that is not there or does not fit; one line."""


class DecodeError(RuntimeError):
    """An address that no buffer holds."""


@dataclass
class _Buffer:
    address: int
    cpu: np.ndarray
    ddr: np.ndarray


class ContiguousMemory:
    """Buffers by id. Its user serialises calls. base, size: of the region, in bytes."""

    def __init__(self, base: int = BASE, size: int = SIZE) -> None:
        self._base, self._size = base, size
        self._buffers: dict[str, _Buffer] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._buffers)

    @property
    def used(self) -> int:
        """Return the bytes allocated."""
        return sum(b.cpu.nbytes for b in self._buffers.values())

    def allocate(self, size: int) -> str:
        """Return the id of a new buffer of ``size`` bytes. Raises TwinMemoryError if it does not fit."""
        if size <= 0:
            raise TwinMemoryError(f"allocate: expected 1 byte or more, got {size}")
        address, end = self._base, self._base + self._size
        for other in sorted(self._buffers.values(), key=lambda b: b.address):  # first fit
            if other.address - address >= size:
                break
            address = -(-(other.address + other.cpu.nbytes) // PAGE) * PAGE
        if address + size > end:
            raise TwinMemoryError(f"allocate: no {size} contiguous bytes left of {self._size}; free buffers")
        self._next += 1
        name = f"buffer-{self._next}"
        self._buffers[name] = _Buffer(address, np.zeros(size, np.uint8), np.zeros(size, np.uint8))
        return name

    def free(self, name: str) -> None:
        """Give a buffer back. Raises TwinMemoryError if there is none of that id."""
        self._find(name)
        del self._buffers[name]

    def clear(self) -> None:
        """Give all buffers back."""
        self._buffers.clear()

    def address(self, name: str) -> int:
        """Return a buffer's physical address."""
        return self._find(name).address

    def size(self, name: str) -> int:
        """Return a buffer's size in bytes."""
        return int(self._find(name).cpu.nbytes)

    def cpu(self, name: str) -> np.ndarray:
        """Return the processor's view of a buffer, to be written in place."""
        return self._find(name).cpu

    def write(self, name: str, start: int, data: bytes) -> None:
        """Write to the processor's view of a buffer."""
        buffer = self._find(name)
        if start < 0 or start + len(data) > buffer.cpu.nbytes:
            raise TwinMemoryError(f"{name}: {len(data)} bytes at {start} do not fit its {buffer.cpu.nbytes}")
        buffer.cpu[start : start + len(data)] = np.frombuffer(data, np.uint8)

    def read(self, name: str, start: int, end: int) -> bytes:
        """Return bytes ``start`` to ``end`` of the processor's view of a buffer."""
        buffer = self._find(name)
        if not 0 <= start <= end <= buffer.cpu.nbytes:
            raise TwinMemoryError(f"{name}: bytes {start} to {end} are not in its {buffer.cpu.nbytes}")
        return buffer.cpu[start:end].tobytes()

    def flush(self, name: str) -> None:
        """Copy the processor's view to memory."""
        buffer = self._find(name)
        np.copyto(buffer.ddr, buffer.cpu)

    def invalidate(self, name: str) -> None:
        """Copy memory to the processor's view."""
        buffer = self._find(name)
        np.copyto(buffer.cpu, buffer.ddr)

    def reach(self, address: int, length: int) -> np.ndarray:
        """Return a writable view of memory, as the DMA sees it. Raises DecodeError outside of one buffer."""
        for buffer in self._buffers.values():
            start = address - buffer.address
            if start >= 0 and start + length <= buffer.ddr.nbytes:
                return buffer.ddr[start : start + length]
        raise DecodeError(f"{length} bytes at {address:#x} are in no buffer")

    def _find(self, name: str) -> _Buffer:
        if name not in self._buffers:
            raise TwinMemoryError(f"{name!r}: no such buffer; allocate it first, and use none that was freed")
        return self._buffers[name]
