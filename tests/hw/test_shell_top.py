"""The whole of the programmable logic as its generator writes it: DMA streams, an accelerator, AXI4-Lite registers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.hw.shell import wrapper
from spikeclip_fpga.hw.shell.geometry import Geometry, ShellError
from spikeclip_fpga.hw.simulate import STALLS, Gate, Model, SimulationError, build
from spikeclip_fpga.hw.verilate import lint

SHAPE = Geometry(in_bytes=3, frame_bytes=48, pe=3, out_width=18, out_bits=56, elements=24)
NETWORK = bytes(range(200, 232))
MAGIC, OKAY, SLVERR = 0x53434C50, 0, 2

# An accelerator: element i of a frame is (sum of its signed bytes) x (i - 7), after the frame's last byte.
ACCELERATOR = """
module spikeclip_accelerator (
  input ap_clk, input ap_rst_n,
  input [23:0] s_axis_0_tdata, input s_axis_0_tvalid, output s_axis_0_tready,
  output [55:0] m_axis_0_tdata, output m_axis_0_tvalid, input m_axis_0_tready
);
  reg [4:0] taken;
  reg [3:0] given;
  reg signed [17:0] sum;
  wire signed [7:0] a = s_axis_0_tdata[7:0], b = s_axis_0_tdata[15:8], c = s_axis_0_tdata[23:16];
  wire signed [17:0] first = $signed({13'd0, given, 1'b0}) + $signed({14'd0, given}) - 18'sd7;
  assign s_axis_0_tready = taken != 5'd16;
  assign m_axis_0_tvalid = taken == 5'd16;
  wire signed [17:0] e0 = sum * first, e1 = sum * (first + 18'sd1), e2 = sum * (first + 18'sd2);
  assign m_axis_0_tdata = {~e0[17], sum[0], e2, e1, e0};
  always @(posedge ap_clk)
    if (!ap_rst_n) begin
      taken <= 0; given <= 0; sum <= 0;
    end else if (s_axis_0_tvalid && s_axis_0_tready) begin
      taken <= taken + 5'd1; sum <= sum + 18'(a) + 18'(b) + 18'(c);
    end else if (m_axis_0_tvalid && m_axis_0_tready) begin
      given <= given == 4'd7 ? 4'd0 : given + 4'd1;
      if (given == 4'd7) begin taken <= 0; sum <= 0; end
    end
endmodule
"""

# The bench knows streams of valid, ready and data: what travels together becomes one data.
BENCH = """
module shell_bench (
  input clk_i, input rst_ni,
  input mm2s_valid_i, output mm2s_ready_o, input [36:0] mm2s_data_i,
  output s2mm_valid_o, input s2mm_ready_i, output [36:0] s2mm_data_o,
  input ar_valid_i, output ar_ready_o, input [15:0] ar_data_i,
  output r_valid_o, input r_ready_i, output [33:0] r_data_o,
  input aw_valid_i, output aw_ready_o, input [15:0] aw_data_i,
  input w_valid_i, output w_ready_o, input [35:0] w_data_i,
  output b_valid_o, input b_ready_i, output [1:0] b_data_o
);
  spikeclip_shell u_shell (
    .clk_i(clk_i), .rst_ni(rst_ni),
    .s_axis_tdata(mm2s_data_i[31:0]), .s_axis_tkeep(mm2s_data_i[35:32]), .s_axis_tlast(mm2s_data_i[36]),
    .s_axis_tvalid(mm2s_valid_i), .s_axis_tready(mm2s_ready_o),
    .m_axis_tdata(s2mm_data_o[31:0]), .m_axis_tkeep(s2mm_data_o[35:32]), .m_axis_tlast(s2mm_data_o[36]),
    .m_axis_tvalid(s2mm_valid_o), .m_axis_tready(s2mm_ready_i),
    .s_axi_araddr(ar_data_i), .s_axi_arprot(3'd0), .s_axi_arvalid(ar_valid_i), .s_axi_arready(ar_ready_o),
    .s_axi_rdata(r_data_o[31:0]), .s_axi_rresp(r_data_o[33:32]), .s_axi_rvalid(r_valid_o), .s_axi_rready(r_ready_i),
    .s_axi_awaddr(aw_data_i), .s_axi_awprot(3'd0), .s_axi_awvalid(aw_valid_i), .s_axi_awready(aw_ready_o),
    .s_axi_wdata(w_data_i[31:0]), .s_axi_wstrb(w_data_i[35:32]), .s_axi_wvalid(w_valid_i), .s_axi_wready(w_ready_o),
    .s_axi_bresp(b_data_o), .s_axi_bvalid(b_valid_o), .s_axi_bready(b_ready_i)
  );
endmodule
"""
NOTHING = {"mm2s": (0, 2), "ar": (0, 1), "aw": (0, 1), "w": (0, 2)}


def none(**given: np.ndarray) -> dict[str, np.ndarray]:
    """Return the bench's inputs: ``given``, and no beats on the others."""
    return {name: np.zeros(shape, np.uint32) for name, shape in NOTHING.items()} | given


def counts(**given: int) -> dict[str, int]:
    """Return how many beats each output gives."""
    return {"s2mm": 0, "r": 0, "b": 0} | given


def column(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint32).reshape(-1, 1)


def transfer(frames: np.ndarray) -> np.ndarray:
    """Return a batch (N, 48) int8 as AXI DMA's words, {last, keep, data}."""
    data = np.ascontiguousarray(frames).view("<u4").reshape(-1, 1)
    upper = np.full_like(data, 0xF)
    upper[-1] |= 1 << 4
    return np.hstack([data, upper])


def answers(batches: list[np.ndarray]) -> np.ndarray:
    """Return what the accelerator above makes of batches, as words {last, keep, data}."""
    found = []
    for frames in batches:
        sums = frames.astype(np.int64).sum(1)
        words = (sums[:, None] * (np.arange(24) - 7)).astype(np.int32).reshape(-1, 1).view(np.uint32)
        upper = np.full_like(words, 0xF)
        upper[-1] |= 1 << 4
        found.append(np.hstack([words, upper]))
    return np.vstack(found)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("shell")
    sources = list(wrapper.write(folder, SHAPE, NETWORK))
    for name, text in (("spikeclip_accelerator.v", ACCELERATOR), ("shell_bench.v", BENCH)):
        (folder / name).write_text(text)
        sources.append(folder / name)
    lint("spikeclip_shell", sources[:-1], strict=True)  # every width and pin of the wrapper
    return build("shell_bench", sources, strict=False)


@pytest.mark.parametrize("pattern", STALLS)
def test_batches_back_to_back(model: Model, pattern: str) -> None:
    rng = np.random.default_rng(5)
    batches = [rng.integers(-128, 128, (n, 48)).astype(np.int8) for n in (1, 3, 2, 1, 4)]
    batches[1][0], batches[1][1] = -128, 127
    expected = answers(batches)
    with model.open(seed=2) as simulation:
        run = simulation.run(
            none(mm2s=np.vstack([transfer(b) for b in batches])),
            counts(s2mm=len(expected)),
            stalls=STALLS[pattern],
            seed=7,
        )
        np.testing.assert_array_equal(run.outputs["s2mm"], expected)
        registers = read(simulation, [0x28, 0x2C])
    assert registers == [(11, OKAY), (0, OKAY)]


def read(simulation: object, addresses: list[int], **more: object) -> list[tuple[int, int]]:
    """Return (data, response) of reads."""
    run = simulation.run(none(ar=column(addresses)), counts(r=len(addresses)), **more)  # type: ignore[attr-defined]
    return [(int(data), int(response)) for data, response in run.outputs["r"]]


@pytest.mark.parametrize("pattern", STALLS)
def test_registers_under_stalls_on_every_channel(model: Model, pattern: str) -> None:
    identity = [MAGIC, 1, *(int.from_bytes(NETWORK[i : i + 4], "little") for i in range(0, 32, 4)), 0, 0]
    good = [(value, OKAY) for value in identity]
    bad = [0x30, 0x34, 0x100, 0x8000, 0xFFFC]
    with model.open(seed=3) as simulation:
        assert read(simulation, [4 * i for i in range(12)], stalls=STALLS[pattern], seed=1) == good
        assert read(simulation, bad, stalls=STALLS[pattern], seed=2) == [(0, SLVERR)] * 5
        assert read(simulation, [0x01, 0x03, 0x06], seed=2) == [good[0], good[0], good[1]]
        # Writes are refused, whichever of address and data comes first, and change nothing.
        writes = np.array([[0xFFFFFFFF, 0xF]] * 12, np.uint32)
        for gates in ({}, {"aw": Gate(0.05)}, {"w": Gate(0.05)}):
            run = simulation.run(
                none(aw=column([4 * i for i in range(12)]), w=writes),
                counts(b=12),
                stalls=STALLS[pattern],
                gates=gates,
                seed=3,
            )
            np.testing.assert_array_equal(run.outputs["b"], column([SLVERR] * 12))
            last = np.maximum(run.moved["aw"], run.moved["w"])
            assert (run.moved["b"] > last).all()  # no answer before address and data
        assert read(simulation, [4 * i for i in range(12)], seed=4) == good


def test_registers_answer_while_frames_go_through(model: Model) -> None:
    frames = np.random.default_rng(1).integers(-128, 128, (6, 48)).astype(np.int8)
    with model.open() as simulation:
        run = simulation.run(
            none(mm2s=transfer(frames), ar=column([0x28, 0x2C] * 40)),
            counts(s2mm=6 * 24, r=80),
            gates={"ar": Gate(0.2)},
        )
    np.testing.assert_array_equal(run.outputs["s2mm"], answers([frames]))
    completed, states = run.outputs["r"][::2, 0], run.outputs["r"][1::2, 0]
    assert (np.diff(completed.astype(np.int64)) >= 0).all() and len(set(completed.tolist())) > 3
    assert {1, 2} <= set(states.tolist()) <= {0, 1, 2, 3}


def test_a_short_batch_never_completes_and_shows_in_the_state(model: Model) -> None:
    frames = np.random.default_rng(2).integers(-128, 128, (2, 48)).astype(np.int8)
    short = transfer(frames)[:-1]
    short[-1, 1] |= 1 << 4
    with model.open() as simulation:
        # Frame 0 comes back without an end; nothing follows.
        run = simulation.run(none(mm2s=short), counts(s2mm=24))
        assert (run.outputs["s2mm"][:, 1] >> 4 == 0).all()
        np.testing.assert_array_equal(run.outputs["s2mm"][:, 0], answers([frames])[:24, 0])
        assert read(simulation, [0x28, 0x2C]) == [(1, OKAY), (1, OKAY)]
        with pytest.raises(SimulationError, match="output s2mm did 0 of 1 beats"):
            simulation.run(none(), counts(s2mm=1), watchdog=500)
        # Configured anew, it works.
        simulation.reset()
        run = simulation.run(none(mm2s=transfer(frames)), counts(s2mm=48))
        np.testing.assert_array_equal(run.outputs["s2mm"], answers([frames]))


def test_the_generator_refuses_what_it_cannot_put_right(tmp_path: Path) -> None:
    with pytest.raises(ShellError, match="32 bytes, got 20"):
        wrapper.write(tmp_path, SHAPE, NETWORK[:20])
    rtl = tmp_path / "rtl"
    rtl.mkdir()
    (rtl / "sc_fifo.sv").write_text("module sc_fifo; endmodule\n")
    with pytest.raises(ShellError, match=r"sc_fifo\.sv: differs from this checkout's fifo\.sv"):
        wrapper.write(tmp_path / "shell", SHAPE, NETWORK, rtl=rtl)
    (rtl / "sc_fifo.sv").write_text((Path(wrapper.__file__).parents[1] / "lib" / "fifo.sv").read_text())
    written = wrapper.write(tmp_path / "shell", SHAPE, NETWORK, rtl=rtl)
    assert [p.name for p in written] == ["sc_dma_shell.sv", "sc_id.sv", "spikeclip_shell.v"]
