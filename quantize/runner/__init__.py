"""The fast runner: golden.py's integers for whole data sets, image by image on every core.

What it costs. An image of the ``tiny`` preset takes 31 M multiply-accumulates when done densely. Spikes being 0
or 1, only the rows of weights of neurons that fire are added: 6.3 M additions in the shipped network, each
reading one byte of weight (240 KB of them, out of the second-level cache; an image's own buffers are 260 KB).
The inner loop alone, with its weights in the first-level cache, bounds the rate from above: that floor, and how
far the runner is from it, is what ``benchmarks/integer_runner.py`` prints. On the machine it was written on the
runner was at 29 % of the floor; a third of its time was in the inner loop, the rest in making the lists of
spikes, in the dense first convolution and in the neurons.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikeclip_fpga.model.native import compile_library

from ..golden import RangeError
from ..network import IntNetwork
from .program import Op, ProgramError, compile_network

__all__ = ["Activity", "FastRunner", "ProgramError"]

_SOURCE = Path(__file__).parent / "runner.cpp"
_BATCH = 256  # images between two calls of ``progress``
_STEPS = 16  # counters per operator, runner.cpp's kSteps


@dataclass(frozen=True)
class Activity:
    """What a run did, summed over its images.

    spikes: node name -> (T,) int64, spikes of each LIF and OrPool at each step. additions: node name -> int,
    additions of a weight by each SpikeConv and SpikeLinear.
    """

    images: int
    spikes: dict[str, np.ndarray]
    additions: dict[str, int]


class FastRunner:
    """Run an integer network bit-exactly as golden.py, with C++ kernels compiled on first use.

    Raises ProgramError if the network has a node without a kernel or a value that needs more than 32 bits
    (membranes: 64), CompilerError if the machine has no g++.
    """

    def __init__(self, network: IntNetwork) -> None:
        self.network = network
        self._program = compile_network(network)
        self._library = compile_library(_SOURCE)
        self._library.sc_runner_run.restype = ctypes.c_int64
        if self._library.sc_runner_op_bytes() != ctypes.sizeof(Op):
            raise ProgramError(f"{_SOURCE.name}: its Op is not program.py's; install this package again")

    def run(
        self, images: np.ndarray, progress: Callable[[int], None] | None = None, threads: int | None = None
    ) -> np.ndarray:
        """Return (N, E) int64 embeddings of (N, H, W, 3) uint8 images.

        ``progress`` is called with the number of images done so far. ``threads``: default one per core this
        process may use. Raises ValueError for images of another shape or type, RangeError (naming the node)
        as golden does when a membrane leaves its width.
        """
        return self._run(images, progress, threads, None)

    def run_counted(
        self, images: np.ndarray, progress: Callable[[int], None] | None = None, threads: int | None = None
    ) -> tuple[np.ndarray, Activity]:
        """Return :meth:`run`'s embeddings and the spikes and additions they took."""
        nodes = self._program.nodes
        counters = np.zeros((len(nodes), _STEPS), np.int64)
        out = self._run(images, progress, threads, counters)
        spikes, additions = {}, {}
        for node, op, count in zip(nodes, self._program.ops, counters, strict=True):
            if node.op in ("LIF", "OrPool"):
                spikes[node.name] = count[: op.steps].copy()
            elif node.op in ("SpikeConv", "SpikeLinear"):
                additions[node.name] = int(count.sum()) * int(op.out_channels)
        return out, Activity(len(images), spikes, additions)

    def _run(
        self,
        images: np.ndarray,
        progress: Callable[[int], None] | None,
        threads: int | None,
        counters: np.ndarray | None,
    ) -> np.ndarray:
        program, size = self._program, self._program.image_size
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (size, size, 3):
            raise ValueError(f"images: expected uint8 (B, {size}, {size}, 3), got {images.dtype} {images.shape}")
        threads = len(os.sched_getaffinity(0)) if threads is None else threads
        if threads < 1:
            raise ValueError(f"threads: expected 1 or more, got {threads}")
        images = np.ascontiguousarray(images)
        out = np.empty((len(images), self.network.embed_dim), np.int64)
        failure = np.zeros(3, np.int64)
        for start in range(0, len(images), _BATCH):
            part = images[start : start + _BATCH]
            status = self._library.sc_runner_run(
                *(ctypes.byref(program.ops), _i64(len(program.ops)), _i64(program.arena_bytes), _i64(program.scratch)),
                *(_pointer(part), _i64(len(part)), _i64(part[0].nbytes), _pointer(out[start:]), _i64(out.shape[1])),
                *(_i64(min(threads, len(part))), _pointer(counters), _pointer(failure)),
            )
            if status == 1:
                self._range_error(failure)
            if status:
                raise MemoryError(
                    f"no {threads} x {program.arena_bytes >> 20} MiB for the runner's buffers; ask for fewer threads"
                )
            if progress is not None:
                progress(start + len(part))
        return out

    def _range_error(self, failure: np.ndarray) -> None:
        node, (_, step, value) = self._program.nodes[failure[0]], failure
        bits = node.attributes.get("membrane_bits", 32)
        raise RangeError(f"{node.name}: membrane {value} at step {step} does not fit {bits} bits")


def _i64(value: int) -> ctypes.c_int64:
    return ctypes.c_int64(value)


def _pointer(array: np.ndarray | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)
