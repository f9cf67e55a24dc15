"""Measure the fast integer runner side by side with float torch, golden.py and qonnx.

All are measured in one process, in turns (A B A B ...); a ratio is the median over the turns, so that
whatever else the machine does hits both sides. Usage:

  python benchmarks/integer_runner.py [--network N.int.safetensors] [--float N.float.safetensors | random]
                                      [--onnx N.int.onnx] [--images 2000] [--rounds 7] [--json out.json]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikeclip_fpga.model import checkpoint
from spikeclip_fpga.model.config import ModelConfig
from spikeclip_fpga.model.data import load as load_data
from spikeclip_fpga.model.data.input import to_input
from spikeclip_fpga.model.native import compile_library
from spikeclip_fpga.model.spikeclip import SpikeCLIP
from spikeclip_fpga.quantize import runner
from spikeclip_fpga.quantize.network import IntNetwork, NetworkError, load

BATCH = 250  # images in a batch of torch
GOLDEN_IMAGES = 16
QONNX_IMAGES = 2


def float_model(path: str, config: ModelConfig) -> SpikeCLIP:
    """Return the float network in ``path``, or for ``random`` one of random weights described by ``config``."""
    if path == "random":
        model = SpikeCLIP(config)
    else:
        tensors, meta = checkpoint.load(Path(path), "float")
        model = SpikeCLIP(ModelConfig.from_json(meta["config"]))
        checkpoint.load_into(model, tensors, path)
    return model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def run_float(model: SpikeCLIP, images: np.ndarray) -> None:
    """Embed all images in float."""
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            model(to_input(images[start : start + BATCH]).contiguous(memory_format=torch.channels_last))


def rate(work: Callable[[], object], count: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return things done per second of ``clock`` by one call that does ``count``."""
    start = clock()
    work()
    return count / (clock() - start)


def compare(
    fast: Callable[[], object], count: int, other: Callable[[], object], other_count: int, rounds: int
) -> dict[str, float]:
    """Return median images/s of both and the median of their ratio, measured in turns after one warm-up."""
    fast(), other()
    pairs = [(rate(fast, count), rate(other, other_count)) for _ in range(rounds)]
    return {
        "fast_images_per_s": statistics.median(a for a, _ in pairs),
        "other_images_per_s": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
    }


def additions_per_s(rounds: int) -> float:
    """Return additions per second of one core in the runner's inner loop alone: long lists, weights in L1."""
    library = compile_library(Path(runner.__file__).parent / "runner.cpp")
    rows, repeats = 256, 20000
    weight = np.ones((rows, 96), np.int8)
    listed = np.random.default_rng(0).permutation(rows).astype(np.uint16)
    out = np.zeros(128, np.int16)
    arrays = [ctypes.c_void_p(a.ctypes.data) for a in (weight, listed, out)]

    def work() -> None:
        library.sc_runner_add_rows(*arrays[:2], ctypes.c_int64(rows), ctypes.c_int64(repeats), arrays[2])

    work()
    return statistics.median(rate(work, rows * repeats * 96, time.thread_time) for _ in range(rounds))


