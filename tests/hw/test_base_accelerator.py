"""The paper's network in full size for an Alveo U250: folded whole; a block and the largest convolution simulated."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.hw import boards
from spikeclip_fpga.hw import build as accelerator
from spikeclip_fpga.hw.excerpt import excerpt
from spikeclip_fpga.hw.fifos import bottleneck, freeze, measure
from spikeclip_fpga.hw.job import Job
from spikeclip_fpga.hw.network_sim import simulate
from spikeclip_fpga.hw.simulate import STALLS
from spikeclip_fpga.hw.steps.streams import with_streams
from spikeclip_fpga.hw.stitch import stitch
from spikeclip_fpga.model.config import preset
from spikeclip_fpga.quantize.export import to_qonnx
from spikeclip_fpga.quantize.lower import lower, to_network
from spikeclip_fpga.quantize.network import save

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(
    build: Callable[..., Any], images: Callable[..., np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Job, dict[str, Any], dict[str, np.ndarray]]:
    """The job, its report, and every tensor of the integer network on two images. The weights are random."""
    folder = tmp_path_factory.mktemp("base")
    pictures = images(2)
    graph = None
    for _, graph in lower(to_qonnx(build(preset("base"), passes=2), {}), pictures[:1]):  # noqa: B007
        pass
    assert graph is not None
    source = folder / "base.int.onnx"
    graph.save(str(source))
    network = to_network(graph, {})
    save(network, source.with_suffix(".safetensors"))
    tensors: dict[str, np.ndarray] = {}
    network.run(pictures, lambda node, value: tensors.update({node.output: value}))
    job = Job(source, boards.find("u250"), folder / "u250", 200.0, 1000, 0.75, pictures, lambda _: None, simulate=False)
    began = time.perf_counter()
    report = accelerator.run(job)
    print(f"\nbase for u250, conversion and folding: {time.perf_counter() - began:.0f} s")
    return job, report, tensors


def test_every_node_is_rtl_and_a_thousand_frames_fit(
    base: tuple[Job, dict[str, Any], dict[str, np.ndarray]],
) -> None:
    job, report, _ = base
    assert report["mismatches"] == {"integer_vs_hw": 0}
    assert report["frames_per_second"] >= 1000
    assert all(share <= 75 for share in report["resources"]["percent"].values())
    assert len(report["layers"]) > 110
    assert all(node.domain.endswith(".rtl") for node in folded(job).graph.node)


def folded(job: Job) -> Any:
    from qonnx.core.modelwrapper import ModelWrapper

    return ModelWrapper(str(job.out / "intermediate_models" / "step_generate_estimate_reports.onnx"))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param("tokenizer.4.to_grid.out", "blocks.0.ResidualAdd.out", id="encoder block"),
        pytest.param("tokenizer.2.out", "tokenizer.3.conv.out", id="largest convolution"),
    ],
)
def test_a_part_of_it_gives_goldens_tensor(
    source: str, target: str, base: tuple[Job, dict[str, Any], dict[str, np.ndarray]], tmp_path: Path
) -> None:
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

    job, _, tensors = base
    part = with_streams(excerpt(folded(job), source, target), job.board.part)
    part = part.transform(PrepareIP(job.board.part, 5.0))
    shapes = [part.get_tensor_shape(tensor.name)[1:] for tensor in (*part.graph.input, *part.graph.output)]
    into, out = (
        tensors[name].reshape(-1, *shape).astype(np.int64) for name, shape in zip((source, target), shapes, strict=True)
    )
    unbounded = measure(part, into, tmp_path / "gauge")
    np.testing.assert_array_equal(unbounded.outputs, out)
    freeze(part, unbounded.fills, job.board.part, job.clk_mhz)
    made = stitch(part, tmp_path / "rtl", probes=True)
    run = simulate(made, part, into)
    np.testing.assert_array_equal(run.outputs, out)
    assert run.initiation_interval <= 1.05 * bottleneck(part)
    np.testing.assert_array_equal(simulate(made, part, into, stalls=STALLS["bursts"], seed=1).outputs, out)


def test_the_largest_convolution_is_the_one_simulated(
    base: tuple[Job, dict[str, Any], dict[str, np.ndarray]],
) -> None:
    convolutions = [row for row in base[1]["layers"] if row["op"] == "SpikeMVAU" and "conv" in row["layer"]]
    assert max(row["operations"] for row in convolutions) == next(
        row["operations"] for row in convolutions if row["layer"] == "tokenizer.3.conv"
    )
