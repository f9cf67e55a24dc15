"""measure.json: what one backend did on one bundle's images, with its energy or the word that none was measured."""

from __future__ import annotations

import json
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .kinds import BackendKind
from .performance import Performance
from .power import EnergyReport

if TYPE_CHECKING:
    from .bundle import Bundle

FORMAT, SCHEMA = "spikeclip-fpga/measurement", 1
NOT_MEASURED = "not measured"
# Says, on Zynq, whether anything was configured before this run did it.
_FPGA_STATE = Path("/sys/class/fpga_manager/fpga0/state")


def fpga_state() -> str | None:
    """Return the FPGA manager's word on the fabric, such as "operating" or "unknown"; None where there is none."""
    try:
        return _FPGA_STATE.read_text(encoding="utf-8").strip()
    except OSError:
        return None


@dataclass(frozen=True)
class Measurement:
    """One run. behind: what computes behind the twin, else None. data: name and split of the images.

    energy: None is "not measured". fpga_before: fpga_state() before the device was opened. images_sha256: of the
    images' bytes, in order.
    """

    bundle: Bundle
    backend: str
    behind: str | None
    kind: BackendKind
    data: tuple[str, str]
    performance: Performance
    energy: EnergyReport | None
    fpga_before: str | None
    images_sha256: str

    def content(self) -> dict[str, Any]:
        """Return measure.json's content; docs/boards.md has every key."""
        bundle, name = self.bundle, self.backend
        simulated = {
            "latency_ms": 1e3 * bundle.seconds(1),
            "images_per_second": 1e6 * bundle.clk_mhz / bundle.cycles_per_frame,
            "source": str(bundle.manifest["timing"]["source"]),
        }
        energy: dict[str, Any] = {"state": NOT_MEASURED, "report": None}
        if self.energy is not None:
            energy = {"state": "measured", "report": json.loads(self.energy.to_json())}
        return {
            "format": FORMAT,
            "schema": SCHEMA,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "backend": {
                **{"name": name, "behind": self.behind, "kind": self.kind.kind},
                **{"emulated": self.kind.emulated, "text": self.kind.text},
            },
            "bundle": {
                **{"name": bundle.name, "board": bundle.board, "part": str(bundle.manifest["part"])},
                **{"clk_mhz": bundle.clk_mhz, "bitstream_built": bundle.built},
                **{"network_sha256": bundle.network_digest.hex(), "labels_tower": bundle.labels.tower},
            },
            "data": {
                **{"name": self.data[0], "split": self.data[1], "images": self.performance.accuracy.images},
                "sha256": self.images_sha256,
            },
            "accuracy": asdict(self.performance.accuracy),
            "latency": asdict(self.performance.latency),
            "throughput": asdict(self.performance.throughput),
            "simulated": simulated,
            "energy": {**energy, "fpga_state_before": self.fpga_before},
            "machine": {
                **{"system": platform.system(), "machine": platform.machine()},
                **{"python": platform.python_version(), "numpy": np.__version__},
            },
        }

    def write(self, path: Path) -> None:
        """Write measure.json: to a temporary name first, then renamed."""
        partial = path.with_name(f".{path.name}.part")
        partial.write_text(json.dumps(self.content(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(path)

    def table(self) -> str:
        """Return it as a text table that says first what computed."""
        right, single, many = self.performance.accuracy, self.performance.latency, self.performance.throughput
        simulated = self.content()["simulated"]
        what = self.kind.text + (f", {self.behind} behind it" if self.behind else "")
        rows = [
            ("bundle", self.bundle.name),
            ("backend", f"{self.backend}: {what}"),
            *([("NOT HARDWARE", "the times below are this machine's, not the accelerator's")] * self.kind.emulated),
            ("images", f"{right.images} of {self.data[0]}, {self.data[1]}"),
            (
                "accuracy, top 1 of " + str(right.labels),
                f"{100 * right.top1:.2f} % [{100 * right.low95:.2f}, {100 * right.high95:.2f}] "
                f"({right.correct} of {right.images})",
            ),
            (
                "latency, batch 1",
                f"p50 {_ms(single.p50_ms)}, p90 {_ms(single.p90_ms)}, p99 {_ms(single.p99_ms)}, "
                f"{_ms(single.min_ms)} to {_ms(single.max_ms)} in {single.runs} runs",
            ),
            (
                f"throughput, batch {many.batch}",
                f"{many.images_per_second:.4g} images/s over {many.batches} batches "
                f"(a batch {_ms(many.batch_median_ms)}, {_ms(many.batch_min_ms)} to {_ms(many.batch_max_ms)})",
            ),
            (
                f"simulated ({simulated['source']})",
                f"latency {_ms(simulated['latency_ms'])}, {simulated['images_per_second']:.4g} images/s at "
                f"{self.bundle.clk_mhz:g} MHz, transfers not counted; not measured",
            ),
        ]
        if self.energy is None:
            rows.append(("energy per image", f"{NOT_MEASURED}: no source; give --source (--list-sources)"))
        elif self.kind.emulated:
            rows.append(("energy", "of what the sensor measures, running this backend; of no accelerator"))
        if self.energy is not None and self.fpga_before == "operating":
            rows.append(("board idle", "the fabric was configured already; power-cycle the board for a true baseline"))
        width = max(len(name) for name, _ in rows)
        text = "".join(f"{name:<{width}}  {value}\n" for name, value in rows)
        text += "[..]: 95 % interval, Wilson's\n"
        return text if self.energy is None else f"{text}\n{self.energy.table()}"


def _ms(value: float | None) -> str:
    return "too few runs" if value is None else f"{value:.4g} ms"
