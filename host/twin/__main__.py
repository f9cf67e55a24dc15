"""Run the twin of a bundle until it is interrupted: ``python -m spikeclip_fpga.host.twin --bundle FOLDER``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from spikeclip_fpga.host.accelerator import BACKENDS, AcceleratorError
from spikeclip_fpga.host.bundle import BundleError, open_bundle

from . import PORT, Fault, Twin, TwinError
from .server import model_of, write_overlay

_BEHIND = [name for name in ("fast", "golden") if name in BACKENDS]


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    found = argparse.ArgumentParser(prog="python -m spikeclip_fpga.host.twin", description=__doc__)
    found.add_argument("--bundle", type=Path, required=True, help="folder of the bundle to emulate")
    found.add_argument("--backend", choices=_BEHIND, default="fast", help="what computes behind the registers")
    found.add_argument("--host", help="loopback address; default the first free one from 127.0.0.1")
    found.add_argument("--port", type=int, default=PORT, help=f"port; pynq asks {PORT}")
    found.add_argument(
        "--overlay", type=Path, help="folder to write emulation.bit and .hwh to; default a temporary one"
    )
    found.add_argument("--realtime", action="store_true", help="take at least the simulated time for each batch")
    found.add_argument("--fault", choices=[f.value for f in Fault], action="append", default=[], help="happens once")
    return found


def main(argv: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; return the exit status, 1 after an error of one line."""
    args = parser().parse_args(argv)
    try:
        bundle = open_bundle(args.bundle)
        accelerator = BACKENDS[args.backend](bundle.network)
        with Twin.for_bundle(bundle, accelerator, host=args.host, port=args.port, realtime=args.realtime) as twin:
            assert bundle.hwh is not None
            overlay = write_overlay(model_of(bundle), bundle.hwh, args.overlay) if args.overlay else twin.overlay
            for fault in args.fault:
                twin.inject(Fault(fault))
            print(f"twin of {bundle.name} ({bundle.board}, emulated, {args.backend}) at {twin.host}:{twin.port}")
            print(f"overlay {overlay}")
            print(f"export PYNQ_REMOTE_DEVICES={twin.host}", flush=True)
            ended = threading.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: ended.set())
            ended.wait()
            print(f"{twin.frames} frames, {twin.simulated_s * 1e3:.3f} ms simulated", flush=True)
    except (BundleError, TwinError, AcceleratorError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
