"""The paper's network in full size, through every rung; prints the seconds and the memory it takes."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from spikeclip_fpga.model.config import preset
from spikeclip_fpga.model.data.input import to_input
from spikeclip_fpga.quantize.export import to_qonnx
from spikeclip_fpga.quantize.lower import execute, lower, to_network
from spikeclip_fpga.quantize.qat import QatSpikeCLIP


@pytest.mark.slow
def test_base_lowers_and_every_rung_agrees(
    build: Callable[..., QatSpikeCLIP], images: Callable[..., np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    qat = build(preset("base"), passes=2)
    pictures = images(2)
    with torch.no_grad():
        expected = qat(to_input(pictures)).numpy().astype(np.int64)
    assert len(np.unique(expected, axis=0)) == 2
    began = time.perf_counter()
    lines = []

    def note(what: str) -> None:
        gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        lines.append(f"{time.perf_counter() - began:6.1f} s {gigabytes:5.2f} GB  {what}")

    model = to_qonnx(qat, {})
    note("export")
    np.testing.assert_array_equal(execute(model, pictures[:1]), expected[:1])
    for name, graph in lower(model, pictures[:1]):  # noqa: B007
        note(name)
    np.testing.assert_array_equal(to_network(graph, {}).run(pictures), expected)
    note("golden, 2 images")
    with capsys.disabled():
        print("", *lines, sep="\n")
