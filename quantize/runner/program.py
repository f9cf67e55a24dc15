"""Compile an integer network to the flat program that runner.cpp interprets.

One walk over the nodes gives every tensor a place in an image's arena and, by interval arithmetic on the
weights, the narrowest type that provably holds it: no input can leave these ranges, so the arithmetic in
16 or 32 bits is golden's. Where a membrane is not proven to fit the node's ``membrane_bits``, the program
asks for 64 bits and a check of every value.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..network import IMAGE, IntNetwork, Node

Array = np.ndarray

BLOCK = 32  # channels are padded to a multiple of it; kBlock, kMaxBlocks, kQuad of runner.cpp
MAX_BLOCKS = 4
QUAD = 4
SLACK = 256  # bytes after each buffer that a last vector may touch
KINDS = ("Conv", "SpikeConv", "MaxPool", "OrPool", "LIF", "Align", "ResidualAdd", "SpikeAttention", "Readout")


class ProgramError(RuntimeError):
    """A network the fast runner cannot run; the message names the node."""


class Op(ctypes.Structure):
    """One operator of the program: runner.cpp's ``Op``, field by field, all int64."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("op", "mode", "src", "src2", "src3", "dst", "lists", "lists2", "steps", "height", "width", "channels"),
            *(
                "out_height",
                "out_width",
                "out_channels",
                "kernel",
                "stride",
                "pad",
                "src_bits",
                "src2_bits",
                "dst_bits",
            ),
            *("p0", "p1", "p2", "a0", "a1", "a2", "a3", "a4", "a5"),
        )
    ]


@dataclass
class Buffer:
    """Bytes of the arena in use from operator ``first`` to operator ``last``; placed at ``offset``."""

    size: int
    first: int
    last: int
    offset: int = -1


@dataclass
class Tensor:
    """A value of the network: currents (``bits`` 16 or 32, bounds per channel) or spikes (``bits`` 8).

    A static image's accumulators have one step. ``lists`` is there once an operator reads the spikes as lists.
    """

    data: Buffer
    height: int
    width: int
    channels: int
    steps: int
    bits: int
    low: Array
    high: Array
    writer: Op
    lists: Buffer | None = None

    @property
    def positions(self) -> int:
        """Number of map positions or tokens."""
        return self.height * self.width


@dataclass
class Program:
    """What runner.cpp runs. ``nodes[i]`` is the network's node of ``ops[i]``; ``constants`` keeps memory alive."""

    ops: ctypes.Array[Op]
    nodes: list[Node]
    constants: list[Array]
    scratch: int
    arena_bytes: int
    image_size: int


