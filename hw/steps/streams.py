"""Width converters and FIFOs between the nodes: FINN's."""

from __future__ import annotations

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

from ..job import Job
from ..passes import HardwareError


def insert_streams(model: ModelWrapper, job: Job) -> ModelWrapper:
    """Return the graph with converters and FIFOs for the job's part."""
    return with_streams(model, job.board.part)


def with_streams(model: ModelWrapper, part: str) -> ModelWrapper:
    """Return the graph with a StreamingDataWidthConverter where widths differ and a StreamingFIFO on every stream.

    Raises HardwareError for a pool that takes its windows in other groups of channels than they come in.
    """
    from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
    from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO

    from ..passes.specialize import Specialize

    for node in model.graph.node:
        _same_groups(model, node)
    model = model.transform(InsertDWC())
    model = model.transform(InsertFIFO(create_shallow_fifos=True))
    model = model.transform(Specialize(part))
    return model.transform(GiveUniqueNodeNames()).transform(GiveReadableTensorNames())


def _same_groups(model: ModelWrapper, node: NodeProto) -> None:
    """Refuse a pool whose windows come in other channel groups than it takes: a converter cannot reorder them."""
    if node.op_type != "SpikePool_rtl":
        return
    windows, pool = model.find_producer(node.input[0]), getCustomOp(node)
    simd = getCustomOp(windows).get_nodeattr("SIMD")
    if simd != pool.get_nodeattr("PE"):
        raise HardwareError(
            f"{node.name}: PE {pool.get_nodeattr('PE')} differs from SIMD {simd} of {windows.name}; "
            "a depthwise window must have the pool's PE: give both the same value in the folding"
        )
