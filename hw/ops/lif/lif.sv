// Leaky integrate-and-fire neurons on time-parallel words: golden.lif.
//
//   V_t = I_t 2^F + bias + floor(K V_{t-1} / 2^N) - S_{t-1} threshold      RESET_ZERO 0
//   V_t = I_t 2^F + bias + (1 - S_{t-1}) floor(K V_{t-1} / 2^N)            RESET_ZERO 1
//   S_t = [V_t >= threshold],  V_{-1} = S_{-1} = 0
//
// in:  PE channels x T currents of IN_WIDTH bits, signed, t innermost; BROADCAST 1: PE currents, the same at
//      every step.
// out: PE words of T bits, bit t = step t.
// CHANNELS / PE beats make a position; no state passes from one beat to another.
// CONSTANTS: $readmemh file of CHANNELS / PE lines; field p of a line is {bias, threshold} of channel
//      line PE + p, BIAS_WIDTH + THRESHOLD_WIDTH bits, both signed.
// MEM_WIDTH: bits that hold every V_t (prove_ranges); sums wrap, so a value that does not fit is wrong.
//
//   Time is unrolled: two pipeline stages per step, the membrane and its leak.
//   latency 2 T + 1 cycles, initiation interval 1 cycle per beat. While the output waits, nothing moves.
//   in_ready_o follows out_ready_i in the same cycle.
module sc_lif #(
  parameter int unsigned CHANNELS        = 8,
  parameter int unsigned PE              = 2,
  parameter int unsigned T               = 4,
  parameter int unsigned IN_WIDTH        = 8,
  parameter int unsigned THRESHOLD_WIDTH = 12,
  parameter int unsigned BIAS_WIDTH      = 12,
  parameter int unsigned MEM_WIDTH       = 16,
  parameter int unsigned FRAC_BITS       = 4,
  parameter int unsigned LEAK_K          = 29,
  parameter int unsigned LEAK_N          = 5,
  parameter bit          RESET_ZERO      = 1'b0,
  parameter bit          BROADCAST       = 1'b0,
  parameter              ROM_STYLE       = "distributed",
  parameter              CONSTANTS       = "constants.mem",
  localparam int unsigned InSteps        = BROADCAST ? 1 : T
) (
  input  logic                           clk_i,
  input  logic                           rst_ni,
  input  logic                           in_valid_i,
  output logic                           in_ready_o,
  input  logic [PE*InSteps*IN_WIDTH-1:0] in_data_i,
  output logic                           out_valid_o,
  input  logic                           out_ready_i,
  output logic [PE*T-1:0]                out_data_o
);

  if (PE < 1 || CHANNELS % PE != 0) begin : gen_bad_pe
    $fatal(1, "sc_lif: CHANNELS %0d is not a multiple of PE %0d", CHANNELS, PE);
  end
  if (T < 1 || T > 16) begin : gen_bad_t
    $fatal(1, "sc_lif: T %0d is not in 1 to 16", T);
  end
  if (MEM_WIDTH < IN_WIDTH + FRAC_BITS && MEM_WIDTH < BIAS_WIDTH) begin : gen_bad_width
    $fatal(1, "sc_lif: MEM_WIDTH %0d holds neither IN_WIDTH + FRAC_BITS %0d nor BIAS_WIDTH %0d", MEM_WIDTH,
           IN_WIDTH + FRAC_BITS, BIAS_WIDTH);
  end

  localparam int unsigned Folds      = CHANNELS / PE;
  localparam int unsigned FoldWidth  = Folds > 1 ? $clog2(Folds) : 1;
  localparam int unsigned FieldWidth = BIAS_WIDTH + THRESHOLD_WIDTH;
  localparam int unsigned Stages     = 2 * T + 1;
  // Bits in which V and the threshold are compared.
  localparam int unsigned CompareWidth = MEM_WIDTH > THRESHOLD_WIDTH ? MEM_WIDTH : THRESHOLD_WIDTH;

  logic move;
  assign move       = !out_valid_o || out_ready_i;
  assign in_ready_o = move;

  logic [Stages-1:0] valid_q;
  assign out_valid_o = valid_q[Stages-1];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
    end else if (move) begin
      valid_q <= {valid_q[Stages-2:0], in_valid_i};
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

  // Stage 0: a beat beside its constants.
  logic [PE*FieldWidth-1:0]       constants_q;
  logic [PE*InSteps*IN_WIDTH-1:0] currents_q;
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
    // Stage 1: the drive of every step.
    // A bias wider than the membrane loses bits that the wrapped sum does not have.
    // verilator lint_off UNUSEDSIGNAL
    logic signed [BIAS_WIDTH-1:0] bias;
    // verilator lint_on UNUSEDSIGNAL
    assign bias = constants_q[p*FieldWidth+THRESHOLD_WIDTH+:BIAS_WIDTH];

    for (genvar t = 0; t < InSteps; t++) begin : gen_drive
      logic signed [IN_WIDTH-1:0]  current;
      logic signed [MEM_WIDTH-1:0] drive_q;
      assign current = currents_q[(p*InSteps+t)*IN_WIDTH+:IN_WIDTH];
      always_ff @(posedge clk_i) begin
        if (move) begin
          drive_q <= (MEM_WIDTH'(current) <<< FRAC_BITS) + MEM_WIDTH'(bias);
        end
      end
    end

    // Stage 2 t + 1: the membrane. Stage 2 t + 2: spike and leak.
    for (genvar t = 0; t < T; t++) begin : gen_step
      logic signed [THRESHOLD_WIDTH-1:0] threshold_q;
      logic signed [MEM_WIDTH-1:0]       membrane;
      logic                              spike_q;
      always_ff @(posedge clk_i) begin
        if (move) begin
          spike_q <= CompareWidth'(membrane) >= CompareWidth'(threshold_q);
        end
      end

      if (t == 0) begin : gen_first
        always_ff @(posedge clk_i) begin
          if (move) begin
            threshold_q <= constants_q[p*FieldWidth+:THRESHOLD_WIDTH];
          end
        end
        assign membrane = gen_drive[0].drive_q;
      end else begin : gen_next
        logic signed [MEM_WIDTH-1:0] drive, membrane_q;

        if (BROADCAST) begin : gen_broadcast
          // The drive moves on with the beat, two stages a step (one before the first).
          logic signed [MEM_WIDTH-1:0] drive_q;
          if (t == 1) begin : gen_source
            always_ff @(posedge clk_i) if (move) drive_q <= gen_drive[0].drive_q;
          end else begin : gen_source
            logic signed [MEM_WIDTH-1:0] between_q;
            always_ff @(posedge clk_i) begin
              if (move) begin
                between_q <= gen_step[t-1].gen_next.gen_broadcast.drive_q;
                drive_q   <= between_q;
              end
            end
          end
          assign drive = drive_q;
        end else begin : gen_delay
          // Registers without reset, so that they become shift-register LUTs.
          logic [(2*t-1)*MEM_WIDTH-1:0] delay_q;
          if (t == 1) begin : gen_short
            always_ff @(posedge clk_i) if (move) delay_q <= gen_drive[t].drive_q;
          end
          assign drive = delay_q[(2*t-2)*MEM_WIDTH+:MEM_WIDTH];
          if (t > 1) begin : gen_long
            always_ff @(posedge clk_i) if (move) delay_q <= {delay_q[0+:(2*t-2)*MEM_WIDTH], gen_drive[t].drive_q};
          end
        end

        logic signed [MEM_WIDTH-1:0] leaked, next;
        assign leaked = gen_step[t-1].gen_leak.leaked_q;
        if (RESET_ZERO) begin : gen_zero
          assign next = drive + (gen_step[t-1].spike_q ? '0 : leaked);
        end else begin : gen_subtract
          // Minus the threshold is its complement plus 1, minus nothing all ones plus 1. A neuron that fires has
          // threshold <= V, so it fits.
          logic [MEM_WIDTH-1:0] taken;
          assign taken = MEM_WIDTH'(gen_step[t-1].gen_leak.threshold_leak_q) & {MEM_WIDTH{gen_step[t-1].spike_q}};
          sc_add3 #(
            .WIDTH(MEM_WIDTH)
          ) u_add (
            .a_i    (drive),
            .b_i    (leaked),
            .c_i    (~taken),
            .carry_i(1'b1),
            .sum_o  (next)
          );
        end

        always_ff @(posedge clk_i) begin
          if (move) begin
            threshold_q <= gen_step[t-1].gen_leak.threshold_leak_q;
            membrane_q  <= next;
          end
        end
        assign membrane = membrane_q;
      end

      if (t < T - 1) begin : gen_leak
        logic signed [MEM_WIDTH-1:0]       scaled, leaked_q;
        logic signed [THRESHOLD_WIDTH-1:0] threshold_leak_q;
        sc_scale_floor #(
          .WIDTH(MEM_WIDTH),
          .K    (LEAK_K),
          .N    (LEAK_N)
        ) u_leak (
          .x_i(membrane),
          .y_o(scaled)
        );
        always_ff @(posedge clk_i) begin
          if (move) begin
            leaked_q         <= scaled;
            threshold_leak_q <= threshold_q;
          end
        end
        // The spike waits for those of later steps.
        logic [2*(T-1-t)-1:0] wait_q;
        always_ff @(posedge clk_i) if (move) wait_q <= {wait_q[2*(T-1-t)-2:0], spike_q};
        assign out_data_o[p*T+t] = wait_q[2*(T-1-t)-1];
      end else begin : gen_last
        assign out_data_o[p*T+t] = spike_q;
      end
    end
  end

endmodule
