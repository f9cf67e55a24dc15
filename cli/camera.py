"""The camera of ``spikeclip classify``: frame after frame, a line each."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeclip_fpga.host.accelerator import Accelerator
    from spikeclip_fpga.host.kinds import BackendKind
    from spikeclip_fpga.quantize.labelset import LabelSet


def add_camera(verb: Any) -> None:
    """Add --camera, --frames and --every."""
    verb.add_argument("--camera", help="instead of images: a camera's number, a video file or a stream's address")
    verb.add_argument("--frames", type=int, help="with --camera: how many to classify (default: until it ends)")
    verb.add_argument(
        "--every", type=float, help="with --camera: least seconds from one to the next (default: every frame)"
    )


def check_source(args: argparse.Namespace) -> None:
    """Raise CameraError unless there are either images or a camera, and sensible numbers for it."""
    from spikeclip_fpga.host.camera import CameraError

    if args.camera is None:
        for name in ("frames", "every"):
            if getattr(args, name) is not None:
                raise CameraError(f"--{name} {getattr(args, name)}: only a camera has frames; give --camera too")
        if not args.images:
            raise CameraError("classify: nothing to classify; give image files or folders, or --camera 0")
        return
    if args.images:
        raise CameraError(f"--camera {args.camera}: images are given too ({args.images[0]}); give one of them")
    if args.frames is not None and args.frames < 1:
        raise CameraError(f"--frames: expected 1 or more, got {args.frames}")
    if args.every is not None and not 0 <= args.every < float("inf"):
        raise CameraError(f"--every: expected 0 or more seconds, got {args.every:g}")


def classify_camera(
    args: argparse.Namespace, accelerator: Accelerator, labels: LabelSet, kind: BackendKind, source: dict[str, str]
) -> int:
    """Classify and print the frames of --camera; return 0, or 130 if interrupted before all of --frames.

    The camera is given back whatever happens. Raises CameraError.
    """
    from spikeclip_fpga.host.camera import Camera
    from spikeclip_fpga.host.classify import classify

    said = {"backend": accelerator.name, "kind": kind.kind, "emulated": kind.emulated, **source}
    done = 0
    try:
        with Camera(args.camera) as camera:
            if "bundle" in source and not args.json:
                print(f"{source['bundle']}; {accelerator.name}: {kind.text}", file=sys.stderr)
            for frame in camera.frames(args.frames, args.every or 0.0, args.strict_size):
                found = classify(accelerator, frame.image[None], labels, args.top)[0]
                if args.json:
                    matches = [{"label": m.label, "score": round(m.score, 6)} for m in found]
                    row = {"frame": frame.index, "time_s": round(frame.time_s, 6), "labels": matches, **said}
                    print(json.dumps(row), flush=True)
                else:
                    text = "  ".join(f"{m.label} {m.score:.3f}" for m in found)
                    print(f"frame {frame.index}, {frame.time_s:.2f} s  {text}", flush=True)
                done += 1
    except KeyboardInterrupt:
        print(f"camera {args.camera}: stopped after {done} frames", file=sys.stderr)
        return 0 if args.frames is None else 130
    return 0
