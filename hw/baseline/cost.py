"""What a quantised ANN takes of a board at a frame rate: FINN's nodes, folded by the search the spiking network has."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.custom_op.registry import getCustomOp

from ..boards import Board
from ..boards import find as find_board
from ..finn_env import prepare
from ..folding.costs import COUNTED
from ..folding.search import Plan
from ..folding.words import bottleneck, too_slow, too_small
from .errors import BaselineError
from .layers import Layer, by_name

KIND = "model: FINN's nodes, LUTs and registers of MVAU fitted to Yosys"
FORMAT, SCHEMA = "spikeclip-fpga/baseline-cost", 1
_RESOURCES = (*COUNTED, "ff")
NOTES = (
    "DSPs of MVAU_rtl are those of its source (lanes by bit widths); FINN's estimate, ceil(PE/4) SIMD, is beside them",
    "Thresholding and Requant are counted from their RTL's structure, not synthesised; thresholds beyond 4 bits are "
    "replaced by a multiplication and a shift (FINN's Requant), since 255 of them a channel would not fit the board",
    "attention's two products, and the token sum, are priced and not built; they are below 1 % of the multiplications",
    "FIFOs are the estimate of hw.folding made before a simulation measures them",
)


@dataclass(frozen=True)
class CostRow:
    """A node: what layer and operator it is, multiplications of a frame, folding, cycles, what it takes.

    finn_dsp: FINN's own estimate of the DSPs. lut_without_dsp: of FINN's MVAU_hls, multiplying in LUTs; None
    where there is no such alternative. Neither is in the totals. busy: LUTs and registers times the cycles of a frame
    they have something to do in. block_ram_accesses: of a frame.
    """

    layer: str
    op: str
    operations: int
    PE: int | None
    SIMD: int | None
    cycles: int
    lut: int
    ff: int
    bram18: int
    dsp: int
    uram: int
    finn_dsp: int = 0
    lut_without_dsp: int | None = None
    busy: int = 0
    block_ram_accesses: int = 0


@dataclass(frozen=True)
class BaselineCost:
    """A folded baseline. rows: nodes, then width converters and FIFOs. model: the folded graph (ModelWrapper)."""

    board: Board
    clk_mhz: float
    share: float
    rows: tuple[CostRow, ...]
    why: str
    cost: float
    model: Any

    @property
    def cycles(self) -> int:
        """Return the cycles of a frame in the steady state."""
        return max(row.cycles for row in self.rows)

    @property
    def frames_per_second(self) -> float:
        """Return the rate in the steady state."""
        return self.clk_mhz * 1e6 / self.cycles

    @property
    def totals(self) -> dict[str, int]:
        """Return resource -> what all rows take."""
        return {name: sum(getattr(row, name) for row in self.rows) for name in _RESOURCES}

    def to_json(self) -> dict[str, Any]:
        """Return rate, bottleneck, resources and layers as build.json has them."""
        totals, part = self.totals, {name: n for name, n in self.board.totals.items() if n}
        return {
            "format": FORMAT,
            "schema": SCHEMA,
            "board": self.board.name,
            "part": self.board.part,
            "clk_mhz": self.clk_mhz,
            "frames_per_second": self.frames_per_second,
            "bottleneck": {"cycles": self.cycles, "why": self.why},
            "resources": {
                "kind": KIND,
                "total": totals,
                "part": part,
                "percent": {name: round(100 * totals[name] / n, 1) for name, n in part.items()},
                "finn_dsp": sum(row.finn_dsp for row in self.rows),
                "lut_without_dsp": sum(r.lut if r.lut_without_dsp is None else r.lut_without_dsp for r in self.rows),
            },
            "layers": [asdict(row) for row in self.rows],
            "notes": list(NOTES),
        }


def cost(
    layers: Sequence[Layer],
    board: Board | str = "pynq-z2",
    fps: float = 2500.0,
    clk_mhz: float | None = None,
    share: float = 0.75,
    *,
    work: Path | None = None,
) -> BaselineCost:
    """Return the cheapest folding of a network of ``layers`` that reaches ``fps`` frames per second.

    clk_mhz: the board's by default. share: of the board that may be used. work: folder for FINN, a temporary one
    unless given. Raises BaselineError naming the layer no folding brings to that rate, or
    what the board is short of; HardwareError for weights FINN's MVAU does not take.
    """
    board = find_board(board) if isinstance(board, str) else board
    clk_mhz = board.clk_mhz if clk_mhz is None else clk_mhz
    if fps <= 0 or clk_mhz <= 0 or not 0 < share <= 1:
        raise BaselineError(f"fps, clk_mhz above 0 and share in 0 to 1 expected, got {fps}, {clk_mhz} and {share}")
    if work is None:
        with tempfile.TemporaryDirectory(prefix="spikeclip-baseline-") as folder:
            return cost(layers, board, fps, clk_mhz, share, work=Path(folder))
    prepare(work)
    from .graph import build, specialise
    from .search import BaselineSearch, folded

    model = specialise(build(layers), board.part)
    search = BaselineSearch(model, board, share)
    cycles = int(clk_mhz * 1e6 / fps)
    if search.floor()[0] > cycles:
        raise BaselineError(too_slow(search, clk_mhz, fps))
    plan = search.cheapest(cycles)
    if plan is None or not search.fits(plan):
        raise BaselineError(too_small(search, plan, clk_mhz, fps))
    folded(search, model, plan.rows)
    known = by_name(layers)
    rows = [_row(node, board.part, known) for node in model.graph.node]
    spent = float((plan.total / np.maximum(search.limits, 1e-9))[search.limits > 0].sum())
    why = bottleneck(search, plan, clk_mhz)
    return BaselineCost(board, clk_mhz, share, (*rows, *_streams(search, plan)), why, spent, model)


def _row(node: Any, part: str, known: dict[str, Layer]) -> CostRow:
    from ..passes.graph import layer_of
    from .search import resources

    inst = getCustomOp(node)
    name, has = layer_of(node), inst.get_nodeattr_types()
    taken = resources(inst, part)
    matrix = node.op_type == "MVAU_rtl"
    operations = known[name].multiplications if matrix else 0
    if node.op_type == "QuantAttention_rtl":
        operations = inst.operations()["op_mac"]
    cycles = int(inst.get_exp_cycles())
    return CostRow(
        name,
        node.op_type.removesuffix("_rtl"),
        operations,
        inst.get_nodeattr("PE") if "PE" in has else None,
        inst.get_nodeattr("SIMD") if "SIMD" in has else None,
        cycles,
        taken.lut,
        taken.ff,
        taken.bram18,
        taken.dsp,
        taken.uram,
        int(inst.dsp_estimation(part)) if matrix else taken.dsp,
        _without_dsp(node, part) if matrix else None,
        (taken.lut + taken.ff) * cycles,
        # A line of its memories a cycle, from all of their blocks.
        taken.bram18 * cycles,
    )


def _without_dsp(node: Any, part: str) -> int:
    """Return the LUTs FINN estimates for its MVAU in HLS with products in LUTs, weights as in ``node``."""
    from onnx import NodeProto

    hls = NodeProto()
    hls.CopyFrom(node)
    hls.op_type, hls.domain = "MVAU_hls", "finn.custom_op.fpgadataflow.hls"
    inst = getCustomOp(hls)
    inst.set_nodeattr("resType", "lut")
    return int(inst.lut_estimation(part))


def _streams(search: Any, plan: Plan) -> list[CostRow]:
    """Return the rows of width converters and FIFOs."""
    from .. import stock_resources

    kinds = {"converter": "StreamingDataWidthConverter", "fifo": "StreamingFIFO"}
    rows = {kind: CostRow("", op, 0, None, None, 0, 0, 0, 0, 0, 0) for kind, op in kinds.items()}
    sums, number = {kind: np.zeros(len(COUNTED)) for kind in kinds}, dict.fromkeys(kinds, 0)
    for stream in search.streams:
        given, taken = search.sides(stream, plan.rows)
        for name, resources in stream.parts(given, taken, search.board.part).items():
            if name == "converter":
                kind, beats = name, stream.elements // min(given, taken)
                ff = stock_resources.width_converter(given * stream.bits, taken * stream.bits).ff
            else:
                kind, elements = "fifo", taken if name == "fifo" else given
                beats, depth = stream.elements // elements, stream.depth(taken) if name == "fifo" else 2
                ff = stock_resources.fifo(depth, elements * stream.bits).ff
            sums[kind], number[kind], row = sums[kind] + resources, number[kind] + 1, rows[kind]
            rows[kind] = dataclasses.replace(
                row,
                ff=row.ff + ff,
                busy=row.busy + round(float(resources[0]) + ff) * beats,
                # A beat is written and read.
                block_ram_accesses=row.block_ram_accesses + 2 * beats * round(float(resources[1])),
            )
    found = []
    for kind, words in (("converter", "width converters"), ("fifo", "FIFOs")):
        lut, bram18, dsp, uram = (round(float(n)) for n in sums[kind])
        if not number[kind]:
            continue
        name = f"{number[kind]} {words}"
        found.append(dataclasses.replace(rows[kind], layer=name, lut=lut, bram18=bram18, dsp=dsp, uram=uram))
    return found
