// Matrix times spikes on time-parallel words: golden.spike_linear, and the matrix of golden.spike_conv.
//
//   acc[m, t] = sum over c of w[m, c] S_t[c],  m < MH, c < MW
//
// in:  SIMD words of T bits, bit t = step t; MW / SIMD beats make a vector.
// out: PE channels x T accumulators of ACC_WIDTH bits, signed, t innermost; MH / PE beats per vector.
// WEIGHTS: $readmemh file of NF SF lines, SF = MW / SIMD, NF = MH / PE; field p SIMD + s of line n SF + f is
//      w[n PE + p, f SIMD + s], W_WIDTH bits, signed.
// ROM_STYLE: where the weights are, "block" or "distributed".
// ACC_WIDTH: bits that hold every accumulator (prove_ranges); sums wrap.
//
// Each weight is read once for T steps; spikes gate weights into sums, nothing is multiplied.
//   latency SF + 1 + floor(clog2(SIMD) / LEVELS) + [NF > 1] cycles from a vector's first beat to its first
//   output, initiation interval SF NF cycles per vector. While the output waits, nothing after the replay
//   memory moves.
// in_ready_o leaves from registers if NF > 1, else it follows out_ready_i in the same cycle.
module sc_spike_mvau #(
  parameter int unsigned MW        = 12,
  parameter int unsigned MH        = 8,
  parameter int unsigned SIMD      = 4,
  parameter int unsigned PE        = 2,
  parameter int unsigned T         = 4,
  parameter int unsigned W_WIDTH   = 4,
  parameter int unsigned ACC_WIDTH = 8,
  parameter int unsigned LEVELS    = 2,
  parameter              ROM_STYLE = "distributed",
  parameter              WEIGHTS   = "weights.mem"
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      in_valid_i,
  output logic                      in_ready_o,
  input  logic [SIMD*T-1:0]         in_data_i,
  output logic                      out_valid_o,
  input  logic                      out_ready_i,
  output logic [PE*T*ACC_WIDTH-1:0] out_data_o
);

  if (SIMD < 1 || MW % SIMD != 0) begin : gen_bad_simd
    $fatal(1, "sc_spike_mvau: MW %0d is not a multiple of SIMD %0d", MW, SIMD);
  end
  if (PE < 1 || MH % PE != 0) begin : gen_bad_pe
    $fatal(1, "sc_spike_mvau: MH %0d is not a multiple of PE %0d", MH, PE);
  end
  if (T < 1 || T > 16) begin : gen_bad_t
    $fatal(1, "sc_spike_mvau: T %0d is not in 1 to 16", T);
  end

  localparam int unsigned SF        = MW / SIMD;
  localparam int unsigned NF        = MH / PE;
  localparam int unsigned LineWidth = SF * NF > 1 ? $clog2(SF * NF) : 1;
  localparam int unsigned PlaceWidth = SF > 1 ? $clog2(SF) : 1;
  localparam int unsigned TreeDepth = $clog2(SIMD);
  localparam int unsigned SumWidth  = $clog2(SIMD * ((1 << W_WIDTH) - 1) + 1);  // of sc_gated_sum
  // sc_gated_sum counts every weight 2^(W_WIDTH-1) too high.
  localparam logic [ACC_WIDTH-1:0] Start = ACC_WIDTH'(-(64'(MW) << (W_WIDTH - 1)));
  // Stages between a beat beside its weights and the accumulator.
  localparam int unsigned TreeStages = LEVELS == 0 ? 0 : TreeDepth / LEVELS;

  logic move;
  assign move = !out_valid_o || out_ready_i;

  logic              beat_valid;
  logic [SIMD*T-1:0] beat;
  sc_replay #(
    .LENGTH (SF),
    .REPEATS(NF),
    .WIDTH  (SIMD * T)
  ) u_replay (
    .clk_i,
    .rst_ni,
    .in_valid_i,
    .in_ready_o,
    .in_data_i,
    .out_valid_o(beat_valid),
    .out_ready_i(move),
    .out_data_o (beat)
  );

  // A beat beside its weights.
  logic [LineWidth-1:0]       line_q;
  logic [PlaceWidth-1:0]      place_q;  // line_q modulo SF
  logic [PE*SIMD*W_WIDTH-1:0] weights_q;
  logic [SIMD*T-1:0]          beat_q;
  logic                       first, last;

  sc_rom #(
    .DEPTH(SF * NF),
    .WIDTH(PE * SIMD * W_WIDTH),
    .STYLE(ROM_STYLE),
    .FILE (WEIGHTS)
  ) u_weights (
    .clk_i,
    .read_i   (move),
    .address_i(line_q),
    .data_o   (weights_q)
  );

  assign first = place_q == '0;
  assign last  = place_q == PlaceWidth'(SF - 1);

  always_ff @(posedge clk_i) begin
    if (move) begin
      beat_q    <= beat;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      line_q  <= '0;
      place_q <= '0;
    end else if (beat_valid && move) begin
      line_q  <= line_q == LineWidth'(SF * NF - 1) ? '0 : line_q + 1'b1;
      place_q <= last ? '0 : place_q + 1'b1;
    end
  end

  // What a stage of the tree holds: a beat, the first of a sum, the last.
  logic [TreeStages:0] valid_q, first_q, last_q;
  if (TreeStages == 0) begin : gen_no_stages
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        valid_q <= '0;
      end else if (move) begin
        valid_q <= beat_valid;
      end
    end
    always_ff @(posedge clk_i) begin
      if (move) begin
        first_q <= first;
        last_q  <= last;
      end
    end
  end else begin : gen_stages
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        valid_q <= '0;
      end else if (move) begin
        valid_q <= {valid_q[TreeStages-1:0], beat_valid};
      end
    end
    always_ff @(posedge clk_i) begin
      if (move) begin
        first_q <= {first_q[TreeStages-1:0], first};
        last_q  <= {last_q[TreeStages-1:0], last};
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_o <= 1'b0;
    end else if (move) begin
      out_valid_o <= valid_q[TreeStages] && last_q[TreeStages];
    end
  end

  for (genvar p = 0; p < PE; p++) begin : gen_pe
    for (genvar t = 0; t < T; t++) begin : gen_step
      logic [SIMD-1:0] gate;
      for (genvar s = 0; s < SIMD; s++) begin : gen_gate
        assign gate[s] = beat_q[s*T+t];
      end

      logic [2*SumWidth-1:0] sums;
      sc_gated_sum #(
        .COUNT (SIMD),
        .WIDTH (W_WIDTH),
        .STAGES(TreeStages)
      ) u_sum (
        .clk_i,
        .move_i(move),
        .x_i   (weights_q[p*SIMD*W_WIDTH+:SIMD*W_WIDTH]),
        .gate_i(gate),
        .sums_o(sums)
      );

      // Sums wider than the accumulator lose bits that the wrapped accumulator does not have.
      logic [ACC_WIDTH-1:0] acc_q, total;
      sc_add3 #(
        .WIDTH(ACC_WIDTH)
      ) u_add (
        .a_i  (first_q[TreeStages] ? Start : acc_q),
        .b_i  (ACC_WIDTH'(sums[0+:SumWidth])),
        .c_i  (ACC_WIDTH'(sums[SumWidth+:SumWidth])),
        .carry_i(1'b0),
        .sum_o(total)
      );
      always_ff @(posedge clk_i) begin
        if (move && valid_q[TreeStages]) begin
          acc_q <= total;
        end
      end
      assign out_data_o[(p*T+t)*ACC_WIDTH+:ACC_WIDTH] = acc_q;
    end
  end

endmodule
