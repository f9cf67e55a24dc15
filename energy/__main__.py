"""``python -m spikeclip_fpga.energy NETWORK IMAGES``: count spikes, print the table, write JSON."""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.runner import FastRunner

from .coefficients import Coefficients
from .counters import CountError, measure_classes
from .measured import read_measurement
from .report import report
from .subject import subject_of
from .table import table


def read_images(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return images (N, H, W, 3) uint8, labels (N,) and class names of an .npz; raise CountError if it has none."""
    expected = "expected an .npz with images, labels and class_names (docs/energy.md writes one)"
    try:
        with np.load(path) as file:
            names = tuple(str(name) for name in file["class_names"])
            return file["images"], file["labels"], names
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CountError(f"{path}: {expected}, got {type(error).__name__}: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return 0, or 1 after an error told in one line."""
    parser = argparse.ArgumentParser(prog="python -m spikeclip_fpga.energy", description="Theory and estimates.")
    parser.add_argument("network", type=Path, help="integer network, <name>.int.safetensors")
    parser.add_argument("images", type=Path, help=".npz with images, labels, class_names")
    parser.add_argument("--coefficients", type=Path, help='JSON that replaces coefficients, {"e_ac": 0.5}')
    parser.add_argument("--json", type=Path, help="write the report here as well")
    parser.add_argument("--data-set", help="name of the images, such as fashion-mnist (default: the file's)")
    parser.add_argument("--split", help="their split, such as test; a measurement is compared only if it is stated")
    parser.add_argument("--measurement", type=Path, help="what `spikeclip measure --out` wrote")
    parser.add_argument("--board", help="board that the measurement must be of")
    parser.add_argument("--clk-mhz", type=float, help="clock that the measurement must be of")
    parser.add_argument("--threads", type=int, help="default: one per core")
    args = parser.parse_args(arguments)
    try:
        result = _run(args)
    except Exception as error:
        # The project's own exceptions are written for the user; ValueError is the runner's for images of another shape.
        if not isinstance(error, OSError | ValueError) and not type(error).__module__.startswith("spikeclip_fpga."):
            raise
        print(f"energy: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(table(result))
    return 0


def _run(args: argparse.Namespace) -> dict[str, Any]:
    given = Coefficients.from_json(args.coefficients.read_text()) if args.coefficients else None
    images, labels, names = read_images(args.images)
    net = network.load(args.network)
    data_set = args.data_set or args.images.stem
    subject = subject_of(*(args.network, net, images, data_set, args.split), board=args.board, clk_mhz=args.clk_mhz)
    # First: refused at once, not after the counting.
    measured = read_measurement(args.measurement, subject)
    counts = measure_classes(FastRunner(net), images, labels, names, args.threads)
    result = report(net, counts, data_set, given, subject, measured)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return result


if __name__ == "__main__":
    sys.exit(main())
