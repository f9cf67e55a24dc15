"""Activities, power reports and measurements written by hand for the tests of energy/fabric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHA = "ab" * 32


def node(name: str = "mvau_0", **changed: Any) -> dict[str, Any]:
    return {
        "name": name,
        "layer": "blocks.0.attention.q",
        "op": "SpikeMVAU",
        "lut": 1000,
        "ff": 800,
        "bram18": 4,
        "dsp": 2,
        "bits": 2000,
        "toggles_per_frame": 400_000.0,
        "register_bits": 500,
        "register_toggles_per_frame": 100_000.0,
        "bram_accesses_per_frame": 3000.0,
        "dsp_operations_per_frame": 500.0,
        **changed,
    }


def activity(*nodes: dict[str, Any], subject: Mapping[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    return {
        "format": "spikeclip-fpga/activity",
        "schema": 1,
        "subject": {
            "network": "tiny",
            "network_sha256": SHA,
            "board": "pynq-z2",
            "part": "xc7z020clg400-1",
            "family": "7series",
            "clk_mhz": 100.0,
            **(subject or {}),
        },
        "stimulus": {"data": "fashion-mnist", "split": "test", "images": [0, 1], "how": "by hand"},
        "frames": 2,
        "cycles_per_frame": 1000.0,
        "netlist": {"kind": "by hand"},
        "nodes": list(nodes) or [node()],
        "notes": [],
        **changed,
    }


ULTRASCALE = {"part": "xczu7ev-ffvc1156-2-e", "family": "ultrascale+", "board": "zcu104", "clk_mhz": 200.0}

HEAD = """Copyright 1986-2022
| Tool Version     : Vivado v.2022.2 (lin64) Build 1
| Device           : {part}
| Design State     : routed

Power Report

Table of Contents
-----------------
1. Summary
1.1 On-Chip Components

1. Summary
----------

+--------------------------+--------------+
| Total On-Chip Power (W)  | 1.581        |
| Dynamic (W)              | 1.439        |
| Device Static (W)        | {static}        |
| Confidence Level         | {confidence} |
| Simulation Activity File | {saif} |
| Design Nets Matched      | 87%   (10/12) |
+--------------------------+--------------+


1.1 On-Chip Components
----------------------

| On-Chip | Power (W) | Used | Available | Utilization (%) |
"""
CLOCKS = """

1.2 Power Supply Summary
------------------------

| Source | Voltage (V) | Total (A) |
| Vccint |       1.000 |     0.191 |


2.2 Clock Constraints
---------------------

| Clock | Domain | Constraint (ns) |
"""


def power_report(
    rows: Mapping[str, tuple[str, str]],
    clocks: Mapping[str, str],
    part: str = "xc7z020clg400-1",
    confidence: str = "Medium",
    saif: str = "---",
    static: str = "0.142",
) -> str:
    """Return a report_power text: rows of On-Chip Components as (watts, used), clocks as periods in ns."""
    head = HEAD.format(part=part, static=static, confidence=confidence, saif=saif)
    body = "".join(f"| {name:<24} | {watts:>9} | {used:>8} | --- | --- |\n" for name, (watts, used) in rows.items())
    return head + body + CLOCKS + "".join(f"| {name} | top/{name} | {ns} |\n" for name, ns in clocks.items())
