"""Show what moves the activity-based estimate: one accelerator, other images.

Uniform images, real ones in two orders, the same with their pixels shuffled, and noise; for each spikes and additions
of the integer network, toggles in the simulated RTL, and dynamic energy by part. Usage:

  python benchmarks/stimuli.py [--build build/tiny-pynq-z2] [--network artifacts/tiny.int.safetensors] [--json F]

The first simulation is compiled, which takes minutes; each row then takes half a minute.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from spikeclip_fpga.energy.fabric.estimate import estimate
from spikeclip_fpga.hw.activity.measure import Stimulus, measure_activity
from spikeclip_fpga.model.data import load
from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.runner import FastRunner

IMAGES, SEED = 4, 0


def stimuli(real: np.ndarray) -> dict[str, np.ndarray]:
    """Return name -> (N, H, W, 3) uint8 images, made of ``real`` ones and of nothing."""
    rng = np.random.default_rng(SEED)
    pixels = real.reshape(len(real), -1, real.shape[-1])
    shuffled = np.stack([image[rng.permutation(len(image))] for image in pixels]).reshape(real.shape)
    uniform = {f"uniform, {value}": np.full_like(real[:1], value) for value in (128, 0, 255)}
    noise = rng.integers(0, 256, real.shape).astype(np.uint8)
    return {**uniform, "real": real, "real, reversed": real[::-1].copy(), "noise": noise, "pixels shuffled": shuffled}


def row(build: Path, runner: FastRunner, name: str, images: np.ndarray) -> dict[str, Any]:
    """Return what ``images`` do in the network and in the accelerator, per image; energies in uJ."""
    _, did = runner.run_counted(images)
    content = measure_activity(build, images, Stimulus(name, "none", tuple(range(len(images)))), say=lambda line: None)
    found = estimate(content)
    return {
        "images": name,
        "spikes": sum(int(count.sum()) for count in did.spikes.values()) / len(images),
        "additions": sum(did.additions.values()) / len(images),
        "toggles": sum(node["toggles_per_frame"] for node in content["nodes"]),
        "dynamic_uj": found.dynamic_nj.value / 1000,
        "parts_uj": {part: value.value / 1000 for part, value in found.parts_nj.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("build/tiny-pynq-z2"))
    parser.add_argument("--network", type=Path, default=Path("artifacts/tiny.int.safetensors"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    runner = FastRunner(network.load(args.network))
    rows = []
    for name, images in stimuli(load("fashion-mnist", "test").images[:IMAGES]).items():
        rows.append(row(args.build, runner, name, images))
        found = rows[-1]
        print(
            f"{name:16} {found['spikes']:8,.0f} spikes {found['additions'] / 1e6:6.2f} M additions "
            f"{found['toggles'] / 1e6:7.1f} M toggles {found['dynamic_uj']:7.1f} uJ dynamic:",
            *(f"{part} {value:.1f}" for part, value in found["parts_uj"].items()),
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
