"""``spikeclip measure``: accuracy, latency, throughput and energy of a bundle on a backend."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .backends import add_bundle, add_rtl, opened
from .options import add_data, add_verb, load_data

if TYPE_CHECKING:
    from spikeclip_fpga.host.power import Clock, PowerSource


class _ListSources(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from spikeclip_fpga.host.power.registry import source_table

        print(source_table(), end="")
        parser.exit()


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "measure",
        run,
        "measure accuracy, latency, throughput and energy of a bundle",
        "spikeclip measure --bundle bitstreams/tiny-w4-pynq-z2 --backend pynq --images 10000 "
        "--source scpi:resource=TCPIP::192.168.2.1::INSTR,boundary=5V_input",
    )
    add_bundle(verb, required=True)
    add_rtl(verb)
    add_data(verb)
    verb.add_argument("--images", type=int, default=1000, help="test images, in order (default: %(default)s)")
    verb.add_argument("--batch", type=int, help="images a batch for throughput and energy (default: 256 at most)")
    verb.add_argument("--latency-runs", type=int, default=100, help="single images timed (default: %(default)s)")
    verb.add_argument("--source", help="power source, name:key=value,...; without, energy is not measured")
    verb.add_argument("--list-sources", action=_ListSources, nargs=0, help="show the power sources and end")
    verb.add_argument("--windows", type=int, default=5, help="pairs of idle and active windows (default: %(default)s)")
    verb.add_argument("--window-s", type=float, default=10.0, help="seconds of a window (default: %(default)s)")
    verb.add_argument("--warmup-s", type=float, default=10.0, help="seconds of work before them (default: %(default)s)")
    verb.add_argument("--settle-s", type=float, default=1.0, help="seconds before each window (default: %(default)s)")
    verb.add_argument("--json", action="store_true", help="print the JSON instead of the table")
    verb.add_argument("--out", type=Path, help="write the JSON to this file, e.g. measure.json")
    verb.add_argument("--energy-out", type=Path, help="write the energy report alone, for `spikeclip serve --energy`")


def run(args: argparse.Namespace, clock: Clock | None = None) -> int:
    """Measure, write, print. clock: of the power windows, the machine's own by default."""
    import hashlib
    import json

    from spikeclip_fpga.host.bundle import open_bundle
    from spikeclip_fpga.host.kinds import backend_kind
    from spikeclip_fpga.host.measurement import Measurement, fpga_state
    from spikeclip_fpga.host.performance import label_rows, measure_performance
    from spikeclip_fpga.host.power import measure, measure_idle, open_source

    _require_possible(args)
    bundle = open_bundle(args.bundle, board=args.board)
    images, truth, classes, data = _images(args)
    rows = label_rows(classes, bundle.labels)
    batch = args.batch or min(256, len(images))
    procedure = {"windows": args.windows, "window_s": args.window_s, "settle_s": args.settle_s, "clock": clock}
    source: PowerSource | None = None
    board_idle, energy, before = None, None, fpga_state()
    try:
        if args.source is not None:
            source = open_source(args.source, clock)
            _say(f"board idle, {args.windows} windows of {args.window_s:g} s")
            board_idle = measure_idle(source, **procedure)
        with opened(args, bundle) as accelerator:
            kind = backend_kind(accelerator.name, bundle.built)
            _say(f"{accelerator.name}: {kind.text}; {len(images)} images")
            performance = measure_performance(
                *(accelerator, images, rows[truth], bundle.labels), batch=batch, latency_runs=args.latency_runs
            )
            if source is not None:
                _say(f"energy, {args.windows} pairs of windows")
                workload = images[:batch]
                energy = measure(
                    source,
                    lambda: len(accelerator.embed(workload)),
                    **{**procedure, "warmup_s": args.warmup_s, "board_idle": board_idle},
                )
            behind = (args.behind or "fast") if args.backend == "twin" else None
            digest = hashlib.sha256(images.tobytes()).hexdigest()
            found = Measurement(bundle, accelerator.name, behind, kind, data, performance, energy, before, digest)
    finally:
        if source is not None:
            source.close()
    if args.out is not None:
        found.write(args.out)
    if energy is not None and args.energy_out is not None:
        energy.write(args.energy_out)
    print(json.dumps(found.content(), indent=1) + "\n" if args.json else found.table(), end="")
    return 0


def _require_possible(args: argparse.Namespace) -> None:
    """Refuse now what would fail after minutes. Raises PerformanceError."""
    from spikeclip_fpga.host.performance import PerformanceError

    for name in ("images", "latency_runs", "batch"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise PerformanceError(f"--{name.replace('_', '-')}: expected 1 or more, got {value}")
    if args.batch is not None and args.batch > args.images:
        raise PerformanceError(f"--batch {args.batch}: more than --images {args.images}; give fewer, or more images")
    if args.energy_out is not None and args.source is None:
        raise PerformanceError(f"--energy-out {args.energy_out}: no energy without a sensor; give --source too")
    for path in (args.out, args.energy_out):
        if path is not None and (not path.parent.is_dir() or path.is_dir()):
            raise PerformanceError(f"{path}: expected a file in a folder that exists; make the folder {path.parent}")


def _images(args: argparse.Namespace) -> tuple[Any, Any, tuple[str, ...], tuple[str, str]]:
    """Return test images, their classes' numbers, the classes' names, and the data set's name and split."""
    from spikeclip_fpga.host.performance import PerformanceError

    data = load_data(args, "test")
    if args.images > len(data):
        raise PerformanceError(f"--images {args.images}: {data.name} has {len(data)} test images; give fewer")
    taken = data.take(args.images)
    return taken.images, taken.labels, taken.class_names, (taken.name, taken.split)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