def firing(network: IntNetwork, fast: runner.FastRunner, images: np.ndarray) -> dict[str, float]:
    """Return the mean firing rate of all neurons and the additions an image needs."""
    neurons: dict[str, int] = {}
    network.run(images[:1], lambda node, value: neurons.update({node.name: value.size}) if node.op == "LIF" else None)
    _, activity = fast.run_counted(images)
    steps = network.nodes[-1].attributes["timesteps"]
    spikes = sum(int(activity.spikes[name].sum()) for name in neurons)
    return {
        "firing_rate": spikes / (sum(neurons.values()) * steps * len(images)),
        "additions_per_image": sum(activity.additions.values()) / len(images),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write the JSON file if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, default=Path("artifacts/tiny.int.safetensors"))
    parser.add_argument("--float", dest="float_path", default="artifacts/tiny.float.safetensors")
    parser.add_argument("--onnx", type=Path, default=Path("artifacts/tiny.int.onnx"))
    parser.add_argument("--images", type=int, default=2000, help="of the Fashion-MNIST test set, at most 10000")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    try:
        network = load(options.network)
        model = float_model(options.float_path, ModelConfig.from_json(network.meta["config"]))
    except (NetworkError, checkpoint.CheckpointError) as error:
        print(error, file=sys.stderr)
        return 2
    torch.set_num_threads(options.threads)
    images = load_data("fashion-mnist", "test").images[: options.images]
    fast = runner.FastRunner(network)
    if not np.array_equal(fast.run(images[:GOLDEN_IMAGES]), network.run(images[:GOLDEN_IMAGES])):
        print(f"{options.network}: the runner's embeddings are not golden's; nothing was measured", file=sys.stderr)
        return 1

    def run_fast() -> None:
        fast.run(images, threads=options.threads)

    result: dict[str, Any] = {"images": len(images), "threads": options.threads, **firing(network, fast, images)}
    result["float_torch"] = compare(
        run_fast, len(images), lambda: run_float(model, images), len(images), options.rounds
    )
    few = images[:GOLDEN_IMAGES]
    result["golden"] = compare(run_fast, len(images), lambda: network.run(few), len(few), options.rounds)
    result["qonnx"] = qonnx(options.onnx, run_fast, images, options.rounds)

    # Processor time of one thread: what others do on the machine does not count.
    core = [rate(lambda: fast.run(images, threads=1), len(images), time.thread_time) for _ in range(options.rounds)]
    peak, per_core = additions_per_s(options.rounds), statistics.median(core)
    floor = peak / result["additions_per_image"]
    result["one_core"] = {
        "images_per_s": per_core,
        "additions_per_s": per_core * result["additions_per_image"],
        "inner_loop_additions_per_s": peak,
        "floor_images_per_s": floor,
        "share_of_floor": per_core / floor,
    }
    show(result)
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def qonnx(path: Path, run_fast: Callable[[], object], images: np.ndarray, rounds: int) -> dict[str, float] | str:
    """Compare with qonnx executing ``path``, or return why that was not measured."""
    if not path.is_file():
        return f"not measured: {path}: no such file; make it with `spikeclip lower`"
    try:
        from qonnx.core.modelwrapper import ModelWrapper

        from spikeclip_fpga.quantize.lower import execute
    except ImportError as error:
        return f"not measured: {error}; install the extra [build]"
    model, few = ModelWrapper(str(path)), images[:QONNX_IMAGES]
    return compare(run_fast, len(images), lambda: execute(model, few), len(few), min(rounds, 3))


def show(result: dict[str, Any]) -> None:
    print(f"{result['images']} images, {result['threads']} threads, medians of runs in turns")
    for name in ("float_torch", "golden", "qonnx"):
        value = result[name]
        if isinstance(value, str):
            print(f"  {name:12} {value}")
        else:
            print(
                f"  {name:12} {value['other_images_per_s']:9.1f} images/s, "
                f"fast runner {value['fast_images_per_s']:9.1f}: {value['ratio']:.1f} times as fast"
            )
    core = result["one_core"]
    print(f"  firing rate {result['firing_rate']:.3f}, {result['additions_per_image'] / 1e6:.2f} M additions per image")
    used = core["additions_per_s"] / 1e9
    print(f"  one core, processor time: {core['images_per_s']:.0f} images/s, {used:.1f} G additions/s")
    print(
        f"  the inner loop alone does {core['inner_loop_additions_per_s'] / 1e9:.1f} G additions/s, which would be "
        f"{core['floor_images_per_s']:.0f} images/s: the runner is at {100 * core['share_of_floor']:.0f} % of that"
    )


if __name__ == "__main__":
    sys.exit(main())
