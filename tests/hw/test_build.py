from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.cli.main import main
from spikeclip_fpga.hw import boards, build
from spikeclip_fpga.hw.job import Job, JobError
from spikeclip_fpga.model.data import load

GRAPH = Path(__file__).parents[2] / "artifacts" / "tiny.int.onnx"


def job(out: Path, lines: list[str], **changes: Any) -> Job:
    settings: dict[str, Any] = {"board": boards.find("pynq-z2"), "clk_mhz": 100.0, "fps": 2500, "share": 0.75}
    images = load("fashion-mnist", "test").images[:4]
    return Job(GRAPH, out=out, images=images, say=lines.append, **{**settings, **changes})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, dict[str, Any], list[str]]:
    """The shipped network for the PYNQ-Z2, interrupted in the middle and then finished."""
    lines: list[str] = []
    work = job(tmp_path_factory.mktemp("build") / "tiny", lines)
    with pytest.MonkeyPatch.context() as patch:

        def interrupted(*_: Any) -> Any:
            raise KeyboardInterrupt

        patch.setattr("spikeclip_fpga.hw.steps.fifos.size_fifos", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build.run(work)
    assert not (work.reports / "build.json").exists()
    assert not work.rtl.exists()
    lines.clear()
    return work, build.run(work), lines


def test_an_interrupted_build_goes_on_where_it_stopped(built: tuple[Job, dict[str, Any], list[str]]) -> None:
    work, report, lines = built
    assert lines[0] == f"{work.out}: goes on after step_hw_codegen"
    assert not any("convert_integers" in line for line in lines)
    lines.clear()
    assert build.run(work) == report
    count = len(build.step_list(work))
    assert lines == [f"{work.out}: nothing to do, all {count} steps are done for these inputs"]


def test_real_images_give_goldens_embeddings_at_the_models_rate(
    built: tuple[Job, dict[str, Any], list[str]],
) -> None:
    work, report, _ = built
    assert report["mismatches"] == {"integer_vs_hw": 0, "hw_vs_rtl": 0}
    assert report["rtl"]["images"] == 4
    assert report["rtl"]["cycles_per_frame"] <= 1.05 * report["rtl"]["model_cycles_per_frame"]
    assert report["frames_per_second"] >= 2500
    runs = json.loads((work.reports / "rtl.json").read_text())["runs"]
    assert set(runs) == {"none", "starved", "blocked", "both"}
    assert all(run["mismatches"] == 0 for run in runs.values())
    assert runs["starved"]["cycles"] > runs["none"]["cycles"]


def test_the_report_has_every_layer_and_fits_the_board(built: tuple[Job, dict[str, Any], list[str]]) -> None:
    work, report, _ = built
    layers = {row["layer"] for row in report["layers"]}
    assert {node.name for node in work.network.nodes if node.op in ("LIF", "SpikeConv", "SpikeLinear")} <= layers
    assert all(share <= 75 for share in report["resources"]["percent"].values())
    rates = [row["firing_rate"] for row in report["layers"] if row["op"] == "LIF"]
    assert len(rates) == 17 and all(0 < rate < 1 for rate in rates)
    table = (work.reports / "build.txt").read_text()
    assert "blocks.1.mlp.fc2" in table and "next:" in table


def test_finns_own_estimates_agree(built: tuple[Job, dict[str, Any], list[str]]) -> None:
    """FINN's exp_cycles analysis sees the slowest node that the simulation shows."""
    work, report, _ = built
    cycles = json.loads((work.reports / "estimate_layer_cycles.json").read_text())
    assert max(cycles.values()) == report["rtl"]["model_cycles_per_frame"]
    rows = {row["layer"]: row.get("cycles") for row in report["layers"]}
    assert rows["tokenizer.0.conv"] == cycles["MVAU_rtl_0"]
    performance = json.loads((work.reports / "estimate_network_performance.json").read_text())
    assert performance["max_cycles"] == report["rtl"]["model_cycles_per_frame"]


def test_the_rtl_folder_is_complete(built: tuple[Job, dict[str, Any], list[str]], tmp_path: Path) -> None:
    """Moved elsewhere, with nothing of the build left, it still elaborates."""
    from spikeclip_fpga.hw.verilate import lint

    work, _, _ = built
    moved = tmp_path / "moved"
    shutil.copytree(work.rtl, moved)
    sources = [moved / name for name in (moved / "sources.f").read_text().split()]
    assert all(source.is_file() for source in sources)
    assert not any(str(work.out) in source.read_text() for source in sources)
    lint("spikeclip_accelerator", sources, includes=[moved])


def test_other_inputs_start_anew(built: tuple[Job, dict[str, Any], list[str]], tmp_path: Path) -> None:
    work, _, _ = built
    assert job(tmp_path, []).key() == work.key()
    assert job(tmp_path, [], fps=2000).key() != work.key()
    changed = job(tmp_path, [])
    assert Job(**{**vars(changed), "images": np.zeros_like(changed.images)}).key() != work.key()


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "thesis.tex").write_text("mine")
    with pytest.raises(JobError, match="has a report that is not of a build"):
        build.run(job(tmp_path, []), fresh=True)
    assert (tmp_path / "report" / "thesis.tex").read_text() == "mine"


