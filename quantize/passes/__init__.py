"""From QONNX to integers: the ordered list of passes.

FINN's own passes move the scales (its streamlining); this project's let the neurons and the residual
stream absorb them, then move time from the batch axis into each element.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveUniqueNodeNames

from .absorb_scale import AbsorbScaleIntoLIF, RequireUnitScale
from .errors import LoweringError
from .integer_residual import IntegerResidual
from .integer_weights import RoundIntegerWeights
from .pack_time import PackTime
from .prove_ranges import ProveRanges
from .quantize_input import QuantizeInput
from .simplify_readout import RemoveUnitScaleBeforeRound

__all__ = ["LoweringError", "Step", "steps"]


@dataclass(frozen=True)
class Step:
    """A named pass, or several run one after the other."""

    name: str
    apply: Callable[[ModelWrapper], ModelWrapper]


def _step(name: str, *passes: Transformation) -> Step:
    def apply(model: ModelWrapper) -> ModelWrapper:
        for p in passes:
            model = model.transform(p)
        return model

    return Step(name, apply)


def _finn_streamlining() -> tuple[Transformation, ...]:
    """Return the parts of FINN's streamlining that know every operator of this graph.

    ``Streamline()`` as a whole ends in InferDataTypes and layout inference, which stop at time on the
    batch axis; its single passes do not mind.
    """
    # FINN asks for its settings when it is imported; it finds none outside a FINN build.
    os.environ.setdefault("FINN_BUILD_DIR", str(Path.home() / ".cache" / "spikeclip-fpga" / "finn"))
    from finn.util.settings import initialize_dummy_settings

    initialize_dummy_settings()
    from finn.transformation.qonnx.fold_quant_weights import FoldQuantWeights
    from finn.transformation.streamline.collapse_repeated import CollapseRepeatedMul
    from finn.transformation.streamline.reorder import MoveMulPastMaxPool, MoveScalarMulPastConv

    return (FoldQuantWeights(), MoveScalarMulPastConv(), MoveMulPastMaxPool(), CollapseRepeatedMul())


def steps(timesteps: int, residual_frac: int) -> list[Step]:
    """Return the passes in order; each leaves a graph that computes the same embedding."""
    return [
        _step("quantize_input", QuantizeInput()),
        _step("finn_streamlining", *_finn_streamlining(), RoundIntegerWeights(), GiveUniqueNodeNames()),
        _step("absorb_scales", AbsorbScaleIntoLIF(), RemoveUnitScaleBeforeRound()),
        _step("integer_residual", IntegerResidual(residual_frac), RequireUnitScale()),
        _step("pack_time", PackTime(timesteps)),
        _step("prove_ranges", ProveRanges(timesteps)),
    ]
