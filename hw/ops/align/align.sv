// Bring currents onto the residual stream's grid: golden.align.
//
//   y[c, t] = x[c, t] 2^(SHIFT + extra[c]) + bias[c]
//
// in:  PE channels x T currents of IN_WIDTH bits, signed, t innermost; CHANNELS / PE beats make a position.
// out: the same of OUT_WIDTH bits.
// CONSTANTS: $readmemh file of CHANNELS / PE lines; field p of a line is {bias, extra} of channel
//      line PE + p, BIAS_WIDTH (signed) + EXTRA_WIDTH (unsigned) bits. EXTRA_WIDTH 0: every channel shifts
//      by SHIFT, which costs nothing.
// OUT_WIDTH: bits that hold every result (prove_ranges); sums wrap.
//
//   latency 2 cycles, initiation interval 1 cycle per beat. While the output waits, nothing moves.
//   in_ready_o follows out_ready_i in the same cycle.
module sc_align #(
  parameter int unsigned CHANNELS    = 8,
  parameter int unsigned PE          = 2,
  parameter int unsigned T           = 4,
  parameter int unsigned IN_WIDTH    = 8,
  parameter int unsigned BIAS_WIDTH  = 8,
  parameter int unsigned SHIFT       = 0,
  parameter int unsigned EXTRA_WIDTH = 2,
  parameter int unsigned OUT_WIDTH   = 12,
  parameter              ROM_STYLE   = "distributed",
  parameter              CONSTANTS   = "constants.mem"
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      in_valid_i,
  output logic                      in_ready_o,
  input  logic [PE*T*IN_WIDTH-1:0]  in_data_i,
  output logic                      out_valid_o,
  input  logic                      out_ready_i,
  output logic [PE*T*OUT_WIDTH-1:0] out_data_o
);

  if (PE < 1 || CHANNELS % PE != 0) begin : gen_bad_pe
    $fatal(1, "sc_align: CHANNELS %0d is not a multiple of PE %0d", CHANNELS, PE);
  end
  if (T < 1 || T > 16) begin : gen_bad_t
    $fatal(1, "sc_align: T %0d is not in 1 to 16", T);
  end
  if (OUT_WIDTH < IN_WIDTH + SHIFT && OUT_WIDTH < BIAS_WIDTH) begin : gen_bad_width
    $fatal(1, "sc_align: OUT_WIDTH %0d holds neither IN_WIDTH + SHIFT %0d nor BIAS_WIDTH %0d", OUT_WIDTH,
           IN_WIDTH + SHIFT, BIAS_WIDTH);
  end

  localparam int unsigned Folds      = CHANNELS / PE;
  localparam int unsigned FoldWidth  = Folds > 1 ? $clog2(Folds) : 1;
  localparam int unsigned FieldWidth = BIAS_WIDTH + EXTRA_WIDTH;

  logic move;
  assign move       = !out_valid_o || out_ready_i;
  assign in_ready_o = move;

  logic valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q     <= 1'b0;
      out_valid_o <= 1'b0;
    end else if (move) begin
      valid_q     <= in_valid_i;
      out_valid_o <= valid_q;
    end
  end

  // Which channels the next beat has.
  logic [FoldWidth-1:0] fold_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fold_q <= '0;
    end else if (in_valid_i && move) begin
      fold_q <= fold_q == FoldWidth'(Folds - 1) ? '0 : fold_q + 1'b1;
    end
  end

  // A beat beside its constants.
  logic [PE*FieldWidth-1:0] constants_q;
  logic [PE*T*IN_WIDTH-1:0] currents_q;
  sc_rom #(
    .DEPTH(Folds),
    .WIDTH(PE * FieldWidth),
    .STYLE(ROM_STYLE),
    .FILE (CONSTANTS)
  ) u_constants (
    .clk_i,
    .read_i   (move),
    .address_i(fold_q),
    .data_o   (constants_q)
  );
  always_ff @(posedge clk_i) begin
    if (move) begin
      currents_q <= in_data_i;
    end
  end

  for (genvar p = 0; p < PE; p++) begin : gen_pe
    // A bias wider than the output loses bits that the wrapped sum does not have.
    // verilator lint_off UNUSEDSIGNAL
    logic signed [BIAS_WIDTH-1:0] bias;
    // verilator lint_on UNUSEDSIGNAL
    assign bias = constants_q[p*FieldWidth+EXTRA_WIDTH+:BIAS_WIDTH];

    for (genvar t = 0; t < T; t++) begin : gen_step
      logic signed [IN_WIDTH-1:0]  current;
      logic signed [OUT_WIDTH-1:0] shifted, sum_q;
      assign current = currents_q[(p*T+t)*IN_WIDTH+:IN_WIDTH];
      if (EXTRA_WIDTH == 0) begin : gen_fixed
        assign shifted = OUT_WIDTH'(current) <<< SHIFT;
      end else begin : gen_extra
        assign shifted = (OUT_WIDTH'(current) <<< SHIFT) <<< constants_q[p*FieldWidth+:EXTRA_WIDTH];
      end
      always_ff @(posedge clk_i) begin
        if (move) begin
          sum_q <= shifted + OUT_WIDTH'(bias);
        end
      end
      assign out_data_o[(p*T+t)*OUT_WIDTH+:OUT_WIDTH] = sum_q;
    end
  end

endmodule
