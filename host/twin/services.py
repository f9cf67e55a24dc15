"""PYNQ's remote-device protocol: the three services a client of Overlay, MMIO and allocate calls.

Errors of MMIO and buffers travel in the answer's ``msg``, as pynq expects; those of files as a gRPC status, since
their answers have no such field.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from pynq.remote import (
    buffer_pb2,
    buffer_pb2_grpc,
    mmio_pb2,
    mmio_pb2_grpc,
    remote_device_pb2,
    remote_device_pb2_grpc,
)

from .board import FIRMWARE, Board, TwinError
from .dma import LENGTH
from .faults import Fault
from .memory import TwinMemoryError

CHUNK = 2 << 20  # below gRPC's 4 MB limit of a message, and what pynq itself sends


class Line:
    """The connection: on a fault it is cut (DISCONNECT), or holds every answer until the end (SILENCE)."""

    cut: Callable[[], None]

    def __init__(self, board: Board) -> None:
        self._board = board
        self._silent, self._over = False, threading.Event()

    def end(self) -> None:
        """Let held calls go, since the server ends."""
        self._over.set()

    def pass_call(self, context: Any, starts_transfer: bool = False) -> None:
        """Return, or hold the call until the server ends; ``starts_transfer``: whether silence may begin with it."""
        if starts_transfer and self._board.faults.strikes(Fault.SILENCE):
            self._silent = True
        if self._silent:
            self._over.wait()
            context.abort(grpc.StatusCode.UNAVAILABLE, "silent until the server ended")

    def pass_answer(self, context: Any, started_transfer: bool) -> None:
        """Return, or cut the connection in place of the answer to what started a transfer."""
        if started_transfer and self._board.faults.strikes(Fault.DISCONNECT):
            self.cut()
            context.abort(grpc.StatusCode.UNAVAILABLE, "disconnected")


class DeviceService(remote_device_pb2_grpc.RemoteDeviceServicer):
    """Files, which load the bitstream, and clocks."""

    def __init__(self, board: Board, line: Line) -> None:
        self._board, self._line = board, line
        self._name = "remote.bin"

    def set_bitstream_attrs(self, request: Any, context: Any) -> Any:
        """Take the name of the bitstream to come; partial ones are refused."""
        self._line.pass_call(context)
        self._name = request.binfile_name
        return remote_device_pb2.SetBitstreamAttrsResponse(status=not request.partial)

    def download(self, request_iterator: Any, context: Any) -> Any:
        """Configure the fabric with the data streamed."""
        self._line.pass_call(context)
        self._write(context, FIRMWARE + self._name, b"".join(r.buffer for r in request_iterator))
        self._write(context, "/sys/class/fpga_manager/fpga0/firmware", self._name.encode())
        return remote_device_pb2.DownloadResponse(status=True)

    def set_pl_clk(self, request: Any, context: Any) -> Any:
        """Set the divisors of a fabric clock."""
        self._line.pass_call(context)
        valid = 0 <= request.i < 4 and 0 < request.div0 < 64 and 0 < request.div1 < 64
        if valid:
            with self._board.changed:
                self._board.clocks.set_fabric(request.i, (request.div0, request.div1))
        return remote_device_pb2.SetPlClkResponse(status=valid)

    def shutdown(self, request: Any, context: Any) -> Any:
        """Prepare for another bitstream: nothing has to be shut down here."""
        self._line.pass_call(context)
        return remote_device_pb2.ShutdownResponse(status=True)

    def readfile(self, request: Any, context: Any) -> Iterator[Any]:
        """Stream a file of the emulated board."""
        self._line.pass_call(context)
        try:
            data = self._board.read_file(request.file_path)
        except TwinError as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        for start in range(0, len(data), CHUNK):
            yield remote_device_pb2.ReadFileResponse(data=data[start : start + CHUNK])

    def writefile(self, request_iterator: Any, context: Any) -> Any:
        """Write a file of the emulated board, in pieces; the FPGA manager's configures the fabric."""
        self._line.pass_call(context)
        path, pieces = "", []
        for request in request_iterator:
            path = request.file_path
            pieces.append(request.data)
        self._write(context, path, b"".join(pieces))
        return remote_device_pb2.WriteFileResponse()

    def existsfile(self, request: Any, context: Any) -> Any:
        """Tell whether the emulated board has a file."""
        self._line.pass_call(context)
        return remote_device_pb2.ExistsFileResponse(exists=self._board.exists(request.file_path))

    def _write(self, context: Any, path: str, data: bytes) -> None:
        try:
            self._board.write_file(path, data)
        except TwinError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))


