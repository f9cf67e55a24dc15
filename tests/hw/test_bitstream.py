"""The build's last steps on a small network of FINN's: the shell around its RTL, and a Vivado that is a Tcl stub."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")

from spikeclip_fpga.hw import boards, build
from spikeclip_fpga.hw.finn_rtl import RtlError
from spikeclip_fpga.hw.job import Job, JobError
from spikeclip_fpga.hw.shell import hwh
from spikeclip_fpga.hw.shell.geometry import Geometry, ShellError
from spikeclip_fpga.hw.simulate import STALLS
from spikeclip_fpga.hw.simulate import build as compile_rtl
from spikeclip_fpga.hw.steps.bitstream import make_bitstream
from spikeclip_fpga.hw.steps.report import next_step
from spikeclip_fpga.hw.steps.shell import folder, make_shell, script
from spikeclip_fpga.hw.stitch import stitch
from spikeclip_fpga.hw.stream_layout import StreamLayout

from .finn_graphs import Graph, execute, finn_in, to_rtl
from .test_shell_top import BENCH, counts, none, read
from .test_tcl import STUB

# Stands for Vivado: runs the script in Python's Tcl with the stub's commands, and ends as Vivado does.
FAKE = """#!{python}
import os, sys, tkinter
record = os.path.abspath("record")
files = "set script {{" + os.path.abspath(sys.argv[-1]) + "}}\\nset record {{" + record + "}}\\n"
tkinter.Tcl().eval(files + {settings!r})
failed, message = open(record).read().split("\\x1e")[0].split("\\x1f")
if failed == "1":
    print("ERROR: " + message)
    sys.exit(1)
{then}
"""


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("finn")
    with finn_in(path):
        yield path


class Made:
    """A convolution as RTL with its shell and script, and what it must answer."""

    def __init__(self, out: Path) -> None:
        rng = np.random.default_rng(0)
        graph = Graph((1, 6, 6, 3)).pad(1, 3).windows(3, 1, 3).matrix(rng.integers(-3, 4, (27, 8)), 9, 2)
        python = graph.model()
        self.rtl = to_rtl(python)
        source = out / "small.int.onnx"
        source.parent.mkdir(parents=True)
        source.write_bytes(b"graph")
        source.with_suffix(".safetensors").write_bytes(b"network")
        self.lines: list[str] = []
        board = boards.find("pynq-z2")
        nothing = np.zeros((0, 6, 6, 3), np.uint8)
        self.job = Job(source, board, out / "build", 100.0, None, 0.7, nothing, self.lines.append)
        self.stitched = stitch(self.rtl, self.job.rtl)
        make_shell(self.rtl, self.job)
        self.images = rng.integers(-128, 128, (5, 6, 6, 3))
        self.expected = execute(python, self.images).reshape(5, -1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("small") / "work")


@pytest.mark.parametrize("pattern", ["none", "bursts"])
def test_finns_network_behind_the_dma_gives_finns_integers(made: Made, tmp_path: Path, pattern: str) -> None:
    bench = tmp_path / "shell_bench.v"
    bench.write_text(BENCH)
    shell = [p for p in folder(made.job).iterdir() if p.suffix in (".v", ".sv")]
    sources = [*made.stitched.sources, *sorted(shell), bench]
    model = compile_rtl("shell_bench", sources, strict=False, includes=made.stitched.includes)
    words, expected = [], []
    for batch in (slice(0, 2), slice(2, 3), slice(3, 5)):
        for values, target in (
            (np.ascontiguousarray(made.images[batch].astype(np.int8)).reshape(-1).view("<u4"), words),
            (made.expected[batch].astype(np.int32).reshape(-1).view(np.uint32), expected),
        ):
            upper = np.full(len(values), 0xF, np.uint32)
            upper[-1] |= 1 << 4
            target.append(np.stack([values, upper], 1))
    wanted = np.vstack(expected)
    with model.open(made.stitched.files) as simulation:
        inputs = none(mm2s=np.vstack(words).astype(np.uint32))
        run = simulation.run(inputs, counts(s2mm=len(wanted)), stalls=STALLS[pattern], watchdog=20_000)
        np.testing.assert_array_equal(run.outputs["s2mm"], wanted)
        registers = [value for value, _ in read(simulation, [4 * i for i in range(12)])]
    assert b"".join(v.to_bytes(4, "little") for v in registers[2:10]) == hashlib.sha256(b"network").digest()
    assert registers[10:] == [5, 0]


def fake_vivado(path: Path, made: Made, *, slack: str = "max 0.5 min 0.02", dma_base: str = "", then: str = "") -> str:
    """Write a stand-in for Vivado to ``path``/bin; return that folder for PATH."""
    pytest.importorskip("tkinter", reason="the stand-in for Vivado needs Python's Tcl")
    board = made.job.board
    handoff = hwh.write(hwh.Design(board.name, board.part, clk_mhz=made.job.clk_mhz))
    if dma_base:
        handoff = handoff.replace("0x40400000", dma_base)
    settings = f"set slack {{{slack}}}\nset broken_run {{}}\nset handoff {{{handoff}}}\n{STUB.read_text()}"
    program = path / "bin" / "vivado"
    program.parent.mkdir(parents=True)
    program.write_text(FAKE.format(python=sys.executable, settings=settings, then=then))
    program.chmod(0o755)
    return str(program.parent)


@pytest.fixture
def fresh(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Return ``made`` with a build folder in which Vivado has not run."""
    monkeypatch.delenv("XILINX_VIVADO", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    work = Made.__new__(Made)
    work.__dict__.update(made.__dict__)
    work.job = replace(made.job, out=tmp_path / "build")
    work.stitched = stitch(made.rtl, work.job.rtl)
    make_shell(made.rtl, work.job)
    made.lines.clear()
    return work


def test_vivado_runs_and_its_results_are_reported(fresh: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", fake_vivado(tmp_path, fresh))
    assert [s if isinstance(s, str) else s.__name__ for s in build.step_list(fresh.job)][-1] == "step_bitstream"
    make_bitstream(fresh.rtl, fresh.job)
    report = json.loads((fresh.job.reports / "bitstream.json").read_text())
    assert (report["setup_slack_ns"], report["vivado"], report["bit"]) == (0.5, "2024.1", "accelerator.bit")
    assert (folder(fresh.job) / report["bit"]).is_file() and (folder(fresh.job) / report["hwh"]).is_file()
    assert [line for line in fresh.lines if "block design" in line or "synth_1" in line]
    # Below XILINX_VIVADO it is found too.
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("XILINX_VIVADO", str(tmp_path))
    fresh.lines.clear()
    make_bitstream(fresh.rtl, fresh.job)
    assert any("going on" in line for line in fresh.lines)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slack": "max -1.5 min 0.1"}, r"vivado: timing is not met at 100 MHz: .*-1\.5 ns.*vivado\.log"),
        ({"dma_base": "0x41E00000"}, r"axi_dma_0: expected registers at 0x40400000, got 0x41e00000"),
        ({"then": "os.remove('accelerator.bit')"}, r"accelerator\.bit: Vivado ended without error and did not write"),
        ({"then": "sys.exit(3)"}, "vivado: it ended with status 3"),
        ({"then": "open('accelerator.hwh', 'w').write('<')"}, r"accelerator\.hwh: not a hardware handoff"),
    ],
)
def test_what_goes_wrong_in_vivado_is_one_line(
    fresh: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], message: str
) -> None:
    monkeypatch.setenv("PATH", fake_vivado(tmp_path, fresh, **settings))
    with pytest.raises(JobError, match=message) as stopped:
        make_bitstream(fresh.rtl, fresh.job)
    assert "\n" not in str(stopped.value)
    assert not (fresh.job.reports / "bitstream.json").exists()


