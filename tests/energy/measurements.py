"""Measurement files for tests: what the host's own code writes for a simulated board of known power."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from spikeclip_fpga.energy.subject import ImageSet, Subject
from spikeclip_fpga.host.bundle import Bundle
from spikeclip_fpga.host.bundle.pack import Overlay
from spikeclip_fpga.host.kinds import BackendKind
from spikeclip_fpga.host.measurement import Measurement
from spikeclip_fpga.host.performance import Accuracy, Latency, Performance, Throughput
from spikeclip_fpga.host.power import EnergyReport, PowerSource, Reading, VirtualClock, measure

from ..host.bundles import make_build, pack

HARDWARE = BackendKind("hardware", "the accelerator on this board, through pynq")
IDLE_W, ACTIVE_W, IMAGE_S = 1.6, 2.1, 0.002
TOTAL_NJ, DYNAMIC_NJ = 1e9 * ACTIVE_W * IMAGE_S, 1e9 * (ACTIVE_W - IDLE_W) * IMAGE_S


def built_bundle(folder: Path) -> Bundle:
    """Return the shipped network's bundle with an invented bitstream."""
    files = {}
    for kind in ("bit", "hwh"):
        files[kind] = folder / f"accelerator.{kind}"
        files[kind].write_text("invented")
    return pack(make_build(folder / "build"), folder / "tiny-w4-pynq-z2", overlay=Overlay(**files))


class Supply(PowerSource):
    """IDLE_W, or ACTIVE_W while it works, with a little noise; its clock is virtual."""

    name, boundary, rate_hz, resolution_w = "bench supply", "5 V input of the board", 20.0, 1e-4

    def __init__(self) -> None:
        self.clock, self.working, self._rng = VirtualClock(), False, np.random.default_rng(0)

    def read(self) -> Reading:
        return Reading((ACTIVE_W if self.working else IDLE_W) + 0.01 * float(self._rng.normal()))

    def run_batch(self, images: int = 50) -> int:
        self.working = True
        self.clock.sleep(images * IMAGE_S)
        self.working = False
        return images


def energy_report(windows: int = 5) -> EnergyReport:
    supply = Supply()
    return measure(supply, supply.run_batch, windows=windows, window_s=4.0, warmup_s=0.0, clock=supply.clock)


def written(bundle: Bundle, energy: EnergyReport | None, kind: BackendKind = HARDWARE, **changes: Any) -> Measurement:
    settings: dict[str, Any] = {
        "backend": "pynq",
        "behind": None,
        "data": ("fashion-mnist", "test"),
        "performance": Performance(
            Accuracy.of(9, 10, 10), Latency.of([0.002] * 3), Throughput(50, 3, 500.0, 99.0, 100.0, 101.0)
        ),
        "fpga_before": "unknown",
        "images_sha256": "ab" * 32,
        **changes,
    }
    return Measurement(bundle=bundle, kind=kind, energy=energy, **settings)


def subject_of_bundle(bundle: Bundle, **changes: Any) -> Subject:
    settings: dict[str, Any] = {
        "network": "tiny",
        "network_sha256": bundle.network_digest.hex(),
        "images": ImageSet("fashion-mnist", "test", 10),
        "board": "pynq-z2",
        "clk_mhz": 100.0,
        **changes,
    }
    return Subject(**settings)


def save(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path
