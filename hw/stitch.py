"""Connect the modules of a FINN graph to one accelerator, without Vivado: a structural top and all it needs.

    stitched = stitch(model, Path("build/rtl"))                 # after PrepareIP
    stitched.sources, stitched.files, stitched.fifos

The folder is complete in itself: sources.f lists the Verilog in compile order, memory files lie beside it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .finn_rtl import OWN, RtlError, collect, has_weight_streamer, node_sources, weight_streamer

FIFO = "StreamingFIFO_rtl"
_GAUGE = OWN / "lib" / "fifo_gauge.sv"
_AXILITE_INPUTS = (
    *("AWVALID", "AWPROT", "AWADDR", "WVALID", "WDATA", "WSTRB", "BREADY"),
    *("ARVALID", "ARPROT", "ARADDR", "RREADY"),
)
# A gauge holds so many frames, and no less than so many beats.
_GAUGE_FRAMES, _GAUGE_BEATS = 4, 1024


@dataclass(frozen=True)
class Fifo:
    """A FIFO node: the tensor it gives, width in bits, depth in beats; gauge_depth 0 unless it is a gauge."""

    name: str
    tensor: str
    width: int
    depth: int
    gauge_depth: int = 0


@dataclass(frozen=True)
class Stitched:
    """An accelerator's top module, its files, stream widths in bits (padded to bytes) and FIFOs.

    files: memory file -> text, for Simulation.open. gauge: FIFOs are gauges, with outputs <node>_maxcount.
    probes: the real FIFOs tell their fill level on outputs <node>_count.
    """

    top: str
    folder: Path
    sources: tuple[Path, ...]
    includes: tuple[Path, ...]
    files: dict[str, str]
    inputs: dict[str, int]
    outputs: dict[str, int]
    fifos: tuple[Fifo, ...]
    gauge: bool = False
    probes: bool = False


@dataclass(frozen=True)
class _Node:
    """A node of the graph: FINN's class, its streams (tensor, port, padded width, width), nothing else."""

    name: str
    node: Any
    inputs: tuple[tuple[str, str, int, int], ...]
    outputs: tuple[tuple[str, str, int, int], ...]

    @property
    def is_fifo(self) -> bool:
        return self.node.onnx_node.op_type == FIFO

    @property
    def module(self) -> str:
        return str(self.node.get_nodeattr("gen_top_module"))

    def module_text(self) -> str:
        """Return the Verilog of the module."""
        return next(p for p in node_sources(self.node) if p.stem in (self.module, f"{self.module}_wrapper")).read_text()


def stitch(
    model: Any, folder: Path, *, top: str = "spikeclip_accelerator", gauge: bool = False, probes: bool = False
) -> Stitched:
    """Write module ``top`` for a graph of FINN's and our RTL nodes, after PrepareIP, to ``folder``.

    What an earlier call wrote there is removed. Ports: ap_clk, ap_rst_n, s_axis_<i>_{tdata,tvalid,tready} per graph
    input, m_axis_<i> per output. gauge: put a gauge in the place of every FIFO. probes: give the FIFOs' fill levels
    as outputs. Raises RtlError naming the node for one that is not RTL, a tensor read twice, or streams of two
    widths.
    """
    if gauge and probes:
        raise RtlError(f"{top}: gauge and probes exclude each other; a gauge tells the most beats it held")
    nodes = [_node(model, raw) for raw in model.graph.node]
    links = _links(model, nodes)
    fifos = tuple(_fifo(node, gauge) for node in nodes if node.is_fifo)
    for node in nodes:
        if probes and node.is_fifo and "count" not in _ports(node.module_text(), "output"):
            raise RtlError(f"{node.name}: module {node.module} has no output count to probe")
    sources = {n.module: node_sources(n.node) for n in nodes if not (gauge and n.is_fifo)}
    if len(sources) < sum(not (gauge and n.is_fifo) for n in nodes):
        twice, _ = Counter(n.module for n in nodes).most_common(1)[0]
        raise RtlError(f"{top}: two nodes have module {twice}; run GiveUniqueNodeNames before PrepareIP")
    if gauge and fifos:
        sources["sc_fifo_gauge"] = [_GAUGE]
    if (folder / "sources.f").is_file():  # what an earlier call wrote here
        for old in [p for p in folder.iterdir() if p.is_file()]:
            old.unlink()
    collected = collect(sources, folder)
    path = folder / f"{top}.v"
    if path in collected.sources:
        raise RtlError(f"{top}: a node's module has this name too; choose another top")
    inputs = {f"s_axis_{i}": links[t.name][1] for i, t in enumerate(model.graph.input)}
    outputs = {f"m_axis_{i}": links[t.name][1] for i, t in enumerate(model.graph.output)}
    path.write_text(_top(top, model, nodes, links, fifos, inputs, outputs, probes))
    all_sources = (*collected.sources, path)
    (folder / "sources.f").write_text("".join(f"{p.name}\n" for p in all_sources))
    return Stitched(
        *(top, folder, all_sources, collected.includes, collected.files, inputs, outputs, fifos, gauge, probes)
    )


