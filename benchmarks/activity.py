"""Compare how much RTL and its netlist switch on real data, and what counting costs.

For three operators of `tiny` with the tensors of real images: alpha (changes of a bit and cycle) of the RTL's signals
and of the nets of Yosys' netlist, zero-delay both. Then seconds of one operator's simulation without and with counts,
in turns. Usage:

  python benchmarks/activity.py [--network artifacts/tiny.int.safetensors] [--images 2] [--rounds 5] [--json F]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from spikeclip_fpga.hw.activity.gates import Pair, compare
from spikeclip_fpga.hw.ops.lif import Lif
from spikeclip_fpga.hw.ops.spike_attention import SpikeAttention
from spikeclip_fpga.hw.ops.spike_mvau import SpikeMvau
from spikeclip_fpga.hw.simulate import build
from spikeclip_fpga.model.data import load as load_images
from spikeclip_fpga.quantize import network

Case = tuple[Any, dict[str, str], dict[str, np.ndarray], dict[str, int]]


def cases(net: network.IntNetwork, images: np.ndarray) -> dict[str, Case]:
    """Return name -> operator, ROM files, input streams and output beats, of the first block on images."""
    values: dict[str, np.ndarray] = {"": net.pixels(images)}
    net.run(images, lambda node, value: values.__setitem__(node.output, value))
    nodes = {node.name: node for node in net.nodes}
    steps = int(json.loads(net.meta["config"])["timesteps"])

    def operands(name: str) -> list[np.ndarray]:
        return [net.constants[n] if n in net.constants else values[n] for n in nodes[name].inputs]

    made: dict[str, Case] = {}
    for name, simd, pe in (("blocks.0.attention.q.linear", 6, 1), ("blocks.0.mlp.fc1.linear", 12, 2)):
        words, weight = operands(name)
        mvau = SpikeMvau.fitted(weight, simd=simd, pe=pe, timesteps=steps, w_width=4)
        vectors = words.reshape(-1, words.shape[-1])
        made[name] = mvau, mvau.files(weight), mvau.to_beats(vectors), {"out": len(vectors) * mvau.nf}
    currents, threshold, bias = operands("blocks.0.attention.q")
    low, high = int(currents.min()), int(currents.max())
    lif = Lif.fitted(threshold, bias, pe=1, timesteps=steps, low=low, high=high)
    streams = lif.to_beats(currents)
    made["blocks.0.attention.q"] = lif, lif.files(threshold, bias), streams, {"out": len(streams["in"])}
    q, k, v = operands("blocks.0.attention")
    dim, tokens = q.shape[-1], int(np.prod(q.shape[1:-1]))
    heads = int(nodes["blocks.0.attention"].attributes["heads"])
    attention = SpikeAttention.fitted(dim=dim, heads=heads, tokens=tokens, timesteps=steps, pe=1)
    flat = [x.reshape(len(images), tokens, dim) for x in (q, k, v)]
    made["blocks.0.attention"] = attention, {}, attention.to_beats(*flat), {"out": len(images) * tokens * dim}
    return made


def seconds(case: Case, trace: str) -> float:
    """Return the wall-clock time of one run."""
    operator, files, inputs, outputs = case
    model = build(operator.top, operator.sources, operator.parameters(), trace=trace, strict=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counts.saif" if trace else None
        with model.open(files, trace=path) as simulation:
            begin = time.perf_counter()
            simulation.run(inputs, outputs, watchdog=100_000)
            return time.perf_counter() - begin


def main() -> None:
    """Print one line per operator and the cost of counting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path, default=Path("artifacts/tiny.int.safetensors"))
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    images = load_images("fashion-mnist", "test", None).images[: args.images]
    made = cases(network.load(args.network), images)
    report: dict[str, Any] = {}
    for name, case in made.items():
        operator, files, inputs, outputs = case
        pair: Pair = compare(operator.top, operator.sources, operator.parameters(), files, inputs, outputs)
        report[name] = {
            "module": operator.top,
            "rtl": {"bits": pair.rtl.bits, "alpha": pair.rtl.alpha},
            "netlist_registers": {"bits": pair.gate_registers.bits, "alpha": pair.gate_registers.alpha},
            "netlist": {"bits": pair.gates.bits, "alpha": pair.gates.alpha, "lut": pair.lut, "ff": pair.ff},
            "alpha_ratio": pair.ratio,
            "toggle_ratio": pair.gates.toggles / pair.rtl.toggles,
        }
        print(
            f"{name:<28} {operator.top:<18} RTL {pair.rtl.bits:>6,} bits, alpha {pair.rtl.alpha:.4f}; netlist "
            f"{pair.gates.bits:>6,} outputs, alpha {pair.gates.alpha:.4f} "
            f"(registers {pair.gate_registers.alpha:.4f}); ratio {pair.ratio:.2f} "
            f"(changes {pair.gates.toggles / pair.rtl.toggles:.2f})",
            flush=True,
        )
    case = next(iter(made.values()))
    turns = [(seconds(case, ""), seconds(case, "saif")) for _ in range(args.rounds)]
    cost = statistics.median(counted / plain for plain, counted in turns)
    report["counting_costs_times"] = cost
    print(f"counting every net takes {cost:.1f} times as long as simulating alone (median of {args.rounds})")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