def test_without_vivado_the_build_ends_with_the_command(fresh: Made) -> None:
    names = [s if isinstance(s, str) else s.__name__ for s in build.step_list(fresh.job)]
    assert names[-1] == "step_report" and names.index("step_make_shell") == names.index("step_make_rtl") + 1
    command = f"vivado -mode batch -source {script(fresh.job)}"
    assert next_step(fresh.job).endswith(command) and script(fresh.job).is_file()
    with pytest.raises(JobError, match="not on PATH") as stopped:
        make_bitstream(fresh.rtl, fresh.job)
    assert command in str(stopped.value)


def test_an_alveo_card_gets_no_shell_and_is_told_of_finns(fresh: Made, tmp_path: Path) -> None:
    card = replace(fresh.job, board=boards.find("u250"), out=tmp_path / "card")
    make_shell(fresh.rtl, card)
    assert not card.out.exists()
    told = next_step(card)
    assert "step_synthesize_bitfile" in told and "vitis_alveo" in told and "not tried" in told
    assert build.step_list(card)[-1].__name__ == "step_report"  # type: ignore[union-attr]


@pytest.mark.parametrize("changes", [{"board": boards.find("u250")}, {"finn_shell": True}], ids=["alveo", "asked for"])
def test_with_vivado_finns_steps_follow_where_its_shell_is_used(
    changes: dict[str, Any], fresh: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finn.builder.build_dataflow_config import DataflowOutputType
    from finn.builder.build_dataflow_steps import build_dataflow_step_lookup

    job = replace(fresh.job, out=tmp_path / "finns", **changes)
    monkeypatch.setenv("PATH", fake_vivado(tmp_path, fresh))
    assert build.step_list(job)[-3:] == list(build.FINN_SHELL)
    assert set(build.FINN_SHELL) <= set(build_dataflow_step_lookup)
    assert {DataflowOutputType.STITCHED_IP, DataflowOutputType.BITFILE} < {
        DataflowOutputType(name) for name in build.outputs(job)
    }
    assert make_shell(fresh.rtl, job) is not None and not job.out.exists()


def test_a_graph_the_shell_cannot_carry_is_refused(made: Made) -> None:
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper

    for tensor, kind, message in (
        (made.rtl.graph.input[0].name, "INT4", "expected pixels of 8 bits, one byte each, got INT4"),
        (made.rtl.graph.output[0].name, "UINT9", "expected signed integers, got UINT9"),
    ):
        other: Any = ModelWrapper(made.rtl.model, make_deepcopy=True)
        other.set_tensor_datatype(tensor, DataType[kind])
        with pytest.raises(ShellError, match=message):
            Geometry.of(StreamLayout.of(other, "small"))
    two: Any = ModelWrapper(made.rtl.model, make_deepcopy=True)
    two.graph.output.append(two.graph.input[0])
    with pytest.raises(RtlError, match="small: expected a graph of one input and one output, got 1 and 2"):
        StreamLayout.of(two, "small")
    numbers: Any = ModelWrapper(made.rtl.model, make_deepcopy=True)
    numbers.set_tensor_datatype(made.rtl.graph.output[0].name, DataType["FLOAT32"])
    with pytest.raises(RtlError, match="expected an integer type, got FLOAT32"):
        make_shell(numbers, made.job)


def test_the_shell_has_the_widths_of_the_first_and_last_node(made: Made) -> None:
    """As FINN tells them, for a 6x6x3 image and 6x6x8 sums."""
    from qonnx.custom_op.registry import getCustomOp

    first, last = (getCustomOp(made.rtl.graph.node[i]) for i in (0, -1))
    shape = Geometry.of(StreamLayout.of(made.rtl, "small"))
    assert 8 * shape.in_bytes == first.get_instream_width_padded()
    assert (shape.frame_bytes, shape.elements) == (6 * 6 * 3, 6 * 6 * 8)
    assert (shape.out_bits, shape.out_width * shape.pe) == (
        last.get_outstream_width_padded(),
        last.get_outstream_width(),
    )
