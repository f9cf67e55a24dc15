"""The options of every verb that runs an accelerator, the one they name, and its release whatever happens."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeclip_fpga.host.accelerator import Accelerator
    from spikeclip_fpga.host.bundle import Bundle
    from spikeclip_fpga.hw.rtl_accelerator import RtlAccelerator


def add_bundle(verb: Any, required: bool = False) -> None:
    """Add --bundle, --board and --backend."""
    verb.add_argument(
        "--bundle", type=Path, required=required, help="bundle: network, labels and bitstream for a board"
    )
    verb.add_argument("--board", help="refuse a bundle for another board")
    verb.add_argument(
        "--backend",
        default="golden",
        help="what computes: golden or fast, and with a bundle twin, pynq or xrt (default: %(default)s)",
    )


def add_rtl(verb: Any) -> None:
    """Add --build and --behind, for verbs that also run the simulated RTL; see opened."""
    verb.add_argument("--build", type=Path, help="for backend rtl: folder of `spikeclip build`; its RTL is simulated")
    verb.add_argument("--behind", choices=("fast", "rtl"), help="what computes behind backend twin (default: fast)")


@contextlib.contextmanager
def opened(args: argparse.Namespace, source: Path | Bundle) -> Iterator[Accelerator]:
    """Give the accelerator that --backend, --build and --behind name, running a bundle or the network in a file.

    Raises AcceleratorError for options that contradict, and what the backend raises.
    """
    from spikeclip_fpga.host.accelerator import AcceleratorError, open_accelerator

    simulated = args.backend == "rtl" or args.behind == "rtl"
    if args.behind is not None and args.backend != "twin":
        raise AcceleratorError(f"--behind {args.behind}: only backend twin has something behind it, not {args.backend}")
    if simulated and args.build is None:
        raise AcceleratorError("backend rtl: which RTL? give --build FOLDER, a folder that `spikeclip build` made")
    if args.build is not None and not simulated:
        raise AcceleratorError(f"--build {args.build}: give --backend rtl, or --backend twin --behind rtl, to run it")
    with contextlib.ExitStack() as stack:
        if not simulated:
            yield stack.enter_context(closing(open_accelerator(args.backend, source)))
            return
        rtl = stack.enter_context(closing(_rtl(args.build, source)))
        if args.backend == "rtl":
            yield rtl
            return
        if isinstance(source, Path):
            raise AcceleratorError(f"backend twin: expected a bundle, got the network {source}; give --bundle FOLDER")
        from spikeclip_fpga.host.twin_backend import TwinAccelerator

        yield stack.enter_context(TwinAccelerator(source, rtl))


def _rtl(build: Path, source: Path | Bundle) -> RtlAccelerator:
    """Return the RTL of a build of the very network in ``source``."""
    import hashlib

    from spikeclip_fpga.host.accelerator import AcceleratorError
    from spikeclip_fpga.hw.rtl_accelerator import RtlAccelerator, network_sha256

    if isinstance(source, Path) and not source.is_file():
        raise AcceleratorError(f"{source}: no such network; make it with `spikeclip lower`, or give --bundle")
    wanted = (
        hashlib.sha256(source.read_bytes()).hexdigest() if isinstance(source, Path) else source.network_digest.hex()
    )
    made_from = network_sha256(build)
    if made_from is None:
        raise AcceleratorError(f"{build}: no finished build, no report/build.json that names a network; build it again")
    if made_from != wanted:
        raise AcceleratorError(
            f"{build}: made from network {made_from[:12]}…, expected {wanted[:12]}…; build that one, or give its bundle"
        )
    return RtlAccelerator(build)


@contextlib.contextmanager
def closing(accelerator: Accelerator) -> Iterator[Accelerator]:
    """Give ``accelerator`` and release its device at the end, if it has one."""
    try:
        yield accelerator
    finally:
        close = getattr(accelerator, "close", None)
        if close is not None:
            close()
