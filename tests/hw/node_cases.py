"""Graphs of one of our nodes each, with inputs to draw and golden's results; built as the passes build them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeclip_fpga.hw.ops.align.op import Align
from spikeclip_fpga.hw.ops.lif.op import Lif
from spikeclip_fpga.hw.ops.readout.op import Readout
from spikeclip_fpga.hw.ops.spike_attention.op import SpikeAttention
from spikeclip_fpga.hw.ops.spike_mvau.op import SpikeMvau
from spikeclip_fpga.quantize import golden
from spikeclip_fpga.quantize.ranges import signed_bits

Array = np.ndarray
Frame = dict[str, Array]
# name -> (shape, type)
Tensors = dict[str, tuple[Sequence[int], str]]


@dataclass(frozen=True)
class Case:
    """A graph, inputs for one frame drawn from a generator, golden's outputs for them, FINN's counts of the node."""

    model: Any
    draw: Callable[[np.random.Generator], Frame]
    golden: Callable[[Frame], dict[str, Array]]
    counts: dict[str, int]


def graph(nodes: Sequence[Any], inputs: Tensors, outputs: Tensors, constants: dict[str, tuple[Array, str]]) -> Any:
    """Return a graph of ``nodes``, which stand in order; tensors between them are still without a shape."""
    from onnx import TensorProto, helper
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.general import GiveUniqueNodeNames
    from qonnx.util.basic import qonnx_make_model

    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, (shape, _) in tensors.items()]
        for tensors in (inputs, outputs)
    ]
    model = ModelWrapper(qonnx_make_model(helper.make_graph(list(nodes), "case", *ends)))
    for name, (_, kind) in {**inputs, **outputs}.items():
        model.set_tensor_datatype(name, DataType[kind])
    for name, (value, kind) in constants.items():
        model.set_initializer(name, value.astype(np.float32))
        model.set_tensor_datatype(name, DataType[kind])
    return model.transform(GiveUniqueNodeNames())


def one(op: str, inputs: Tensors, outputs: Tensors, constants: dict[str, tuple[Array, str]], **attributes: Any) -> Any:
    """Return the graph of one node ``op``."""
    from spikeclip_fpga.hw.passes.graph import make

    node = make(op, [*inputs, *constants], list(outputs), f"the {op}", **attributes)
    return graph([node], inputs, outputs, constants)


def whole(bits: int) -> str:
    """Return the type of signed numbers of ``bits``; QONNX has none of one bit."""
    return f"INT{max(2, bits)}"


def words(rng: np.random.Generator, shape: Sequence[int], steps: int) -> Array:
    """Return spike words of a random rate."""
    return golden.pack((rng.random((*shape, steps)) < rng.random()).astype(np.int64)).astype(np.int64)


def lif(
    channels: int, pe: int, steps: int, size: tuple[int, int], high: int, frac: int, reset: str, broadcast: int
) -> Case:
    rng = np.random.default_rng(channels)
    threshold = rng.integers(1, 2 + (high << frac), channels)
    bias = rng.integers(-high, high + 1, channels)
    fit = Lif.fitted(
        *(threshold, bias),
        **{"pe": pe, "timesteps": steps, "low": -high, "high": high, "frac_bits": frac},
        **{"reset": reset, "broadcast": bool(broadcast)},
    )
    shape = (1, *size, channels * fit.input_steps)
    kinds = [whole(bits) for bits in (fit.in_width, fit.threshold_width, fit.bias_width)]
    model = one(
        "LIF",
        {"in": (shape, kinds[0])},
        {"out": ((1, *size, channels), f"UINT{steps}")},
        {"threshold": (threshold, kinds[1]), "bias": (bias, kinds[2])},
        **{"NumChannels": channels, "PE": pe, "timesteps": steps, "broadcast": broadcast, "reset": reset},
        **{"frac_bits": frac, "leak_k": 29, "leak_n": 5, "membrane_bits": fit.membrane_width},
        **{"inputDataType": kinds[0], "thresholdDataType": kinds[1], "biasDataType": kinds[2]},
        **{"outputDataType": f"UINT{steps}", "numInputVectors": [1, *size]},
    )
    run = {"timesteps": steps, "frac_bits": frac, "leak_k": 29, "leak_n": 5, "reset": reset, "broadcast": broadcast}
    return Case(
        model,
        lambda rng: {"in": rng.integers(-high, high + 1, shape)},
        lambda x: {"out": golden.lif(x["in"], threshold, bias, **run)},
        {"op_lif": size[0] * size[1] * channels * steps, "param_lif": 2 * channels},
    )


def spike_mvau(mw: int, mh: int, simd: int, pe: int, steps: int, bits: int, size: tuple[int, int]) -> Case:
    weight = np.random.default_rng(mw).integers(-(1 << (bits - 1)), 1 << (bits - 1), (mh, mw))
    weight[0, 0] = -(1 << (bits - 1))
    acc = SpikeMvau.fitted(weight, simd=simd, pe=pe, timesteps=steps).acc_width
    model = one(
        "SpikeMVAU",
        {"in": ((1, *size, mw), f"UINT{steps}")},
        {"out": ((1, *size, mh * steps), whole(acc))},
        {"weight": (weight, whole(bits))},
        **{"MW": mw, "MH": mh, "SIMD": simd, "PE": pe, "timesteps": steps, "weightDataType": whole(bits)},
        **{"inputDataType": f"UINT{steps}", "outputDataType": whole(acc), "numInputVectors": [1, *size]},
    )
    additions = size[0] * size[1] * mw * mh * steps
    return Case(
        model,
        lambda rng: {"in": words(rng, (1, *size, mw), steps)},
        lambda x: {"out": golden.spike_linear(x["in"], weight, timesteps=steps)},
        {f"op_ac_1bx{bits}b": additions, f"param_weight_{bits}b": mw * mh},
    )


def spike_pool(
    channels: int, pe: int, steps: int, size: tuple[int, int], mode: str, bits: int, window: tuple[int, int, int]
) -> Case:
    """Padding, FINN's window generator, and the pool. window: kernel, stride, pad."""
    from qonnx.custom_op.registry import getCustomOp

    from spikeclip_fpga.hw.passes.graph import make
    from spikeclip_fpga.hw.passes.windows import windows

    kernel, stride, pad = window
    maximum = mode == "max"
    kind, elements = (whole(bits), channels * steps) if maximum else (f"UINT{steps}", channels)
    shape = (1, *size, elements)
    model = graph([], {"in": (shape, kind)}, {"out": ((1,), kind)}, {})
    source, nodes, out = windows(model, "in", "pool", kernel=kernel, stride=stride, pad=pad, depthwise=True)
    pool = make(
        *("SpikePool", [source], ["out"], "the SpikePool"),
        # As in the pass: a current per element, whatever its step.
        **{"NumChannels": elements, "PE": 1, "timesteps": 1 if maximum else steps, "mode": mode},
        **{"IFMDim": list(size), "kernel": kernel, "stride": stride, "pad": pad},
        **{"inputDataType": kind, "outputDataType": kind, "numInputVectors": [1, *out]},
    )
    full = graph([*nodes, pool], {"in": (shape, kind)}, {"out": ((1, *out, elements), kind)}, {})
    for name in (f"pool.{what}" for what in ("padded", "windows")):
        if name in model.get_all_tensor_names():
            full.set_tensor_shape(name, model.get_tensor_shape(name))
            full.set_tensor_datatype(name, model.get_tensor_datatype(name))
    for node in full.graph.node:
        getCustomOp(node).set_nodeattr("PE" if node.op_type == "SpikePool" else "SIMD", pe)
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if maximum else (0, 1 << steps)
    reference = golden.max_pool if maximum else golden.or_pool
    return Case(
        full,
        # Few of the values are above zero: padding with 0 would win.
        lambda rng: {"in": np.minimum.reduce(rng.integers(low, high, (3, *shape)))},
        lambda x: {"out": reference(x["in"], kernel=kernel, stride=stride, pad=pad)},
        {f"op_{mode}": out[0] * out[1] * elements * kernel**2},
    )


