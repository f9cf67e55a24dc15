"""The twin as a server: a board behind PYNQ's protocol on a loopback address, and the overlay files for clients."""

from __future__ import annotations

import ipaddress
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .board import Board, Map, Model, TwinError
from .faults import Fault
from .image import file_hash, to_bit
from .pipeline import Timing

if TYPE_CHECKING:
    from spikeclip_fpga.host.accelerator import Accelerator
    from spikeclip_fpga.host.bundle import Bundle

PORT = 7967  # pynq's; the environment variable PYNQ_REMOTE_DEVICES can name an address, but no port
OVERLAY = "emulation.bit"
# Any address in 127.0.0.0/8 is this machine's: several twins can have the one port.
_ADDRESSES = [f"127.0.0.{i}" for i in range(1, 33)]
_WORKERS = 16


def model_of(bundle: Bundle) -> Model:
    """Return what a bundle says of the board to emulate. Raises TwinError if it holds no .hwh."""
    content = bundle.manifest
    if bundle.hwh is None:
        raise TwinError(f"{bundle.folder}: no .hwh in it, so the registers' addresses are not known; pack one with it")
    return Model(
        name=bundle.name,
        board=bundle.board,
        part=str(content["part"]),
        network=bundle.network_digest,
        hwh=file_hash(bundle.hwh.read_text(encoding="utf-8")),
        map=Map.read(bundle.hwh, content["overlay"]["dma"], content["overlay"]["id"]),
        shape=tuple(content["input"]["shape"]),
        elements=int(content["output"]["shape"][0]),
        xor=int(content["input"]["xor"]),
        clk_mhz=bundle.clk_mhz,
        timing=Timing(bundle.latency_cycles, bundle.cycles_per_frame),
    )


class Twin:
    """A running twin; a context manager. host: the loopback address, None for the first free one.

    port 0 is any free one (only for clients that name the port themselves). Raises TwinError if the address is
    not of this machine alone, or in use.
    """

    def __init__(self, board: Board, hwh: Path, *, host: str | None = None, port: int = PORT) -> None:
        self.board = board
        self._line: Any = None
        self._server: Any = None
        self._folder = tempfile.TemporaryDirectory(prefix="spikeclip-twin-")
        write_overlay(board.model, hwh, Path(self._folder.name))
        try:
            self.host, self.port = self._listen([host] if host else _ADDRESSES, port)
        except BaseException:
            self.close()
            raise

    @classmethod
    def for_bundle(
        cls,
        bundle: Bundle,
        accelerator: Accelerator,
        *,
        host: str | None = None,
        port: int = PORT,
        realtime: bool = False,
    ) -> Twin:
        """Return a running twin of the board in ``bundle``, with ``accelerator`` as its fabric.

        ``realtime``: a batch takes at least its simulated time; otherwise that is only added up (simulated_s).
        """
        model = model_of(bundle)
        assert bundle.hwh is not None
        return cls(Board(model, accelerator.embed, realtime), bundle.hwh, host=host, port=port)

    def __enter__(self) -> Twin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def overlay(self) -> str:
        """Return the path of the emulation image, for pynq.Overlay; its .hwh lies beside it."""
        return str(Path(self._folder.name) / OVERLAY)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variable that makes a new process's pynq find this twin.

        Raises TwinError at another port than pynq's, which no variable can name.
        """
        if self.port != PORT:
            raise TwinError(f"{self.host}:{self.port}: pynq looks at port {PORT} only; start the twin at that port")
        return {"PYNQ_REMOTE_DEVICES": self.host}

    @property
    def simulated_s(self) -> float:
        """Return the simulated seconds of all batches so far, at the fabric's clock; not a measurement."""
        return self.board.simulated_s

    @property
    def frames(self) -> int:
        """Return the frames completed since the fabric was configured."""
        return self.board.frames

    def inject(self, fault: Fault) -> None:
        """Have ``fault`` happen once, at its next opportunity."""
        self.board.faults.inject(fault)

    def disconnect(self) -> None:
        """Cut all connections at once; the board stays as it is."""
        if self._server is not None:
            _stop(self._server, self._line)

    def reconnect(self) -> None:
        """Listen again at the same address after a disconnection."""
        self.disconnect()
        self._listen([self.host], self.port)

    def close(self) -> None:
        """End the server and the board, and remove the overlay's files."""
        self.disconnect()
        self.board.close()
        self._folder.cleanup()

    def _listen(self, hosts: list[str], port: int) -> tuple[str, int]:
        import grpc

        from .services import Line, add_services

        for host in hosts:
            if not ipaddress.ip_address(host).is_loopback:
                raise TwinError(f"{host}: the twin listens on loopback only; give an address 127.x.y.z")
        for host in hosts:
            server = grpc.server(
                ThreadPoolExecutor(_WORKERS, thread_name_prefix="twin-call"), options=[("grpc.so_reuseport", 0)]
            )
            try:
                bound = server.add_insecure_port(f"{host}:{port}")
            except RuntimeError:
                bound = 0
            if bound == 0:
                server.stop(grace=None)
                continue
            line = Line(self.board)
            # Cut from another thread: the server waits for its calls, of which the one that cuts it is one. It may
            # come late, when there is another server already: so this one by name.
            line.cut = threading.Thread(target=_stop, args=(server, line), daemon=True).start
            add_services(server, self.board, line)
            server.start()
            self._server, self._line = server, line
            return host, bound
        raise TwinError(f"port {port} of {hosts[0]}{' and others' if len(hosts) > 1 else ''} is in use; end its owner")


def _stop(server: Any, line: Any) -> None:
    """End a server and the calls it holds; return when its port is free."""
    line.end()
    server.stop(grace=None).wait(5)


def write_overlay(model: Model, hwh: Path, folder: Path) -> Path:
    """Write the emulation image and its .hwh to ``folder``; return the image's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / OVERLAY
    path.write_bytes(to_bit(model.image, model.part))
    shutil.copyfile(hwh, path.with_suffix(".hwh"))
    return path