def _node(model: Any, raw: Any) -> _Node:
    from finn.util.fpgadataflow import is_rtl_node
    from qonnx.custom_op.registry import getCustomOp

    if not is_rtl_node(raw):
        raise RtlError(f"{raw.name}: {raw.op_type} is no RTL node; run SpecializeLayers, or give it an RTL variant")
    node = getCustomOp(raw)
    if not node.get_nodeattr("gen_top_module"):
        raise RtlError(f"{raw.name}: no HDL was generated; run PrepareIP")
    names = node.get_verilog_top_module_intf_names()
    for kind in ("aximm", "axilite", "clk2x"):
        if names.get(kind):
            raise RtlError(f"{raw.name}: interface {kind} {names[kind]} is not supported; only streams are")
    streams = [(i, name) for i, name in enumerate(raw.input) if model.get_initializer(name) is None]
    if len(streams) != len(names["s_axis"]) or len(raw.output) != len(names["m_axis"]):
        raise RtlError(
            f"{raw.name}: {len(streams)} stream inputs and {len(raw.output)} outputs in the graph, "
            f"{len(names['s_axis'])} and {len(names['m_axis'])} in the HDL"
        )
    return _Node(
        raw.name,
        node,
        tuple(
            (tensor, port, width, int(node.get_instream_width(i)))
            for (i, tensor), (port, width) in zip(streams, names["s_axis"], strict=True)
        ),
        tuple(
            (tensor, port, width, int(node.get_outstream_width(i)))
            for (i, tensor), (port, width) in zip(enumerate(raw.output), names["m_axis"], strict=True)
        ),
    )


def _links(model: Any, nodes: list[_Node]) -> dict[str, tuple[str, int]]:
    """Return tensor -> (stem of its wires, padded width), every stream with one source, one sink and one width."""
    sinks: dict[str, list[tuple[str, int, int]]] = {}
    for node in nodes:
        for tensor, _, padded, width in node.inputs:
            sinks.setdefault(tensor, []).append((node.name, padded, width))
    sources: dict[str, tuple[str, int, int]] = {}
    links: dict[str, tuple[str, int]] = {}
    for node in nodes:
        for i, (tensor, _, padded, width) in enumerate(node.outputs):
            sources[tensor] = (node.name, padded, width)
            links[tensor] = (f"{node.name}_out{i}", padded)
    graph_outputs = {t.name: f"m_axis_{i}" for i, t in enumerate(model.graph.output)}
    for tensor, (name, padded, width) in sources.items():
        readers = [sink for sink, _, _ in sinks.get(tensor, [])]
        readers += [graph_outputs[tensor]] if tensor in graph_outputs else []
        if not readers:
            raise RtlError(f"{name}: nothing reads its output {tensor}")
        if len(readers) > 1:
            read = " and ".join(readers)
            raise RtlError(f"{name}: its output {tensor} is read by {read}; copy a stream with a Fork node")
        for sink, other_padded, other in sinks.get(tensor, []):
            if (padded, width) != (other_padded, other):
                raise RtlError(
                    f"{name} gives {width} bits per beat, {sink} takes {other} ({tensor}); run InsertDWC between them"
                )
        if tensor in graph_outputs:
            links[tensor] = (graph_outputs[tensor], padded)
    for i, value in enumerate(model.graph.input):
        readers = [name for name, _, _ in sinks.get(value.name, [])]
        if len(readers) != 1:
            read = " and ".join(readers) or "nothing"
            raise RtlError(f"graph input {value.name} is read by {read}; copy a stream read twice with a Fork node")
        links[value.name] = (f"s_axis_{i}", sinks[value.name][0][1])
    for tensor, readers_ in sinks.items():
        if tensor not in links:
            raise RtlError(f"{readers_[0][0]}: nothing gives its input {tensor}")
    return links


def _fifo(node: _Node, gauge: bool) -> Fifo:
    (tensor, _, padded, _) = node.outputs[0]
    shape = node.node.get_folded_output_shape()
    beats = 1
    for n in shape[:-1]:
        beats *= int(n)
    depth = max(_GAUGE_BEATS, _GAUGE_FRAMES * beats) if gauge else 0
    return Fifo(node.name, tensor, padded, int(node.node.get_nodeattr("depth")), depth)