def test_a_wrong_network_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault injection: hardware weights that are not the network's."""
    from spikeclip_fpga.hw.ops.spike_mvau.node import SpikeMVAU
    from spikeclip_fpga.hw.passes import HardwareError

    right = SpikeMVAU.run
    monkeypatch.setattr(SpikeMVAU, "run", lambda self, arrays: right(self, [arrays[0], -arrays[1]]))
    with pytest.raises(HardwareError, match=r"convert_spike_matrix: .* embedding elements changed"):
        build.run(job(tmp_path / "wrong", []))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--board", "pynq-z9"], "no such board"),
        (["--board", "pynq-z2", "--graph", "none.int.onnx"], "none.int.onnx: no such file"),
        (["--board", "pynq-z2", "--fps", "2500", "--share", "0.1"], "LUT"),
        (["--board", "pynq-z2", "--fps", "1e9"], "frames/s"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = [] if "--graph" in arguments else ["--graph", str(GRAPH)]
    assert main(["build", *arguments, *graph, "--images", "1", "--out", str(tmp_path / "b")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error
    assert not (tmp_path / "b" / "rtl").exists()


@pytest.mark.parametrize(
    ("folding", "message"),
    [
        ({"Defaults": {}, "SpikeMVAU_rtl_0": {"PE": 5}}, "PE"),
        ({"Defaults": {}, "MVAU_rtl_0": {"SIMD": 27}}, "SIMD"),
        ({"Defaults": {}, "SpikeMVAU_rtl_99": {"PE": 1}}, "SpikeMVAU_rtl_99"),
    ],
)
def test_an_impossible_folding_file_is_one_line(
    folding: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PE 5 does not divide MH 48; SIMD = MW overflows FINN's MVAU; a node there is not."""
    file = tmp_path / "folding.json"
    file.write_text(json.dumps(folding))
    arguments = ["--graph", str(GRAPH), "--folding", str(file), "--images", "1", "--out", str(tmp_path / "b")]
    assert main(["build", "--board", "pynq-z2", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error, error
    assert not (tmp_path / "b" / "rtl").exists()


def test_a_machine_without_a_compiler_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arguments = ["--graph", str(GRAPH), "--fps", "2500", "--images", "1", "--out", str(tmp_path / "b")]
    assert main(["build", "--board", "pynq-z2", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no-such-compiler: not found" in error and "install g++" in error, error


def test_the_boards_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--board", "list"]) == 0
    assert "xc7z020clg400-1" in capsys.readouterr().out