def padded(channels: int) -> int:
    """Return ``channels`` rounded up to whole blocks."""
    return -(-channels // BLOCK) * BLOCK


def _list_bytes(channels: int) -> int:
    return 2 * (16 + -(-channels // 8) * 8)


def _bits(low: Array, high: Array, node: Node) -> int:
    lowest, highest = int(low.min()), int(high.max())
    for bits in (16, 32):
        if -(1 << (bits - 1)) <= lowest and highest < 1 << (bits - 1):
            return bits
    raise ProgramError(
        f"{node.name}: its output, {lowest} to {highest}, needs more than the runner's 32 bits; run it with golden"
    )


def membrane_bounds(node: Node, low: Array, high: Array, threshold: Array) -> tuple[int, int]:
    """Return bounds of every membrane of a LIF over its steps, for drives between ``low`` and ``high`` (C,).

    Eq. 1-2 on intervals: a neuron that did not fire carries leak(min(V, threshold - 1)) at most; one that did
    carries leak(V) - threshold, or 0 after a hard reset.
    """
    k, n = node.attributes["leak_k"], node.attributes["leak_n"]
    low, high, threshold = (x.astype(object) for x in (low, high, threshold))
    v_low, v_high = low, high
    lowest, highest = v_low.min(), v_high.max()
    for _ in range(node.attributes["timesteps"] - 1):
        fires, stays = v_high >= threshold, v_low < threshold
        carry_high = np.minimum(v_high, threshold - 1) * k >> n
        carry_low = v_low * k >> n
        if node.attributes.get("reset", "subtract") == "subtract":
            after_high, after_low = (v_high * k >> n) - threshold, (np.maximum(v_low, threshold) * k >> n) - threshold
        else:
            after_high = after_low = 0 * v_high
        # Both cases where both can happen; one of them otherwise.
        carry_high = np.where(stays, np.where(fires, np.maximum(carry_high, after_high), carry_high), after_high)
        carry_low = np.where(stays, np.where(fires, np.minimum(carry_low, after_low), carry_low), after_low)
        v_low, v_high = low + carry_low, high + carry_high
        lowest, highest = min(lowest, v_low.min()), max(highest, v_high.max())
    return int(lowest), int(highest)


def compile_network(network: IntNetwork) -> Program:
    """Return the program of ``network``; raise ProgramError naming the first node that has none."""
    return _Compiler(network).run()


class _Compiler:
    def __init__(self, network: IntNetwork) -> None:
        self.network = network
        self.tensors: dict[str, Tensor] = {}
        self.token_names: set[str] = set()
        self.ops: list[Op] = []
        self.nodes: list[Node] = []
        self.buffers: list[Buffer] = []
        self.places: list[tuple[Op, str, Buffer]] = []  # fields that get a buffer's offset
        self.kept: list[Array] = []
        self.scratch = 0

    def run(self) -> Program:
        rules: dict[str, Callable[[Node], Tensor | None]] = {
            "Conv": self.conv,
            "SpikeConv": self.spike_conv,
            "SpikeLinear": self.spike_conv,
            "MaxPool": self.pool,
            "OrPool": self.pool,
            "LIF": self.lif,
            "Align": self.align,
            "ResidualAdd": self.add,
            "Tokens": self.tokens,
            "SpikeAttention": self.attention,
            "Readout": self.readout,
        }
        nodes = self.network.nodes
        for node in nodes:
            if node.op not in rules:
                raise ProgramError(f"{node.name}: no kernel for {node.op}; expected one of {', '.join(rules)}")
            if node.op in ("SpikeAttention", "Readout") and node.inputs[0] not in self.token_names:
                raise ProgramError(f"{node.name}: expected tokens as input 0, got the map {node.inputs[0]}")
            if node.op == "Tokens" or node.inputs[0] in self.token_names:
                self.token_names.add(node.output)
            out = rules[node.op](node)
            if (out is None) != (node is nodes[-1]):
                raise ProgramError(f"{node.name}: expected one Readout, as the last node, got {node.op}")
            if out is not None:
                self.tensors[node.output] = out
        for op, field, buffer in self.places:
            setattr(op, field, buffer.offset if buffer.offset >= 0 else self.place(buffer))
        scratch = max((b.offset + b.size for b in self.buffers), default=0)
        return Program(
            (Op * len(self.ops))(*self.ops),
            self.nodes,
            self.kept,
            scratch,
            scratch + self.scratch + SLACK,
            int(json.loads(self.network.meta["config"])["image_size"]),
        )

    # -- memory ----------------------------------------------------------------------------------

    def place(self, buffer: Buffer) -> int:
        """Put a buffer into the first gap among those alive with it."""
        alive = [b for b in self.buffers if b.offset >= 0 and b.first <= buffer.last and buffer.first <= b.last]
        edges = sorted((b.offset, b.offset + b.size) for b in alive)
        at = 0
        for start, end in edges:
            if start - at >= buffer.size:
                break
            at = max(at, end)
        buffer.offset = at
        return at

    def buffer(self, size: int) -> Buffer:
        now = len(self.ops)
        out = Buffer(-(-(size + SLACK) // 64) * 64, now, now)
        self.buffers.append(out)
        return out

    def constant(self, value: Array) -> int:
        """Keep ``value`` for the program's life at a 64-byte boundary and return its address."""
        store = np.zeros(value.nbytes + 64 + SLACK, np.uint8)
        start = -store.ctypes.data % 64
        store[start : start + value.nbytes] = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        self.kept.append(store)
        return int(store.ctypes.data + start)

    def channels(self, value: Array, dtype: Any) -> int:
        """Keep a per-channel constant (..., C), padded with zeros to whole blocks."""
        out = np.zeros((*value.shape[:-1], padded(value.shape[-1])), dtype)
        out[..., : value.shape[-1]] = value
        return self.constant(out)

    # -- reading the network ---------------------------------------------------------------------

    def parameter(self, node: Node, index: int) -> Array:
        """Return constant input ``index`` of a node as int64."""
        name = node.inputs[index]
        if name not in self.network.constants:
            raise ProgramError(f"{node.name}: expected a constant as input {index}, got {name}")
        return self.network.constants[name].astype(np.int64)

    def read(self, node: Node, op: Op, field: str, index: int, *, words: bool) -> Tensor:
        """Return tensor input ``index`` of a node, with its place going to ``field`` of ``op``."""
        name, expected = node.inputs[index], "spikes" if words else "currents"
        if name not in self.tensors:
            raise ProgramError(f"{node.name}: expected {expected} as input {index}, got {name}")
        tensor = self.tensors[name]
        if (tensor.bits == 8) != words:
            raise ProgramError(
                f"{node.name}: expected {expected} as input {index}, got {'currents' if words else 'spikes'}"
            )
        if node.attributes.get("timesteps", tensor.steps) != tensor.steps and not node.attributes.get("broadcast", 0):
            raise ProgramError(
                f"{node.name}: expected {node.attributes['timesteps']} steps as input {index}, got {tensor.steps}"
            )
        if field.startswith("lists"):
            if tensor.lists is None:
                tensor.lists = self.buffer(tensor.positions * tensor.steps * _list_bytes(tensor.channels))
                tensor.lists.first = tensor.data.first
                self.places.append((tensor.writer, "lists", tensor.lists))
            buffer = tensor.lists
        else:
            buffer = tensor.data
        buffer.last = len(self.ops)
        self.places.append((op, field, buffer))
        return tensor

    def op(self, node: Node) -> Op:
        kind = "SpikeConv" if node.op == "SpikeLinear" else node.op
        return Op(op=KINDS.index(kind), lists=-1, lists2=-1, kernel=1, stride=1)

    def emit(self, node: Node, op: Op, like: Tensor | None, low: Array, high: Array, **shape: int) -> Tensor:
        """Append ``op`` and return its output, of the shape of ``like`` but for ``shape``.

        shape: height, width, channels, steps, bits.
        """
        if like is not None:
            op.height, op.width, op.channels = like.height, like.width, like.channels
            op.steps, op.src_bits = like.steps, like.bits
        height, width = shape.get("height", op.height), shape.get("width", op.width)
        if height < 1 or width < 1:
            raise ProgramError(f"{node.name}: its output would have {height} x {width} positions; expected 1 or more")
        channels, steps = shape.get("channels", op.channels), shape.get("steps", op.steps)
        bits = shape.get("bits") or _bits(low, high, node)
        data = self.buffer(height * width * steps * padded(channels) * bits // 8)
        op.out_height, op.out_width, op.out_channels, op.steps, op.dst_bits = height, width, channels, steps, bits
        self.places.append((op, "dst", data))
        self.ops.append(op)
        self.nodes.append(node)
        return Tensor(data, height, width, channels, steps, bits, low, high, op)

    def need(self, size: int) -> None:
        self.scratch = max(self.scratch, size + SLACK)

    # -- rules -----------------------------------------------------------------------------------

    def conv(self, node: Node) -> Tensor:
        weight, op = self.parameter(node, 1), self.op(node)
        if node.inputs[0] != IMAGE:
            raise ProgramError(f"{node.name}: expected {IMAGE} as input 0, got {node.inputs[0]}")
        out_channels, kernel, _, channels = weight.shape
        size, pad = int(json.loads(self.network.meta["config"])["image_size"]), node.attributes["pad"]
        zero = int(self.network.meta["pixel_zero"])
        low, high = _weighted(weight, min(0, -zero), max(0, 255 - zero))
        absolute = np.abs(weight).sum((1, 2, 3)) * max(abs(zero), abs(255 - zero))
        _bits(-absolute, absolute, node)  # partial sums of either sign
        by_tap = weight.transpose(1, 2, 3, 0).reshape(-1, out_channels)
        op.kernel, op.pad, op.a0, op.p0 = kernel, pad, zero, self.channels(by_tap, np.int32)
        op.height = op.width = size
        op.channels, op.steps = channels, 1
        self.need((size + 2 * pad) ** 2 * channels * 4)
        side = size + 2 * pad - kernel + 1
        return self.emit(node, op, None, low, high, height=side, width=side, channels=out_channels, bits=32)

    def spike_conv(self, node: Node) -> Tensor:
        weight, op = self.parameter(node, 1), self.op(node)
        x = self.read(node, op, "lists", 0, words=True)
        if node.op == "SpikeLinear":
            weight = weight[:, None, None, :]
        out_channels, op.kernel, _, channels = weight.shape
        op.pad = node.attributes.get("pad", 0)
        taps = op.kernel**2 * channels
        if channels != x.channels or taps >= 1 << 16:
            raise ProgramError(
                f"{node.name}: expected {x.channels} input channels and below {1 << 16} taps, got {channels} and {taps}"
            )
        low, high = _weighted(weight, 0, 1)
        bits, largest = _bits(low, high, node), int(np.abs(weight).max())
        dtype: Any = np.int16 if bits == 16 else np.int32
        if bits == 16 and largest * QUAD <= 127:
            dtype, op.a0 = np.int8, 127 // max(largest, 1) // QUAD * QUAD
        op.mode = np.dtype(dtype).itemsize * 8
        op.p0 = self.constant(_chunks(weight.transpose(1, 2, 3, 0).reshape(taps, out_channels), dtype))
        self.need(2 * (taps + 2 * BLOCK))
        grow = 2 * op.pad - op.kernel + 1
        height, width = x.height + grow, x.width + grow
        return self.emit(node, op, x, low, high, height=height, width=width, channels=out_channels, bits=bits)

    def pool(self, node: Node) -> Tensor:
        op, words = self.op(node), node.op == "OrPool"
        x = self.read(node, op, "src", 0, words=words)
        kernel, stride, pad = (node.attributes[name] for name in ("kernel", "stride", "pad"))
        if pad >= kernel:
            raise ProgramError(f"{node.name}: expected padding below the kernel's {kernel}, got {pad}")
        op.kernel, op.stride, op.pad = kernel, stride, pad
        height, width = ((side + 2 * pad - kernel) // stride + 1 for side in (x.height, x.width))
        return self.emit(node, op, x, x.low, x.high, height=height, width=width, bits=x.bits)

    def lif(self, node: Node) -> Tensor:
        op, attributes = self.op(node), node.attributes
        x = self.read(node, op, "src", 0, words=False)
        threshold, bias = self.parameter(node, 1), self.parameter(node, 2)
        shift, k, n = (attributes[name] for name in ("frac_bits", "leak_k", "leak_n"))
        steps, broadcast = attributes["timesteps"], int(bool(attributes.get("broadcast", 0)))
        width = attributes.get("membrane_bits", 32)
        if (broadcast and x.steps != 1) or k < 0 or not 1 <= width <= 64:
            raise ProgramError(
                f"{node.name}: expected 1 step to broadcast, leak_k >= 0 and 1 to 64 membrane bits, "
                f"got {x.steps} steps, leak_k {k} and {width} bits"
            )
        low = (x.low.astype(object) << shift) + bias
        high = (x.high.astype(object) << shift) + bias
        lowest, highest = membrane_bounds(node, low, high, threshold)
        reach = max(highest, -lowest, int(np.abs(threshold).max()), int(np.abs(bias).max()))
        proven = -(1 << (width - 1)) <= lowest and highest < 1 << (width - 1)
        dtype: Any = np.int64
        op.a0, op.a1, op.a2, op.a3, op.a4 = shift, k, n, broadcast, width
        op.a5 = int(attributes.get("reset", "subtract") == "zero")
        if proven and x.bits == 16 and reach < 1 << 15 and shift < 16 and n <= 16 and k <= 1 << n:
            # floor(k V / 2^n) = V - ceil((2^n - k) V / 2^n): the nearer of the two has a factor of 16 bits.
            whole = int(2 * k >= 1 << n)
            dtype, op.a1, op.a2 = np.int16, -whole, (k - (whole << n)) << (16 - n)
        elif proven and reach * max(k, 1) < 1 << 31 and shift < 32 and n < 32:
            dtype = np.int32
        elif reach * max(k, 1) >= 1 << 62 or shift > 62 or n > 62:
            raise ProgramError(
                f"{node.name}: membranes of {lowest} to {highest} need more than 64 bits; run it with golden"
            )
        op.mode = np.dtype(dtype).itemsize * 8
        op.p0, op.p1 = self._threshold(threshold, dtype), self.channels(bias, dtype)
        self.need(padded(x.channels) * 8)
        out = self.emit(node, op, x, x.low, x.high, bits=8, steps=steps)
        op.steps = steps
        return out

    def _threshold(self, threshold: Array, dtype: Any) -> int:
        out = np.ones(padded(len(threshold)), dtype)  # padding, whose membranes are 0, never fires
        out[: len(threshold)] = threshold
        return self.constant(out)

    def align(self, node: Node) -> Tensor:
        op = self.op(node)
        x = self.read(node, op, "src", 0, words=False)
        shift, bias = self.parameter(node, 1), self.parameter(node, 2)
        shift = np.where((x.low == 0) & (x.high == 0), 0, shift)  # nothing to shift
        if shift.min() < 0 or shift.max() > 31:
            raise ProgramError(f"{node.name}: expected shifts of 0 to 31, got {shift.min()} to {shift.max()}")
        low, high = (x.low << shift) + bias, (x.high << shift) + bias
        _bits(bias, bias, node)
        op.p0, op.p1 = self.channels(shift, np.int32), self.channels(bias, np.int32)
        return self.emit(node, op, x, low, high)

    def add(self, node: Node) -> Tensor:
        op = self.op(node)
        first = self.tensors.get(node.inputs[0])
        wide = int(first is not None and first.bits == 16)  # runner.cpp wants the wider operand first
        a = self.read(node, op, "src", 1 if wide else 0, words=False)
        b = self.read(node, op, "src2", 0 if wide else 1, words=False)
        mixed = len({name in self.token_names for name in node.inputs}) > 1
        if mixed or (a.positions, a.channels, a.steps) != (b.positions, b.channels, b.steps):
            raise ProgramError(f"{node.name}: expected two streams of one shape")
        op.src2_bits = b.bits
        low, high = a.low + b.low, a.high + b.high
        bits = max(_bits(low, high, node), a.bits, b.bits)
        return self.emit(node, op, a, low, high, bits=bits)

    def tokens(self, node: Node) -> Tensor:
        tensor = self.tensors.get(node.inputs[0])
        if tensor is None:
            raise ProgramError(f"{node.name}: expected a map as input 0, got {node.inputs[0]}")
        return tensor  # positions are row by row already

    def attention(self, node: Node) -> Tensor:
        op, heads = self.op(node), node.attributes["heads"]
        q = self.read(node, op, "lists", 0, words=True)
        k = self.read(node, op, "lists2", 1, words=True)
        v = self.read(node, op, "src3", 2, words=True)
        if len({(x.positions, x.channels) for x in (q, k, v)}) > 1 or q.channels % heads:
            raise ProgramError(
                f"{node.name}: expected Q, K and V of one shape and a divisor of {q.channels} heads, got {heads}"
            )
        each = q.channels // heads
        op.a0, op.p0 = each, self.constant((np.arange(q.channels) // each).astype(np.uint16))
        low = np.zeros(q.channels, np.int64)
        self.need(4 * (q.channels + heads + 1) * -(-each // 16) * 16)
        return self.emit(node, op, q, low, low + q.positions * each)

    def readout(self, node: Node) -> None:
        op = self.op(node)
        x = self.read(node, op, "src", 0, words=True)
        time_weight, weight, bias = (self.parameter(node, i) for i in (1, 2, 3))
        shift = node.attributes["shift"]
        half = (1 << shift) >> 1
        low = (x.positions * int(np.minimum(time_weight, 0).sum()) + half) >> shift
        high = (x.positions * int(np.maximum(time_weight, 0).sum()) + half) >> shift
        reach = int((np.abs(weight).sum(1) * max(abs(low), abs(high)) + np.abs(bias)).max())
        op.mode = 32 if reach < 1 << 31 and max(abs(low), abs(high)) < 1 << 31 else 64
        dtype: Any = np.int32 if op.mode == 32 else np.int64
        op.a0, op.p0 = shift, self.constant(time_weight)
        op.p1, op.p2 = self.channels(weight.T, dtype), self.channels(bias, dtype)
        self.need(8 * (padded(x.channels) + padded(len(bias))))
        op.height, op.width, op.channels, op.steps, op.out_channels = x.height, x.width, x.channels, x.steps, len(bias)
        self.ops.append(op)
        self.nodes.append(node)


def _weighted(weight: Array, low: int, high: int) -> tuple[Array, Array]:
    """Return bounds (M,) of any partial sum of weight (M, ...) times inputs between ``low`` <= 0 and ``high`` >= 0."""
    axes = tuple(range(1, weight.ndim))
    positive, negative = np.maximum(weight, 0).sum(axes), np.minimum(weight, 0).sum(axes)
    return positive * low + negative * high, positive * high + negative * low


def _chunks(weight: Array, dtype: Any) -> Array:
    """Return weight (K, M) as runner.cpp reads it: chunks of blocks of outputs, each (K + 1, its outputs), flat."""
    taps, outputs = weight.shape
    full = np.zeros((taps + 1, padded(outputs)), dtype)
    full[:taps, :outputs] = weight
    blocks = padded(outputs) // BLOCK
    count = -(-blocks // MAX_BLOCKS)
    edges = np.cumsum([0] + [blocks // count + (i < blocks % count) for i in range(count)]) * BLOCK
    return np.concatenate([full[:, a:b].reshape(-1) for a, b in pairwise(edges)])
