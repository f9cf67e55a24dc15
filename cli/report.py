"""``spikeclip report``: accuracy, spikes, four energies and hardware of a network, as one page and as JSON."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import ARTIFACTS, add_verb

if TYPE_CHECKING:
    from spikeclip_fpga.report.collect import Inputs
    from spikeclip_fpga.report.subject import Subject

_SWEEP = "sweep.json"


def _indices(text: str) -> tuple[int, ...]:
    """Return the whole numbers of a list such as 0,1,2."""
    return tuple(int(part) for part in text.split(","))


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "report",
        run,
        "write accuracy, spikes, four energies and hardware of a network as one HTML page and as JSON",
        "spikeclip report --out build/report\n  spikeclip report --from build/report/report.json",
    )
    verb.add_argument(
        "--artifacts", type=Path, default=ARTIFACTS, help="folder of the trained checkpoints (default: %(default)s)"
    )
    verb.add_argument("--preset", default="tiny", help="which of them (default: %(default)s)")
    verb.add_argument(
        "--build", type=Path, help="folder of a `spikeclip build`, made if missing (default: build/<preset>-pynq-z2)"
    )
    verb.add_argument(
        "--no-build", action="store_true", help="build and simulate nothing: hardware from the shipped bundle"
    )
    verb.add_argument("--activity", type=Path, help="activity.json to use (default: the build's, counted if missing)")
    verb.add_argument("--no-activity", action="store_true", help="leave the activity-based estimate out")
    verb.add_argument("--measurement", type=Path, help="measure.json of `spikeclip measure`; without, not measured")
    verb.add_argument(
        "--prices",
        type=Path,
        help="prices of switching to use, as `python -m spikeclip_fpga.energy.fabric --calibrate ... "
        "--save-coefficients FILE` writes them (default: this project's)",
    )
    verb.add_argument(
        "--sweep", type=Path, help=f"of `spikeclip sweep` (default: <artifacts>/{_SWEEP}, if it is there)"
    )
    verb.add_argument("--skip-baselines", action="store_true", help="without the ANNs to compare with")
    verb.add_argument("--images", type=int, default=10_000, help="test images, in order (default: %(default)s)")
    verb.add_argument("--golden-images", type=int, default=1000, help="of them through numpy (default: %(default)s)")
    verb.add_argument("--qonnx-images", type=int, default=100, help="of them executed in qonnx (default: %(default)s)")
    verb.add_argument(
        "--raster", type=_indices, metavar="0,1,2", help="images whose spikes are drawn (default: every third class)"
    )
    verb.add_argument("--data-root", type=Path, help="folder that holds Fashion-MNIST")
    verb.add_argument("--from", type=Path, dest="source", metavar="JSON", help="render this report.json again, no more")
    verb.add_argument(
        "--out", type=Path, default=Path("build/report"), help="report.html and report.json (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Collect or read, render, write."""
    from spikeclip_fpga.report.collect import collect, dump
    from spikeclip_fpga.report.page import render
    from spikeclip_fpga.report.schema import read, write

    page = args.out / "report.html"
    if args.source is not None:
        write(page, render(read(args.source)))
        print(f"{page}: written from {args.source}")
        return 0
    subject = _subject(args)
    content = collect(subject, lambda: _inputs(args, subject), _command(args), not args.skip_baselines)
    write(args.out / "report.json", dump(content))
    write(page, render(content))
    print(f"{page}, {args.out / 'report.json'}: written ({content['provenance']['seconds']:.0f} s)")
    return 0


def _subject(args: argparse.Namespace) -> Subject:
    from spikeclip_fpga.report.schema import ReportError
    from spikeclip_fpga.report.subject import Subject

    for name in ("images", "golden_images", "qonnx_images"):
        if getattr(args, name) < 1:
            raise ReportError(f"--{name.replace('_', '-')}: expected 1 or more, got {getattr(args, name)}")
    for name in ("measurement", "sweep", "activity", "prices"):
        path = getattr(args, name)
        if path is not None and not path.is_file():
            raise ReportError(f"--{name} {path}: no such file; leave the option out, or make the file first")
    return Subject(
        *(args.artifacts, args.preset, args.images, args.data_root, lambda line: print(line, flush=True)),
        few=args.golden_images,
        fewest=args.qonnx_images,
        raster=args.raster,
    )


def _inputs(args: argparse.Namespace, subject: Subject) -> Inputs:
    """Return the files to read, after making those that are missing."""
    from spikeclip_fpga.ladder.hardware import BOARD
    from spikeclip_fpga.report import make
    from spikeclip_fpga.report.collect import Inputs

    folder = args.build or Path("build") / f"{args.preset}-{BOARD}"
    notes: list[str] = []
    activity = args.activity
    if args.no_build:
        build = make.shipped_build(subject)
        notes.append(
            f"Hardware is that of the shipped bundle, {build.parent}; nothing was built or simulated for this page."
        )
    else:
        build = make.build_json(subject, folder)
        if activity is None and not args.no_activity:
            activity = make.activity_json(subject, folder)
    sweep = args.sweep or args.artifacts / _SWEEP
    return Inputs(
        build,
        folder / "report" if not args.no_build else args.out,
        activity=None if args.no_activity else activity,
        measurement=args.measurement,
        sweep=sweep if sweep.is_file() else None,
        prices=args.prices,
        notes=tuple(notes),
    )


def _command(args: argparse.Namespace) -> list[str]:
    """Return the command that makes this report again, its options spelt out."""
    command = ["spikeclip", "report"]
    for name, value in sorted(vars(args).items()):
        option = f"--{name.replace('_', '-')}"
        if name in ("verb", "run", "debug", "source", "data_root") or value is None or value is False:
            continue
        if value is True:
            command.append(option)
        else:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            command += [option, text]
    return command
