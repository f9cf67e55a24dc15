"""``spikeclip``: from images to labels, one verb for each stage of the walk."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version

from . import (
    activity,
    build,
    bundle,
    classify,
    demo,
    labels,
    lower,
    measure,
    quantize,
    report,
    serve,
    sweep,
    teacher,
    train,
)

EPILOG = """\
The walk, each verb reading what the one before wrote:
  spikeclip teacher    data                  -> teacher.safetensors
  spikeclip labels     class names           -> labels.npz
  spikeclip train      data, teacher         -> tiny.float.safetensors
  spikeclip quantize   tiny.float            -> tiny.qat.safetensors, tiny.qonnx.onnx
  spikeclip lower      tiny.qonnx.onnx       -> tiny.int.onnx, tiny.int.safetensors
  spikeclip build      tiny.int, a board     -> RTL proven in simulation, reports
  spikeclip activity   a build, images       -> report/activity.json: what switches
  spikeclip bundle     tiny.int, reports     -> bitstreams/tiny-w4-<board>, verified before use
  spikeclip classify   images, a bundle      -> labels and scores
  spikeclip measure    a bundle, a sensor    -> accuracy, latency, throughput, joules
  spikeclip serve      a bundle              -> the same in a browser
  spikeclip sweep      data, teacher         -> sweep.json: accuracy against energy over T and weight bits
  spikeclip report     all of the above      -> report.html, report.json
`spikeclip demo` checks that all levels of the shipped network agree on real images.
"""


def _version() -> str:
    try:
        return version("spikeclip-fpga")
    except PackageNotFoundError:
        return "not installed"


def parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    top = argparse.ArgumentParser(
        prog="spikeclip",
        description="SpikeCLIP, a spiking CLIP, from training to integers to an FPGA.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"spikeclip-fpga {_version()}")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for module in (
        teacher,
        labels,
        train,
        quantize,
        lower,
        build,
        activity,
        bundle,
        classify,
        measure,
        serve,
        sweep,
        report,
        demo,
    ):
        module.add(verbs)
    return top


def _quiet() -> None:
    """Keep notes of libraries that no user can act on (no CUDA here, no Hadamard kernel) off the screen."""
    warnings.filterwarnings("ignore", module="brevitas|torch|finn|qonnx")
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; return 0, or 1 after an error that was told in one line, or 130 when interrupted."""
    args = parser().parse_args(arguments)
    _quiet()
    try:
        code: int = args.run(args)
        return code
    except KeyboardInterrupt:
        print(
            "spikeclip: interrupted; training and builds go on from their last saved state when repeated",
            file=sys.stderr,
        )
        return 130
    except ModuleNotFoundError as error:
        if args.debug or (error.name or "").startswith("spikeclip_fpga"):
            raise
        print(
            f"spikeclip: {error.name} is not installed; run `make setup` in the checkout "
            "(or install its extras train, build and report)",
            file=sys.stderr,
        )
        return 1
    except Exception as error:
        # The project's own exceptions are written for the user; anything else is a bug and keeps its traceback.
        if args.debug or not type(error).__module__.startswith("spikeclip_fpga."):
            raise
        print(f"spikeclip: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
