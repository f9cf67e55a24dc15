"""Give every reader of a tensor a stream of its own."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from .graph import layer_of, make, tensor, type_of


class ForkStreams(Transformation):
    """Insert a Fork behind each tensor that is read several times (a stream can be read once)."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Return the graph with forks."""
        sources = [
            (value.name, value.name, 0) for value in model.graph.input if model.get_initializer(value.name) is None
        ]
        sources += [
            (name, layer_of(node) or node.name, i + 1)
            for i, node in enumerate(model.graph.node)
            for name in node.output
        ]
        inserted = 0
        for name, layer, place in sources:
            readers = [(node, i) for node in model.graph.node for i, read in enumerate(node.input) if read == name]
            if len(readers) < 2:
                continue
            shape, datatype = model.get_tensor_shape(name), type_of(model, name)
            copies = [tensor(model, f"{name}.copy{i}", shape, datatype) for i in range(len(readers))]
            for (reader, i), copy in zip(readers, copies, strict=True):
                reader.input[i] = copy
            fork = make(
                "Fork",
                [name],
                copies,
                f"{layer}.fork",
                NumChannels=shape[-1],
                NumOutputs=len(readers),
                PE=1,
                timesteps=1,
                numInputVectors=shape[:-1],
                inputDataType=datatype,
                outputDataType=datatype,
            )
            model.graph.node.insert(place + inserted, fork)
            inserted += 1
        return model, False
