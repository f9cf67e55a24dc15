"""Show what moves the activity-based estimate: one accelerator, other images, and other neurons.

Uniform images, real ones in two orders, the same with their pixels shuffled, and noise; for each spikes and additions
of the integer network, toggles in the simulated RTL, and dynamic energy by part. No image silences a network that has
biases, nor makes all of it fire, so two more rows change what its ROMs hold, thresholds and biases, and nothing else of
the hardware; golden computes the same changed network and the simulated embeddings must be equal to its. Usage:

  python benchmarks/stimuli.py [--build build/tiny-pynq-z2] [--network artifacts/tiny.int.safetensors] [--json F]

The first simulation is compiled, which takes minutes; each row then takes half a minute.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from spikeclip_fpga.energy.fabric.estimate import estimate
from spikeclip_fpga.hw import finn_env
from spikeclip_fpga.hw.activity.measure import Stimulus, measure_activity
from spikeclip_fpga.hw.passes.graph import layer_of
from spikeclip_fpga.hw.rtl_accelerator import RtlAccelerator
from spikeclip_fpga.model.data import load
from spikeclip_fpga.quantize import golden, network
from spikeclip_fpga.quantize.ranges import signed_bits
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


def forced(original: network.IntNetwork, images: np.ndarray, fire: bool) -> network.IntNetwork:
    """Return the network with neurons that never fire on ``images``, or always, as far as their ROMs' widths allow.

    Never: the highest threshold that the ROM can hold, the lowest bias in it, and nothing that Align adds by itself.
    Always: the highest bias in it and the lowest threshold with which no membrane overflows.
    """
    constants = dict(original.constants)
    values: dict[str, np.ndarray] = {network.IMAGE: original.pixels(images)}
    for node in original.nodes:
        tries: list[dict[str, int]] = [{}]
        if node.op == "Align" and not fire:
            tries = [{node.inputs[2]: 0}]
        elif node.op == "LIF":
            _, threshold, bias = node.inputs
            least, most = int(constants[bias].min()), int(constants[bias].max())
            top = signed_bits(int(constants[threshold].min()), int(constants[threshold].max())) - 1
            tries = [{threshold: (1 << top) - 1, bias: least}]
            if fire:
                rising = [*(-(1 << i) for i in reversed(range(top + 1))), 0, *(1 << i for i in range(top))]
                tries = [{threshold: value, bias: most} for value in rising]
        for change in tries:
            held = constants | {name: np.full_like(constants[name], value) for name, value in change.items()}
            inputs = [held[name] if name in held else values[name] for name in node.inputs]
            try:
                values[node.output] = golden.OPS[node.op](*inputs, **node.attributes)
            except golden.RangeError:
                continue
            constants = held
            break
        else:
            raise golden.RangeError(f"{node.name}: no threshold keeps its membranes within their width")
    return dataclasses.replace(original, constants=constants)


def rewritten(build: Path, changed: network.IntNetwork, folder: Path) -> Path:
    """Return ``folder`` as a build that is ``build`` but for the ROMs of LIF and Align, which are of ``changed``."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.custom_op.registry import getCustomOp

    (folder / "rtl").mkdir(parents=True)
    for part in build.iterdir():
        if part.name != "rtl":
            (folder / part.name).symlink_to(part.resolve())
    for file in (build / "rtl").iterdir():
        (folder / "rtl" / file.name).symlink_to(file.resolve())
    finn_env.prepare(build / "finn")
    nodes = {node.name: node for node in changed.nodes}
    for raw in ModelWrapper(str(build / "intermediate_models" / "step_report.onnx")).graph.node:
        node = nodes.get(layer_of(raw))  # the readout's bias is an Align of the graph alone
        if raw.op_type in ("LIF_rtl", "Align_rtl") and node is not None:
            constants = [changed.constants[name] for name in node.inputs[1:]]
            for name, text in getCustomOp(raw).files(constants).items():
                path = folder / "rtl" / f"{raw.name}_{name}"
                path.unlink()  # the link, which must be there
                path.write_text(text)
    return folder


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
    original, real = network.load(args.network), load("fashion-mnist", "test").images[:IMAGES]
    rows = []

    def show(build: Path, runner: FastRunner, name: str, images: np.ndarray) -> None:
        rows.append(row(build, runner, name, images))
        found = rows[-1]
        print(
            f"{name:16} {found['spikes']:8,.0f} spikes {found['additions'] / 1e6:6.2f} M additions "
            f"{found['toggles'] / 1e6:7.1f} M toggles {found['dynamic_uj']:7.1f} uJ dynamic:",
            *(f"{part} {value:.1f}" for part, value in found["parts_uj"].items()),
            flush=True,
        )

    for name, images in stimuli(real).items():
        show(args.build, FastRunner(original), name, images)
    for name, fire in (("neurons silent", False), ("neurons firing", True)):
        changed = forced(original, real, fire)
        with tempfile.TemporaryDirectory() as folder:
            build = rewritten(args.build, changed, Path(folder) / "build")
            with RtlAccelerator(build) as accelerator:
                np.testing.assert_array_equal(accelerator.embed(real), changed.run(real))
            show(build, FastRunner(changed), name, real)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