def spike_attention(dim: int, heads: int, size: tuple[int, int], steps: int, pe: int) -> Case:
    tokens = size[0] * size[1]
    fit = SpikeAttention.fitted(dim=dim, heads=heads, tokens=tokens, timesteps=steps, pe=pe)
    shape, kind = (1, *size, dim), f"INT{fit.out_width}"
    model = one(
        "SpikeAttention",
        dict.fromkeys("qkv", (shape, f"UINT{steps}")),
        {"out": ((*shape[:-1], dim * steps), kind)},
        {},
        **{"NumChannels": dim, "heads": heads, "PE": pe, "timesteps": steps, "numInputVectors": [1, *size]},
        **{"inputDataType": f"UINT{steps}", "outputDataType": kind},
    )

    def counts(x: Frame) -> dict[str, Array]:
        flat = [golden.tokens(x[name]) for name in "qkv"]
        return {"out": golden.attention(*flat, heads=heads, timesteps=steps).reshape(*shape[:-1], -1)}

    return Case(
        model,
        lambda rng: {name: words(rng, shape, steps) for name in "qkv"},
        counts,
        {"op_ac_1bx1b": 2 * tokens * dim * (dim // heads) * steps},
    )


def align(channels: int, pe: int, steps: int, size: tuple[int, int], shifts: tuple[int, int], high: int) -> Case:
    rng = np.random.default_rng(channels)
    shift, bias = rng.integers(shifts[0], shifts[1] + 1, channels), rng.integers(-high, high + 1, channels)
    fit = Align.fitted(shift, bias, pe=pe, timesteps=steps, low=-high, high=high)
    shape, kinds = (1, *size, channels * steps), [whole(bits) for bits in (fit.in_width, fit.bias_width, fit.out_width)]
    shift_kind = whole(signed_bits(0, int(shift.max())))
    model = one(
        "Align",
        {"in": (shape, kinds[0])},
        {"out": (shape, kinds[2])},
        {"shift": (shift, shift_kind), "bias": (bias, kinds[1])},
        **{"NumChannels": channels, "PE": pe, "timesteps": steps, "shift": fit.shift, "extra_width": fit.extra_width},
        **{"inputDataType": kinds[0], "shiftDataType": shift_kind, "biasDataType": kinds[1]},
        **{"outputDataType": kinds[2], "numInputVectors": [1, *size]},
    )
    return Case(
        model,
        lambda rng: {"in": rng.integers(-high, high + 1, shape)},
        lambda x: {"out": golden.align(x["in"], shift, bias, timesteps=steps)},
        {"op_add": size[0] * size[1] * channels * steps, "param_align": 2 * channels},
    )


def residual_add(channels: int, pe: int, steps: int, size: tuple[int, int], bits: tuple[int, int]) -> Case:
    shape, out = (1, *size, channels * steps), f"INT{max(bits) + 1}"
    kinds = [f"INT{width}" for width in bits]
    model = one(
        "ResidualAdd",
        {"a": (shape, kinds[0]), "b": (shape, kinds[1])},
        {"out": (shape, out)},
        {},
        **{"NumChannels": channels, "PE": pe, "timesteps": steps, "numInputVectors": [1, *size]},
        **{"inputDataType": kinds[0], "inputDataType1": kinds[1], "outputDataType": out},
    )

    def draw(rng: np.random.Generator) -> Frame:
        each = zip("ab", bits, strict=True)
        return {name: rng.integers(-(1 << (width - 1)), 1 << (width - 1), shape) for name, width in each}

    return Case(model, draw, lambda x: {"out": golden.add(x["a"], x["b"])}, {"op_add": int(np.prod(shape))})


def fork(elements: int, pe: int, outputs: int, kind: str, size: tuple[int, int]) -> Case:
    from qonnx.core.datatype import DataType

    shape, low, high = (1, *size, elements), int(DataType[kind].min()), int(DataType[kind].max())
    names = [f"out{i}" for i in range(outputs)]
    model = one(
        "Fork",
        {"in": (shape, kind)},
        dict.fromkeys(names, (shape, kind)),
        {},
        **{"NumChannels": elements, "NumOutputs": outputs, "PE": pe, "timesteps": 1, "numInputVectors": [1, *size]},
        **{"inputDataType": kind, "outputDataType": kind},
    )
    return Case(
        model, lambda rng: {"in": rng.integers(low, high + 1, shape)}, lambda x: dict.fromkeys(names, x["in"]), {}
    )


def readout(channels: int, pe: int, steps: int, size: tuple[int, int], shift: int) -> Case:
    time_weight = np.random.default_rng(channels).integers(-127, 128, steps)
    fit = Readout.fitted(time_weight, channels=channels, pe=pe, tokens=size[0] * size[1], shift=shift)
    out, kind = whole(fit.out_width), whole(fit.w_width)
    model = one(
        "Readout",
        {"in": ((1, *size, channels), f"UINT{steps}")},
        {"out": ((1, 1, 1, channels), out)},
        {"time_weight": (time_weight, kind)},
        **{"NumChannels": channels, "PE": pe, "timesteps": steps, "shift": shift, "accumulatorBits": fit.acc_width},
        **{"weightDataType": kind, "inputDataType": f"UINT{steps}", "outputDataType": out},
        numInputVectors=[1, *size],
    )
    identity = np.eye(channels, dtype=np.int64)

    def z(x: Frame) -> dict[str, Array]:
        flat, zero = golden.tokens(x["in"]), np.zeros(channels, np.int64)
        found = golden.readout(flat, time_weight, identity, zero, timesteps=steps, shift=shift)
        return {"out": found.reshape(1, 1, 1, channels)}

    return Case(
        model,
        lambda rng: {"in": words(rng, (1, *size, channels), steps)},
        z,
        {"op_add": size[0] * size[1] * channels * steps, "param_time_weight": steps},
    )


CASES: dict[str, Callable[[], Case]] = {
    "lif": lambda: lif(12, 3, 4, (2, 3), 90, 4, "subtract", 0),
    "lif-t1": lambda: lif(5, 5, 1, (1, 4), 30, 4, "subtract", 0),
    "lif-t16": lambda: lif(4, 1, 16, (2, 2), 100, 2, "subtract", 0),
    "lif-static": lambda: lif(6, 2, 4, (3, 2), 5000, 0, "subtract", 1),
    "lif-hard-reset": lambda: lif(8, 4, 7, (2, 2), 60, 3, "zero", 0),
    "lif-static-hard-reset": lambda: lif(3, 1, 3, (1, 3), 700, 0, "zero", 1),
    "mvau": lambda: spike_mvau(12, 8, 4, 2, 4, 4, (2, 3)),
    "mvau-t1-bits2": lambda: spike_mvau(6, 5, 6, 1, 1, 2, (1, 4)),
    "mvau-t16-bits8": lambda: spike_mvau(8, 3, 2, 3, 16, 8, (2, 1)),
    "mvau-serial": lambda: spike_mvau(9, 7, 1, 1, 5, 5, (1, 2)),
    "mvau-parallel": lambda: spike_mvau(10, 4, 10, 4, 3, 3, (2, 2)),
    "pool-or": lambda: spike_pool(6, 3, 4, (4, 6), "or", 1, (2, 2, 0)),
    "pool-or-padded": lambda: spike_pool(4, 2, 7, (5, 5), "or", 1, (3, 2, 1)),
    "pool-or-t1": lambda: spike_pool(3, 1, 1, (4, 4), "or", 1, (2, 1, 0)),
    "pool-or-t16": lambda: spike_pool(2, 1, 16, (4, 4), "or", 1, (2, 2, 0)),
    "pool-max": lambda: spike_pool(6, 3, 1, (6, 4), "max", 13, (2, 2, 0)),
    "pool-max-padded": lambda: spike_pool(3, 4, 4, (6, 6), "max", 7, (3, 2, 1)),
    "pool-max-serial": lambda: spike_pool(2, 1, 2, (5, 7), "max", 9, (3, 2, 1)),
    "attention": lambda: spike_attention(8, 2, (2, 2), 4, 2),
    "attention-t1": lambda: spike_attention(6, 3, (1, 5), 1, 1),
    "attention-t16": lambda: spike_attention(4, 1, (3, 1), 16, 4),
    "attention-wide": lambda: spike_attention(12, 2, (3, 3), 5, 3),
    "align": lambda: align(6, 3, 4, (2, 3), (0, 3), 200),
    "align-one-shift": lambda: align(5, 1, 3, (1, 2), (2, 2), 17),
    "align-t1": lambda: align(8, 8, 1, (2, 2), (1, 6), 3000),
    "align-t16": lambda: align(2, 1, 16, (2, 1), (0, 1), 9),
    "add": lambda: residual_add(6, 2, 4, (2, 3), (12, 9)),
    "add-t1": lambda: residual_add(5, 5, 1, (1, 2), (4, 8)),
    "add-t16": lambda: residual_add(2, 1, 16, (2, 2), (6, 6)),
    "fork": lambda: fork(12, 3, 2, "UINT4", (2, 3)),
    "fork-of-four": lambda: fork(5, 1, 4, "INT13", (1, 3)),
    "fork-t16": lambda: fork(4, 4, 3, "UINT16", (2, 2)),
    "readout": lambda: readout(6, 3, 4, (2, 2), 3),
    "readout-t1": lambda: readout(5, 1, 1, (1, 3), 0),
    "readout-t16": lambda: readout(4, 4, 16, (3, 3), 8),
}
