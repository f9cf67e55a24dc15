"""Backend ``rtl``: the stitched accelerator of a finished build, simulated; the very Verilog that goes to the board.

    with RtlAccelerator(Path("build/tiny-pynq-z2")) as accelerator:
        embeddings = accelerator.embed(images)

Verilator is needed once: the compiled library stays in the build folder, where an environment without Verilator
(the board's, for the pynq client) finds it. Nothing heavier than numpy is imported then.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from pathlib import Path
from types import TracebackType

import numpy as np

from .finn_rtl import RtlError
from .simulate import Model, Simulation, build
from .stream_layout import StreamLayout
from .verilate import BENCH, BuildError, Interface, StreamPort

_MEMORIES = (".mem", ".dat")


class RtlAccelerator:
    """The accelerator in a build folder; a context manager, for one thread at a time.

    Raises RtlError for a folder without finished RTL, BuildError if it is not compiled yet and cannot be here.
    """

    name = "rtl"

    def __init__(self, build_folder: Path) -> None:
        rtl = build_folder / "rtl"
        if not (rtl / "sources.f").is_file():
            raise RtlError(
                f"{build_folder}: no rtl/sources.f in it; make it with `spikeclip build --out {build_folder}`"
            )
        self._layout = StreamLayout.read(rtl)
        source, sink = self._layout.source, self._layout.sink
        if (source.low, source.high) != (-128, 127) or sink.shape[:-1] != (1,) * (len(sink.shape) - 1):
            raise RtlError(
                f"{rtl}: expected pixels of -128 to 127 and one vector out, got {source.low} to {source.high} and "
                f"{sink.shape}; this is not the RTL of an image encoder"
            )
        self.embed_dim = sink.shape[-1]
        model = _compiled(build_folder, self._layout)
        memories = {p.name: p.read_text() for p in sorted(rtl.iterdir()) if p.suffix in _MEMORIES}
        # Registers start at zero, as an FPGA's do.
        self._simulation: Simulation = model.open(memories, seed=0)

    def __enter__(self) -> RtlAccelerator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Return (N, E) int64 embeddings of (N, H, W, C) uint8 images, sent back to back.

        Raises RtlError for images of another shape or type, SimulationError if the network is stuck or closed.
        """
        if images.dtype != np.uint8:
            raise RtlError(f"images: expected uint8, got {images.dtype}")
        if not len(images):
            return np.empty((0, self.embed_dim), np.int64)
        source, sink = self._layout.source, self._layout.sink
        data = source.to_beats(images.astype(np.int16) + source.low)
        run = self._simulation.run(
            {source.port: data}, {sink.port: len(images) * sink.frame_beats}, watchdog=self._layout.patience_cycles
        )
        found = sink.from_beats(run.outputs[sink.port])
        for _ in sink.shape[:-1]:  # of size 1
            found = found[:, 0]
        return found

    def close(self) -> None:
        """Free the simulation; may be called again."""
        self._simulation.close()


def network_sha256(build_folder: Path) -> str | None:
    """Return the SHA-256 of the integer network the build was made from, None before its last step."""
    try:
        found = json.loads((build_folder / "report" / "build.json").read_text())["network_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(found)


def _compiled(build_folder: Path, layout: StreamLayout) -> Model:
    """Return the compiled top: the library kept in ``build_folder`` if it is of this RTL, else compiled and kept."""
    rtl = build_folder / "rtl"
    sources = [rtl / name for name in (rtl / "sources.f").read_text().split()]
    missing = [path for path in sources if not path.is_file()]
    if missing:
        raise RtlError(f"{missing[0]}: missing, but listed in sources.f; run `spikeclip build --fresh`")
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()}".encode())
    for path in (*sources, *sorted(rtl.glob("*.vh")), *sorted(BENCH.iterdir())):
        if path.is_file():
            digest.update(f"{path.name}\0".encode() + path.read_bytes())
    # In a folder that a new build empties.
    library = build_folder / "simulation" / f"{layout.top}-{digest.hexdigest()[:16]}.so"
    if not library.is_file():
        try:
            made = build(layout.top, sources, strict=False, includes=[rtl])
        except BuildError as error:
            raise BuildError(
                f"{build_folder}: not compiled yet, and not to be compiled here ({error}); run "
                f"`spikeclip classify IMAGE --backend rtl --build {build_folder}` once where Verilator is installed"
            ) from error
        library.parent.mkdir(parents=True, exist_ok=True)
        partial = library.with_suffix(".part")
        shutil.copyfile(made.library, partial)
        partial.replace(library)
    return Model(layout.top, library.resolve(), _interface(layout))


def _interface(layout: StreamLayout) -> Interface:
    """Return the ports of a stitched top without probes."""

    def port(name: str, width: int) -> StreamPort:
        return StreamPort(name, width, f"{name}_tvalid", f"{name}_tready", f"{name}_tdata")

    inputs, outputs = (port(stream.port, stream.width) for stream in (layout.source, layout.sink))
    return Interface("ap_clk", "ap_rst_n", (inputs,), (outputs,), {}, ())
