"""The dynamic energy of an image in a measure.json, for calibration; refused unless this hardware was measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..measured import NotMeasured, read_measurement
from ..measurement_file import read_file
from ..subject import ImageSet, Subject
from .activity import Activity
from .errors import FabricError
from .interval import Interval


@dataclass(frozen=True)
class MeasuredDynamic:
    """Dynamic energy of an image, in nJ with its 95 % interval, and the sensor with what it stands in front of."""

    dynamic_nj: Interval
    sensor: str
    boundary: str


def read_dynamic(path: Path, counted: Activity) -> MeasuredDynamic:
    """Return what a measurement says of the activity's network on its board, on images of the same data and split.

    Any number of images and any clock will do: both figures are of one image, and neither depends on the clock.
    Raises MeasurementError as read_measurement does; FabricError without energy, or if it may be none.
    """
    data = read_file(path).inside("data")
    stimulus = counted.stimulus
    images = ImageSet(str(stimulus.get("data")), stimulus.get("split"), data.count("images", 1))
    subject = Subject(
        network=str(counted.subject.get("network")),
        network_sha256=str(counted.subject.get("network_sha256")),
        images=images,
        board=counted.subject.get("board"),
    )
    found = read_measurement(path, subject)
    if isinstance(found, NotMeasured):
        raise FabricError(f"{path}: energy: not measured; measure again with --source")
    dynamic = Interval(found.dynamic.value_nj, found.dynamic.low_nj, found.dynamic.high_nj)
    if dynamic.low <= 0:
        raise FabricError(
            f"{path}: energy_dynamic_mj: expected an interval above 0, got {dynamic.low / 1e6:g} to "
            f"{dynamic.high / 1e6:g} mJ; measure longer windows"
        )
    return MeasuredDynamic(dynamic, found.sensor, found.boundary)
