"""What one build is about: the network, the board, the rate, the images that prove it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeclip_fpga.quantize import network

from .boards import ZYNQ, Board

Say = Callable[[str], None]


class JobError(RuntimeError):
    """A build that cannot go on; one line with the remedy."""


@dataclass(frozen=True)
class Job:
    """A build of ``source`` (<name>.int.onnx, its .int.safetensors beside it) for ``board`` in folder ``out``.

    fps: frames per second to reach, None for as fast as fits. share: of LUT, BRAM and DSP that may be used.
    images: (N, H, W, C) uint8 that every level computes. folding: FINN folding file to use instead of choosing.
    synthesise: run Yosys. simulate: make the RTL and simulate it; without, the build ends after FINN's estimates.
    finn_shell: FINN's shell on a Zynq too, whose DMA is HLS, instead of this project's.
    """

    source: Path
    board: Board
    out: Path
    clk_mhz: float
    fps: float | None
    share: float
    images: np.ndarray
    say: Say
    synthesise: bool = False
    simulate: bool = True
    finn_shell: bool = False
    folding: Path | None = None

    @property
    def name(self) -> str:
        """Return the network's name."""
        return self.source.name.removesuffix(".int.onnx")

    @functools.cached_property
    def network(self) -> network.IntNetwork:
        """Return the integer network that defines what is right; raises NetworkError."""
        return network.load(self.source.with_suffix(".safetensors"))

    @property
    def timesteps(self) -> int:
        """Return T."""
        return int(json.loads(self.network.meta["config"])["timesteps"])

    @functools.cached_property
    def pixels(self) -> np.ndarray:
        """Return the images as (N, H, W, C) int16 pixels."""
        return self.network.pixels(self.images)

    @functools.cached_property
    def expected(self) -> np.ndarray:
        """Return golden's embeddings (N, E) int64."""
        return self.network.run(self.images)

    @functools.cached_property
    def firing_rates(self) -> dict[str, float]:
        """Return layer -> share of neurons and steps that fire on the images, for layers of words."""
        from spikeclip_fpga.quantize import golden

        rates: dict[str, float] = {}

        def watch(node: network.Node, value: np.ndarray) -> None:
            if node.op == "LIF":
                rates[node.name] = float(golden.unpack(value, self.timesteps).mean())

        self.network.run(self.images, watch)
        return rates

    @property
    def has_own_shell(self) -> bool:
        """Return whether this project's shell goes around the accelerator; an Alveo card's is FINN's."""
        return self.board.shell == ZYNQ and not self.finn_shell

    @property
    def rtl(self) -> Path:
        """Return the folder of the stitched RTL."""
        return self.out / "rtl"

    @property
    def reports(self) -> Path:
        """Return the folder of reports, FINN's among them."""
        return self.out / "report"

    def write(self, name: str, content: dict[str, Any]) -> Path:
        """Write report ``name``.json and return its path."""
        path = self.reports / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(content, indent=2) + "\n")
        partial.replace(path)
        return path

    def read(self, name: str) -> dict[str, Any]:
        """Return report ``name``; raises JobError if an earlier step did not write it."""
        path = self.reports / f"{name}.json"
        if not path.is_file():
            raise JobError(f"{path}: missing; start the build anew with --fresh")
        content: dict[str, Any] = json.loads(path.read_text())
        return content

    def key(self) -> str:
        """Return a digest of all that decides the result."""
        digest = hashlib.sha256(self.source.read_bytes())
        digest.update(self.images.tobytes())
        if self.folding is not None:
            digest.update(self.folding.read_bytes())
        for part in (
            self.board.name,
            self.clk_mhz,
            self.fps,
            self.share,
            self.synthesise,
            self.simulate,
            self.finn_shell,
        ):
            digest.update(repr(part).encode())
        for path in sorted(Path(__file__).parent.rglob("*")):
            if path.suffix in (".py", ".sv", ".cpp", ".h"):
                digest.update(path.read_bytes())
        return digest.hexdigest()