class MmioService(mmio_pb2_grpc.MmioServicer):
    """Registers. An id says its own base and length, so that it outlives the server."""

    def __init__(self, board: Board, line: Line) -> None:
        self._board, self._line = board, line
        self._starts = board.model.map.dma[0] + LENGTH

    def get_mmio(self, request: Any, context: Any) -> Any:
        """Map ``length`` bytes at ``base_addr``."""
        self._line.pass_call(context)
        if request.base_addr % 4 or request.length == 0:
            return mmio_pb2.GetMmioResponse(msg=f"mmio: cannot map {request.length} bytes at {request.base_addr:#x}")
        return mmio_pb2.GetMmioResponse(status=True, mmio_id=f"{request.base_addr:x}+{request.length:x}")

    def read(self, request: Any, context: Any) -> Any:
        """Read 1, 2 or 4 bytes of a register."""
        self._line.pass_call(context)
        try:
            word = self._board.read(self._address(request.mmio_id, request.offset, 4))
        except TwinError as error:
            return mmio_pb2.ReadResponse(msg=str(error))
        return mmio_pb2.ReadResponse(status=True, data=word & ((1 << 8 * min(request.length, 4)) - 1))

    def write(self, request: Any, context: Any) -> Any:
        """Write words, one after the other."""
        try:
            address = self._address(request.mmio_id, request.offset, len(request.data))
            starts = address == self._starts
            self._line.pass_call(context, starts)
            for i in range(0, len(request.data), 4):
                self._board.write(address + i, int.from_bytes(request.data[i : i + 4], "little"))
        except TwinError as error:
            return mmio_pb2.WriteResponse(msg=str(error))
        self._line.pass_answer(context, starts)
        return mmio_pb2.WriteResponse(status=True)

    @staticmethod
    def _address(mmio_id: str, offset: int, size: int) -> int:
        try:
            base, length = (int(part, 16) for part in mmio_id.split("+"))
        except ValueError as error:
            raise TwinError(f"mmio {mmio_id!r}: no such mapping") from error
        if offset + size > length:
            raise TwinError(f"mmio {mmio_id}: {size} bytes at offset {offset:#x} are outside of it")
        return base + offset


class BufferService(buffer_pb2_grpc.RemoteBufferServicer):
    """Contiguous buffers."""

    def __init__(self, board: Board, line: Line) -> None:
        self._board, self._line = board, line

    def allocate(self, request: Any, context: Any) -> Any:
        """Allocate ``size`` bytes."""
        self._line.pass_call(context)
        with self._board.changed:
            try:
                return buffer_pb2.AllocateResponse(buffer_id=self._board.memory.allocate(request.size))
            except TwinMemoryError as error:
                return buffer_pb2.AllocateResponse(msg=str(error))

    def write(self, request_iterator: Any, context: Any) -> Any:
        """Write pieces one after the other, from the first's ``start``."""
        self._line.pass_call(context)
        position = None
        for request in request_iterator:
            position = request.start if position is None else position
            with self._board.changed:
                try:
                    self._board.memory.write(request.buffer_id, position, request.data)
                except TwinMemoryError as error:
                    return buffer_pb2.BufferWriteResponse(msg=str(error))
            position += len(request.data)
        return buffer_pb2.BufferWriteResponse()

    def read(self, request: Any, context: Any) -> Iterator[Any]:
        """Stream bytes ``start`` to ``end``; 0 as the end is the buffer's."""
        self._line.pass_call(context)
        try:
            with self._board.changed:
                memory = self._board.memory
                data = memory.read(request.buffer_id, request.start, request.end or memory.size(request.buffer_id))
        except TwinMemoryError as error:
            yield buffer_pb2.BufferReadResponse(msg=str(error))
            return
        for start in range(0, len(data), CHUNK):
            yield buffer_pb2.BufferReadResponse(data=data[start : start + CHUNK])

    def freebuffer(self, request: Any, context: Any) -> Any:
        """Give a buffer back."""
        return self._call(context, buffer_pb2.FreeBufferResponse, self._board.memory.free, request)

    def flush(self, request: Any, context: Any) -> Any:
        """Bring the processor's view to memory."""
        return self._call(context, buffer_pb2.FlushResponse, self._board.memory.flush, request)

    def invalidate(self, request: Any, context: Any) -> Any:
        """Bring memory to the processor's view."""
        return self._call(context, buffer_pb2.InvalidateResponse, self._board.memory.invalidate, request)

    def physical_address(self, request: Any, context: Any) -> Any:
        """Return the address the DMA uses."""
        return self._call(context, buffer_pb2.AddressResponse, self._board.memory.address, request, "address")

    def virtual_address(self, request: Any, context: Any) -> Any:
        """Return an address in the server's process: here the physical one, for nobody can use it."""
        return self._call(context, buffer_pb2.AddressResponse, self._board.memory.address, request, "address")

    def cacheable(self, request: Any, context: Any) -> Any:
        """Tell that every buffer is cached."""
        self._line.pass_call(context)
        return buffer_pb2.CacheableResponse(cacheable=True)

    def _call(
        self, context: Any, response: Any, method: Callable[[str], Any], request: Any, field: str | None = None
    ) -> Any:
        self._line.pass_call(context)
        try:
            with self._board.changed:
                value = method(request.buffer_id)
        except TwinMemoryError as error:
            return response(msg=str(error))
        return response(**({} if field is None else {field: value}))


def add_services(server: Any, board: Board, line: Line) -> None:
    """Register all three services of ``board`` with a gRPC server."""
    remote_device_pb2_grpc.add_RemoteDeviceServicer_to_server(DeviceService(board, line), server)
    mmio_pb2_grpc.add_MmioServicer_to_server(MmioService(board, line), server)
    buffer_pb2_grpc.add_RemoteBufferServicer_to_server(BufferService(board, line), server)
