"""Value changes by node of the graph: which node of a stitched top owns a net, and what its memories and DSPs did.

Every net is counted once, where it begins; the top's inputs are the reader's. Left out: the clock (energy prices it
apart), contents of memories (arrays of four elements or more: RAM, ROM and shift registers in LUTs, which are no
nets), the inside of DSPs, and the fill counters of FINN's FIFOs, which synthesis removes since nothing reads them.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .netnames import Name
from .saif import SaifFile, Signal, without_memories

_INSTANCE = re.compile(r"^  (\w+) (?:#\(.*\) )?u_(\w+) \(\n(.*?)\n  \);", re.MULTILINE | re.DOTALL)
_CONNECTION = re.compile(r"\.\w+\((\w+)\)")
_STREAM = re.compile(r"(\w+)_t(data|valid|ready)$")
_GLOBAL = ("ap_clk", "clk_i", "ap_rst_n")
_UNREAD = {"StreamingFIFO": {"Count", "MaxCount", "count", "maxcount", "count_nxt", "cnt_push", "cnt_pop"}}
# Port enables of the block RAMs of an operator: (last instance, signal) -> memory. A cycle with it high is one access
# of each block RAM of that memory.
_ENABLES = {
    "SpikeMVAU": {("u_weights", "read_i"): "all"},
    "LIF": {("u_constants", "read_i"): "all"},
    "Align": {("u_constants", "read_i"): "all"},
    "ConvolutionInputGenerator": {
        ("window_buffer_inst", "read_enable"): "all",
        ("window_buffer_inst", "write_enable"): "all",
    },
    "StreamingFIFO": {
        ("genMem", "re"): "all",
        ("genMem", "we"): "all",
        # A LUT RAM by its source; Yosys takes its output register along and may make a block RAM of both.
        ("genDist", "bload"): "all",
        ("genDist", "we"): "all",
    },
    "SpikeAttention": {
        ("gen_bank[0]", "read"): "counts",
        ("gen_bank[1]", "read"): "counts",
        ("u_operator", "write_q"): "counts",
        ("u_q_buffer", "gives"): "queries",
        ("u_q_buffer", "takes"): "queries",
    },
}
# FINN's weight streamer reads in every cycle; its DSPs rest while this is high.
_FREE_RUNNING, _DSP_IDLE = "MVAU", ("blkDsp", "dsp_zero")
# The behavioural model that stands for a DSP's inside in simulation.
_DSP_MODEL = "genBehav"


class ActivityError(RuntimeError):
    """A simulation whose counts do not fit the graph; one line that names the node or the file."""


@dataclass
class Counts:
    """What a node's nets did in the counted time; cycles of port enables by memory, of idle DSPs."""

    bits: int = 0
    toggles: int = 0
    register_bits: int = 0
    register_toggles: int = 0
    enabled: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    dsp_idle: float | None = None


def owners(verilog: str, nodes: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return (instance -> node, net of the top -> node) of a top that hw.stitch wrote. Raises ActivityError."""
    instances: dict[str, str] = {}
    users: dict[str, list[str]] = defaultdict(list)
    for _, name, body in _INSTANCE.findall(verilog):
        node = name if name in nodes else name.removesuffix("_weights")
        if node not in nodes:
            raise ActivityError(f"u_{name}: an instance of no node of the graph; build again with --fresh")
        instances[f"u_{name}"] = node
        for net in _CONNECTION.findall(body):
            if node not in users[net]:
                users[net].append(node)
    if missing := set(nodes) - set(instances.values()):
        raise ActivityError(f"{sorted(missing)[0]}: not in the RTL; build again with --fresh")
    nets: dict[str, str] = {}
    for net, found in users.items():
        stream = _STREAM.match(net)
        if stream is None:
            continue
        driver = re.sub(r"_(out\d+|weights)$", "", stream[1])
        others = [node for node in found if node != driver]
        nets[net] = (others or found)[0] if stream[2] == "ready" or driver not in found else driver
    return instances, nets


def count(
    path: Path,
    top: str,
    ops: Mapping[str, str],
    verilog: str,
    nets: Mapping[Name, bool],
) -> tuple[dict[str, Counts], float]:
    """Return node -> its counts, and the counted time in ps, from a SAIF file of module ``top``.

    ops: node -> operator. verilog: the text of the top. nets: netnames.nets of it.
    Raises ActivityError for a net of no node, SaifError.
    """
    instances, wires = owners(verilog, list(ops))
    counts = {node: Counts() for node in ops}
    with SaifFile(path) as saif:
        for scope, group in itertools.groupby(saif, key=lambda signal: signal.scope):
            inside = scope[scope.index(top) + 1 :] if top in scope else ()
            signals = list(group)
            if inside:
                node = instances.get(inside[0])
                if node is None:
                    raise ActivityError(f"{path}: instance {inside[0]} of {top} belongs to no node of the graph")
                _add(counts[node], ops[node], (top, *inside), signals, nets)
                continue
            for signal in signals:
                # Of the top's wires, its inputs alone do not come from a node.
                if ((top,), signal.name) not in nets or signal.scope[-1] != top or signal.name in _GLOBAL:
                    continue
                if signal.name not in wires:
                    raise ActivityError(f"{path}: net {signal.name} of {top} belongs to no node of the graph")
                counts[wires[signal.name]].bits += signal.bits
                counts[wires[signal.name]].toggles += signal.toggles
        return counts, saif.duration_ps


def _add(counts: Counts, op: str, scope: tuple[str, ...], signals: Sequence[Signal], nets: Mapping[Name, bool]) -> None:
    """Add the signals of one scope of a node."""
    if _DSP_MODEL in scope:
        return
    for signal, name in without_memories(signals):
        if name in _UNREAD.get(op, ()):
            continue
        is_register = nets.get((scope, name))
        if is_register is not None:
            counts.bits += signal.bits
            counts.toggles += signal.toggles
        if is_register:
            counts.register_bits += signal.bits
            counts.register_toggles += signal.toggles
        key = scope[-1], signal.name
        if key == _DSP_IDLE:
            counts.dsp_idle = float(signal.high)
        memory = _ENABLES.get(op, {}).get(key)
        if memory is not None:
            counts.enabled[memory] += signal.high


def accesses(op: str, counts: Counts, blocks: Mapping[str, int], cycles: int, period: float) -> float:
    """Return the accesses of one block RAM port of a node in ``cycles`` of ``period`` file units.

    blocks: memory -> block RAMs. Raises ActivityError if no enable of a memory was seen.
    """
    total = 0.0
    for memory, number in blocks.items():
        if not number:
            continue
        if op == _FREE_RUNNING:
            total += number * cycles
        elif memory in counts.enabled:
            total += number * counts.enabled[memory] / period
        else:
            raise ActivityError(f"{op}: {number} block RAMs of memory {memory}, and no enable of it in the simulation")
    return total