def _top(
    top: str,
    model: Any,
    nodes: list[_Node],
    links: dict[str, tuple[str, int]],
    fifos: tuple[Fifo, ...],
    inputs: dict[str, int],
    outputs: dict[str, int],
    probes: bool,
) -> str:
    """Return the Verilog of the top module."""
    gauges = {fifo.name: fifo for fifo in fifos if fifo.gauge_depth}
    buses = ":".join((*inputs, *outputs))
    ports = [
        f'(* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {buses}, ASSOCIATED_RESET ap_rst_n" *)\n'
        '  (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 ap_clk CLK" *)\n  input ap_clk',
        '(* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)\n'
        '  (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 ap_rst_n RST" *)\n  input ap_rst_n',
    ]
    for streams, forward, backward in ((inputs, "input", "output"), (outputs, "output", "input")):
        for name, width in streams.items():
            info = f'(* X_INTERFACE_INFO = "xilinx.com:interface:axis:1.0 {name}'
            ports += [
                f'{info} TDATA" *)\n  {forward} [{width - 1}:0] {name}_tdata',
                f'{info} TVALID" *)\n  {forward} {name}_tvalid',
                f'{info} TREADY" *)\n  {backward} {name}_tready',
            ]
    level = "count" if probes else "maxcount"
    if probes or gauges:
        ports += [f"output [31:0] {fifo.name}_{level}" for fifo in fifos]
    wires = [
        f"  wire [{width - 1}:0] {stem}_tdata;\n  wire {stem}_tvalid, {stem}_tready;"
        for stem, width in links.values()
        if stem not in inputs and stem not in outputs
    ]
    body = [_gauge(node, gauges[node.name], links) if node.name in gauges else _instance(node, links, probes)
            for node in nodes]  # fmt: skip
    return (
        f"// {len(nodes)} nodes of a FINN graph, written by stitch.py.\n"
        f"module {top} (\n  " + ",\n  ".join(ports) + "\n);\n" + "\n".join((*wires, *body)) + "\nendmodule\n"
    )


def _streams(streams: tuple[tuple[str, str, int, int], ...], links: dict[str, tuple[str, int]]) -> dict[str, str]:
    return {
        f"{port}_{signal.upper()}": f"{links[tensor][0]}_{signal}"
        for tensor, port, _, _ in streams
        for signal in ("tdata", "tvalid", "tready")
    }


def _ports(text: str, direction: str) -> list[str]:
    """Return the ports of one direction in the header of a Verilog file's first module."""
    bare = re.sub(r"//[^\n]*|/\*.*?\*/|\(\*.*?\*\)", "", text, flags=re.DOTALL)
    header = bare[re.search(r"\bmodule\b", bare).start() :].split(";", 1)[0]  # type: ignore[union-attr]
    return re.findall(rf"\b{direction}\b\s+(?:wire\s+|logic\s+|reg\s+)?(?:\[[^\]]*\]\s*)*(\w+)", header)


def _instantiate(module: str, name: str, links: dict[str, str], text: str = "", parameters: str = "") -> str:
    """Return an instance; inputs in the module's ``text`` that nothing drives are 0, as Vivado would have them."""
    idle = {port: "0" for port in _ports(text, "input") if port not in links} if text else {}
    connections = [f".{port}({wire})" for port, wire in {**links, **idle}.items()]
    return f"  {module} {parameters}u_{name} (\n    " + ",\n    ".join(connections) + "\n  );"


def _instance(node: _Node, links: dict[str, tuple[str, int]], probes: bool) -> str:
    clocks = {"ap_clk": "ap_clk", "ap_rst_n": "ap_rst_n"}
    ports = {**clocks, **_streams(node.inputs, links), **_streams(node.outputs, links)}
    if probes and node.is_fifo:
        ports["count"] = f"{node.name}_count"
    if node.node.onnx_node.op_type == "MVAU_rtl":
        ports["ap_clk2x"] = "ap_clk"
    if not has_weight_streamer(node.node):
        return _instantiate(node.module, node.name, ports, node.module_text())
    # Weights come from a module of their own, whose register interface stays unused.
    stem, width = f"{node.name}_weights", node.node.get_instream_width_padded(1)
    signals = ("tdata", "tvalid", "tready")
    ports |= {f"in1_V_{signal.upper()}": f"{stem}_{signal}" for signal in signals}
    feed = {**clocks, "ap_clk2x": "ap_clk", **{f"m_axis_0_{signal}": f"{stem}_{signal}" for signal in signals}}
    streamer = weight_streamer(node.node)
    text = next(p for p in node_sources(node.node) if p.stem == streamer).read_text()
    return (
        f"  wire [{width - 1}:0] {stem}_tdata;\n  wire {stem}_tvalid, {stem}_tready;\n"
        + _instantiate(streamer, f"{node.name}_weights", feed, text)
        + "\n"
        + _instantiate(node.module, node.name, ports, node.module_text())
    )


def _gauge(node: _Node, fifo: Fifo, links: dict[str, tuple[str, int]]) -> str:
    ports = {"clk_i": "ap_clk", "rst_ni": "ap_rst_n", "maxcount_o": f"{node.name}_maxcount"}
    for side, streams, directions in (("in", node.inputs, "iio"), ("out", node.outputs, "ooi")):
        stem = links[streams[0][0]][0]
        signals = zip(("data", "valid", "ready"), directions, strict=True)
        ports |= {f"{side}_{signal}_{direction}": f"{stem}_t{signal}" for signal, direction in signals}
    parameters = f"#(.DEPTH({fifo.gauge_depth}), .WIDTH({fifo.width})) "
    return _instantiate("sc_fifo_gauge", node.name, ports, parameters=parameters)
