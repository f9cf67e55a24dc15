// Sum a frame's spikes over tokens and weighted steps: z of golden.readout.
//
//   z[d] = floor((sum_t w_t sum_n S_t,n,d + 2^(SHIFT-1)) / 2^SHIFT)      (no rounding term if SHIFT = 0)
//
// in:  PE words of T bits, bit t = step t; CHANNELS / PE beats make a token, TOKENS tokens a frame.
// out: PE values of OUT_WIDTH bits, signed; CHANNELS / PE beats per frame, during its last token.
// WEIGHTS: $readmemh file of one line; field t is w_t, W_WIDTH bits, signed.
// ACC_WIDTH: bits that hold every sum with its rounding term (prove_ranges); sums wrap.
//
// Each beat adds its weighted steps to the accumulators of its channels, a LUT RAM of CHANNELS ACC_WIDTH bits.
//   latency 2 + floor(clog2(T) / 2) cycles from a beat of the last token to its z, initiation interval
//   TOKENS CHANNELS / PE cycles per frame. in_ready_o follows out_ready_i in the same cycle.
module sc_readout #(
  parameter int unsigned CHANNELS  = 8,
  parameter int unsigned PE        = 2,
  parameter int unsigned T         = 4,
  parameter int unsigned TOKENS    = 4,
  parameter int unsigned W_WIDTH   = 8,
  parameter int unsigned ACC_WIDTH = 13,
  parameter int unsigned SHIFT     = 4,
  parameter int unsigned OUT_WIDTH = 9,
  parameter              WEIGHTS   = "weights.mem"
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    in_valid_i,
  output logic                    in_ready_o,
  input  logic [PE*T-1:0]         in_data_i,
  output logic                    out_valid_o,
  input  logic                    out_ready_i,
  output logic [PE*OUT_WIDTH-1:0] out_data_o
);

  if (PE < 1 || CHANNELS % PE != 0) begin : gen_bad_pe
    $fatal(1, "sc_readout: CHANNELS %0d is not a multiple of PE %0d", CHANNELS, PE);
  end
  if (T < 1 || T > 16 || TOKENS < 1) begin : gen_bad_t
    $fatal(1, "sc_readout: T %0d is not in 1 to 16, or TOKENS %0d is below 1", T, TOKENS);
  end
  if (SHIFT >= ACC_WIDTH || OUT_WIDTH > ACC_WIDTH - SHIFT) begin : gen_bad_width
    $fatal(1, "sc_readout: OUT_WIDTH %0d is above ACC_WIDTH %0d - SHIFT %0d", OUT_WIDTH, ACC_WIDTH, SHIFT);
  end

  localparam int unsigned Folds      = CHANNELS / PE;
  localparam int unsigned FoldWidth  = Folds > 1 ? $clog2(Folds) : 1;
  localparam int unsigned TokenWidth = TOKENS > 1 ? $clog2(TOKENS) : 1;
  localparam int unsigned SumWidth   = W_WIDTH + $clog2(T);
  // Stages before the accumulator: a beat's gated weights, then registers of the tree.
  localparam int unsigned Levels     = 2;
  localparam int unsigned Stages     = 1 + $clog2(T) / Levels;
  localparam logic signed [ACC_WIDTH-1:0] Half = ACC_WIDTH'((64'd1 << SHIFT) >> 1);

  logic move;
  assign move       = !out_valid_o || out_ready_i;
  assign in_ready_o = move;

  logic [Stages:0] valid;
  assign valid[0] = in_valid_i;
  for (genvar i = 0; i < Stages; i++) begin : gen_stage
    logic valid_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        valid_q <= 1'b0;
      end else if (move) begin
        valid_q <= valid[i];
      end
    end
    assign valid[i+1] = valid_q;
  end

  logic [T*W_WIDTH-1:0] weights [1];
  initial $readmemh(WEIGHTS, weights);

  // Which channels, which token the accumulator adds.
  logic                  add, fold_last, token_first, token_last;
  logic [FoldWidth-1:0]  fold_q;
  logic [TokenWidth-1:0] token_q;
  assign add         = valid[Stages] && move;
  assign fold_last   = fold_q == FoldWidth'(Folds - 1);
  assign token_first = token_q == '0;
  assign token_last  = token_q == TokenWidth'(TOKENS - 1);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fold_q      <= '0;
      token_q     <= '0;
      out_valid_o <= 1'b0;
    end else begin
      if (add) begin
        fold_q <= fold_last ? '0 : fold_q + 1'b1;
        if (fold_last) begin
          token_q <= token_last ? '0 : token_q + 1'b1;
        end
      end
      if (move) begin
        out_valid_o <= add && token_last;
      end
    end
  end

  for (genvar p = 0; p < PE; p++) begin : gen_pe
    logic [T*W_WIDTH-1:0] gated_q;
    for (genvar t = 0; t < T; t++) begin : gen_step
      always_ff @(posedge clk_i) begin
        if (move) begin
          gated_q[t*W_WIDTH+:W_WIDTH] <= weights[0][t*W_WIDTH+:W_WIDTH] & {W_WIDTH{in_data_i[p*T+t]}};
        end
      end
    end

    // A sum wider than the accumulator loses bits that the wrapped accumulator does not have.
    // verilator lint_off UNUSEDSIGNAL
    logic signed [SumWidth-1:0] sum;
    // verilator lint_on UNUSEDSIGNAL
    sc_adder_tree #(
      .COUNT (T),
      .WIDTH (W_WIDTH),
      .LEVELS(Levels)
    ) u_tree (
      .clk_i,
      .move_i(move),
      .x_i   (gated_q),
      .sum_o (sum)
    );

    (* ram_style = "distributed" *) logic signed [ACC_WIDTH-1:0] accumulators [Folds];
    logic signed [ACC_WIDTH-1:0] partial, total;
    logic        [OUT_WIDTH-1:0] z_q;
    assign partial = token_first ? Half : accumulators[fold_q];
    assign total   = partial + ACC_WIDTH'(sum);
    always_ff @(posedge clk_i) begin
      if (add) begin
        accumulators[fold_q] <= total;
        z_q                  <= OUT_WIDTH'(total >>> SHIFT);
      end
    end
    assign out_data_o[p*OUT_WIDTH+:OUT_WIDTH] = z_q;
  end

endmodule
