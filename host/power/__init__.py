"""Measure power, and the energy of an inference, with a sensor, a boundary and an interval behind every figure.

    with open_source("ina226:shunt_ohm=0.1,max_current_a=0.8,boundary=5 V input of the board") as source:
        report = measure(source, lambda: len(accelerator.embed(batch)))
    report.write(Path("energy.json")); print(report.table())

One file per source; nothing here imports more than numpy before it is used.
"""

from .clock import Clock, RealClock, VirtualClock
from .errors import PowerError
from .intervals import Estimate
from .measure import measure, measure_idle, measure_recording
from .registry import SOURCES, open_source
from .replay import load_recording
from .report import EnergyReport, read_report
from .sampler import Sampler
from .source import PowerSource, Reading

__all__ = [
    "SOURCES",
    "Clock",
    "EnergyReport",
    "Estimate",
    "PowerError",
    "PowerSource",
    "Reading",
    "RealClock",
    "Sampler",
    "VirtualClock",
    "load_recording",
    "measure",
    "measure_idle",
    "measure_recording",
    "open_source",
    "read_report",
]
