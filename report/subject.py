"""What a report is about: the files of one network, the images, and the options of the verb."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeclip_fpga.model.data import ImageSet, load
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.labelset import LabelSet, read_labels
from spikeclip_fpga.quantize.network import IntNetwork

from .schema import ReportError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """Artifacts ``<preset>.*`` in a folder, and the first ``count`` test images of a data set.

    few, fewest: images for golden.py and for QONNX, which are slow.  raster: indices of images whose spikes are
    drawn, None for one of every third class.
    """

    artifacts: Path
    preset: str
    count: int
    data_root: Path | None
    say: Say
    data_name: str = "fashion-mnist"
    few: int = 1000
    fewest: int = 100
    raster: tuple[int, ...] | None = None

    @functools.cached_property
    def data(self) -> ImageSet:
        """The images; raises ReportError if there are fewer than asked for."""
        whole = load(self.data_name, "test", self.data_root)
        if not 1 <= self.count <= len(whole):
            raise ReportError(
                f"--images: expected 1 to {len(whole)}, the test images of {whole.name}, got {self.count}"
            )
        return whole.take(self.count)

    @functools.cached_property
    def labels(self) -> LabelSet:
        """The labels; raises LabelError."""
        return read_labels(self.artifacts / "labels.npz")

    @functools.cached_property
    def network(self) -> IntNetwork:
        """The integer network; raises NetworkError, or ReportError with the command that makes it."""
        return network.load(self.file("int.safetensors", "spikeclip lower"))

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the integer network's file, as build.json has it."""
        return hashlib.sha256(self.file("int.safetensors", "spikeclip lower").read_bytes()).hexdigest()

    @property
    def config(self) -> dict[str, Any]:
        """The network's ModelConfig as a JSON object."""
        found: dict[str, Any] = json.loads(self.network.meta["config"])
        return found

    @property
    def bits(self) -> dict[str, Any]:
        """The network's bit widths as a JSON object."""
        found: dict[str, Any] = json.loads(self.network.meta["bits"])
        return found

    @property
    def timesteps(self) -> int:
        """T."""
        return int(self.config["timesteps"])

    def file(self, suffix: str, command: str) -> Path:
        """Return artifacts/<preset>.<suffix>; raise ReportError naming the command that makes it."""
        path = self.artifacts / f"{self.preset}.{suffix}"
        if not path.is_file():
            raise ReportError(f"{path}: no such file; make it with `{command}`")
        return path

    def chosen(self) -> tuple[int, ...]:
        """Return the indices of the images to draw; raise ReportError for one there is not."""
        if self.raster is None:
            labels = self.data.labels.tolist()
            return tuple(labels.index(c) for c in range(0, len(self.data.class_names), 3) if c in labels)
        for index in self.raster:
            if not 0 <= index < len(self.data):
                raise ReportError(f"--raster {index}: expected indices from 0 to {len(self.data) - 1}")
        return self.raster
