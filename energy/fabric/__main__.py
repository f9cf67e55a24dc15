"""``python -m spikeclip_fpga.energy.fabric ACTIVITY.json``: price switching activity, print the table, write JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..measurement_file import MeasurementError
from . import plausible
from .activity import load, read
from .calibrate import calibrate
from .errors import FabricError
from .estimate import FabricEnergy, estimate
from .parts import prices
from .table import table


def main(arguments: list[str] | None = None) -> int:
    """Print the table; return 0, or 1 after an error told in one line."""
    parser = argparse.ArgumentParser(
        prog="python -m spikeclip_fpga.energy.fabric", description="Energy of an inference from switching activity."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("activity", type=Path, nargs="?", help="activity.json, as `spikeclip activity` writes it")
    what.add_argument("--published", action="store_true", help="what the prices imply of the reports they come from")
    parser.add_argument("--coefficients", type=Path, help='JSON that replaces prices, {"lut": 0.4}')
    parser.add_argument("--calibrate", type=Path, help="Vivado's report_power text, or measure.json, to correct by")
    parser.add_argument("--save-coefficients", type=Path, help="write the prices used, for --coefficients")
    parser.add_argument("--clk-mhz", type=float, help="clock for power and static energy (default: the activity's)")
    parser.add_argument("--json", type=Path, help="write the estimate here as well")
    args = parser.parse_args(arguments)
    if args.published:
        print(plausible.table(), end="")
        return 0
    try:
        found = _run(args)
    except (FabricError, MeasurementError, OSError, UnicodeDecodeError) as error:
        print(f"energy: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(table(found), end="")
    return 0


def _run(args: argparse.Namespace) -> FabricEnergy:
    data = load(args.activity)
    given = prices(read(data).part)
    if args.coefficients:
        given = given.overridden(args.coefficients.read_text(encoding="utf-8"))
    if args.calibrate:
        corrected = calibrate(data, args.calibrate, given)
        given = corrected.coefficients
        for name, factor in corrected.factors.items():
            print(f"calibrated: {name} x {factor:.3g}")
        for note in corrected.notes:
            print(f"calibration: {note}")
    found = estimate(data, given, args.clk_mhz)
    if args.save_coefficients:
        text = json.dumps(given.to_json(), indent=1, allow_nan=False) + "\n"
        args.save_coefficients.write_text(text, encoding="utf-8")
    if args.json:
        args.json.write_text(json.dumps(found.to_json(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return found


if __name__ == "__main__":
    sys.exit(main())
