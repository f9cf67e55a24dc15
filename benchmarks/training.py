"""Training speed of the tiny network with this project's fused LIF, SpikingJelly's LIFNode and snnTorch's Leaky.

One network, one optimiser, one machine; only the neuron layers differ. Each round takes one step with each, in
turn, so that whatever else the machine does falls on all alike. Leak, threshold, surrogate (arctan) and detached
reset by subtraction are the same; SpikingJelly subtracts before the leak, snnTorch fires above the threshold only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import snntorch
import spikingjelly.activation_based.neuron as jelly
import spikingjelly.activation_based.surrogate as jelly_surrogate
import torch
from snntorch import surrogate as snn_surrogate
from torch import nn

from spikeclip_fpga.model.config import preset
from spikeclip_fpga.model.losses import alignment_loss
from spikeclip_fpga.model.memory import channels_last
from spikeclip_fpga.model.neuron import LIF
from spikeclip_fpga.model.spikeclip import SpikeCLIP


class JellyLIF(nn.Module):
    """SpikingJelly's multi-step LIFNode, torch implementation."""

    def __init__(self, like: LIF) -> None:
        super().__init__()
        self.steps, self.broadcast = like.timesteps, like.broadcast
        self.node = jelly.LIFNode(
            tau=1 / (1 - like.neuron.decay),
            decay_input=False,
            v_threshold=like.v_threshold,
            v_reset=None,
            surrogate_function=jelly_surrogate.ATan(alpha=like.neuron.surrogate_alpha),
            detach_reset=True,
            step_mode="m",
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.expand(self.steps, *x.shape) if self.broadcast else x.unflatten(0, (self.steps, -1))
        spikes = self.node(x).flatten(0, 1)
        self.node.reset()
        return spikes


class SnnTorchLIF(nn.Module):
    """snnTorch's Leaky in the loop over steps its documentation shows."""

    def __init__(self, like: LIF) -> None:
        super().__init__()
        self.steps, self.broadcast = like.timesteps, like.broadcast
        self.node = snntorch.Leaky(
            beta=like.neuron.decay,
            threshold=like.v_threshold,
            spike_grad=snn_surrogate.atan(alpha=like.neuron.surrogate_alpha),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        by_step = [x] * self.steps if self.broadcast else x.unflatten(0, (self.steps, -1)).unbind(0)
        membrane = torch.zeros_like(by_step[0])
        spikes = []
        for current in by_step:
            fired, membrane = self.node(current, membrane)
            spikes.append(fired)
        return torch.cat(spikes)


NEURONS: dict[str, Callable[[LIF], nn.Module]] = {
    "fused": lambda like: like,
    "SpikingJelly": JellyLIF,
    "snnTorch": SnnTorchLIF,
}


class Bench:
    """One network with one kind of neuron, and the parts of its training step."""

    def __init__(self, kind: str, timesteps: int, batch: int, bf16: bool, clock: Callable[[], float]) -> None:
        torch.manual_seed(0)
        self.net = channels_last(SpikeCLIP(preset("tiny", timesteps=timesteps))).train()
        names = [name for name, module in self.net.named_modules() if isinstance(module, LIF)]
        for name in names:
            module = self.net.get_submodule(name)
            assert isinstance(module, LIF)
            self.net.set_submodule(name, NEURONS[kind](module))
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=1e-4, fused=True)
        self.images = (torch.rand(batch, 3, 32, 32) * 2 - 1).contiguous(memory_format=torch.channels_last)
        self.target = nn.functional.normalize(torch.randn(batch, 384), dim=1)
        self.bf16, self.clock = bf16, clock
        self.currents: list[tuple[nn.Module, torch.Tensor]] = []
        hooks = [self.net.get_submodule(name).register_forward_pre_hook(self._note) for name in names]
        self.step()
        for hook in hooks:
            hook.remove()

    def _note(self, module: nn.Module, args: tuple[torch.Tensor]) -> None:
        self.currents.append((module, args[0].detach().clone(memory_format=torch.preserve_format).requires_grad_()))

    def step(self) -> float:
        """Take one training step and return its seconds."""
        began = self.clock()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            vectors = self.net(self.images)
        loss = alignment_loss(vectors.float(), self.target)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return self.clock() - began

    def neurons(self) -> float:
        """Run only the neurons, forward and backward, on the currents of a step, and return the seconds."""
        seconds = 0.0
        for module, x in self.currents:
            x.grad = None
            began = self.clock()
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
                spikes = module(x)
            seconds += self.clock() - began
            gradient = torch.ones_like(spikes)
            began = self.clock()
            spikes.backward(gradient)
            seconds += self.clock() - began
        return seconds


def measure(
    rounds: int, timesteps: int, batch: int, bf16: bool, clock: Callable[[], float] = time.perf_counter
) -> dict[str, dict[str, float]]:
    """Return, for each kind of neuron, images/s, speed relative to it, and the neurons' share of the step."""
    benches = {kind: Bench(kind, timesteps, batch, bf16, clock) for kind in NEURONS}
    steps: dict[str, list[float]] = {kind: [] for kind in NEURONS}
    parts: dict[str, list[float]] = {kind: [] for kind in NEURONS}
    for turn in range(rounds + 1):
        for kind, bench in benches.items():
            step, part = bench.step(), bench.neurons()
            if turn:  # the first round warms the caches
                steps[kind].append(step)
                parts[kind].append(part)
    return {
        kind: {
            "images_per_s": batch / statistics.median(steps[kind]),
            "fused_is_faster_by": statistics.median(o / f for o, f in zip(steps[kind], steps["fused"], strict=True)),
            "neurons_ms": 1000 * statistics.median(parts[kind]),
            "fused_neurons_are_faster_by": statistics.median(
                o / f for o, f in zip(parts[kind], parts["fused"], strict=True)
            ),
            "neurons_share": statistics.median(p / s for p, s in zip(parts[kind], steps[kind], strict=True)),
        }
        for kind in NEURONS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="steps of each kind (default 9)")
    parser.add_argument("--timesteps", type=int, default=4, help="T (default 4)")
    parser.add_argument("--batch", type=int, default=128, help="images a step (default 128)")
    parser.add_argument("--float32", action="store_true", help="train in float32 instead of bfloat16")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time: for a machine that is busy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    args = parser.parse_args()
    clock = time.process_time if args.cpu_time else time.perf_counter
    result = measure(args.rounds, args.timesteps, args.batch, not args.float32, clock)
    if args.json:
        about = {name: value for name, value in vars(args).items() if name != "json"}
        about |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
        args.json.write_text(json.dumps({"settings": about, "neurons": result}, indent=2) + "\n")
    settings = f"{'float32' if args.float32 else 'bfloat16'}, {torch.get_num_threads()} threads"
    measured = f"medians of {args.rounds}, {'processor' if args.cpu_time else 'wall'} time"
    print(f"tiny, T={args.timesteps}, batch {args.batch}, {settings}, {measured}")
    print(f"{'neuron':14}{'images/s':>10}{'fused faster by':>18}{'neurons':>12}{'faster by':>11}{'share of step':>15}")
    for name, row in result.items():
        print(
            f"{name:14}{row['images_per_s']:10.0f}{row['fused_is_faster_by']:17.2f}x{row['neurons_ms']:9.1f} ms"
            f"{row['fused_neurons_are_faster_by']:10.2f}x{100 * row['neurons_share']:13.0f} %"
        )


if __name__ == "__main__":
    main()
