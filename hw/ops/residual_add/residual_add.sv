// Add two residual streams of one grid: golden.add.
//
//   y[i] = a[i] + b[i],  i < LANES
//
// a, b: LANES integers of A_WIDTH and B_WIDTH bits, signed (PE channels x T, t innermost). out: LANES of
//      OUT_WIDTH bits. A beat of a meets the beat of b with the same number.
// OUT_WIDTH: bits that hold every sum (prove_ranges); sums wrap.
//
// Each input has a register that fills on its own, so that neither ready depends on the other's valid; each
// follows out_ready_i in the same cycle.
//   latency 2 cycles from the later beat, initiation interval 1.
module sc_residual_add #(
  parameter int unsigned LANES     = 8,
  parameter int unsigned A_WIDTH   = 8,
  parameter int unsigned B_WIDTH   = 8,
  parameter int unsigned OUT_WIDTH = 9
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  input  logic                       a_valid_i,
  output logic                       a_ready_o,
  input  logic [LANES*A_WIDTH-1:0]   a_data_i,
  input  logic                       b_valid_i,
  output logic                       b_ready_o,
  input  logic [LANES*B_WIDTH-1:0]   b_data_i,
  output logic                       out_valid_o,
  input  logic                       out_ready_i,
  output logic [LANES*OUT_WIDTH-1:0] out_data_o
);

  if (LANES < 1) begin : gen_bad_lanes
    $fatal(1, "sc_residual_add: LANES %0d is below 1", LANES);
  end
  if (OUT_WIDTH < A_WIDTH && OUT_WIDTH < B_WIDTH) begin : gen_bad_width
    $fatal(1, "sc_residual_add: OUT_WIDTH %0d holds neither A_WIDTH %0d nor B_WIDTH %0d", OUT_WIDTH, A_WIDTH, B_WIDTH);
  end

  logic a_full_q, b_full_q, join_both;
  assign join_both = a_full_q && b_full_q && (!out_valid_o || out_ready_i);
  assign a_ready_o = !a_full_q || join_both;
  assign b_ready_o = !b_full_q || join_both;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      a_full_q    <= 1'b0;
      b_full_q    <= 1'b0;
      out_valid_o <= 1'b0;
    end else begin
      if (a_ready_o) begin
        a_full_q <= a_valid_i;
      end
      if (b_ready_o) begin
        b_full_q <= b_valid_i;
      end
      if (!out_valid_o || out_ready_i) begin
        out_valid_o <= join_both;
      end
    end
  end

  logic [LANES*A_WIDTH-1:0] a_q;
  logic [LANES*B_WIDTH-1:0] b_q;
  always_ff @(posedge clk_i) begin
    if (a_ready_o) begin
      a_q <= a_data_i;
    end
    if (b_ready_o) begin
      b_q <= b_data_i;
    end
  end

  for (genvar i = 0; i < LANES; i++) begin : gen_lane
    // An operand wider than the sum loses bits that the wrapped sum does not have.
    // verilator lint_off UNUSEDSIGNAL
    logic signed [A_WIDTH-1:0] a;
    logic signed [B_WIDTH-1:0] b;
    // verilator lint_on UNUSEDSIGNAL
    logic [OUT_WIDTH-1:0] sum_q;
    assign a = a_q[i*A_WIDTH+:A_WIDTH];
    assign b = b_q[i*B_WIDTH+:B_WIDTH];
    always_ff @(posedge clk_i) begin
      if (join_both) begin
        sum_q <= OUT_WIDTH'(a) + OUT_WIDTH'(b);
      end
    end
    assign out_data_o[i*OUT_WIDTH+:OUT_WIDTH] = sum_q;
  end

endmodule
