// Pool KERNEL x KERNEL windows of time-parallel values: golden.or_pool, golden.max_pool.
//
//   y[c, t] = OR  over window of x[c, t]                              MAXIMUM 0, IN_WIDTH 1
//   y[c, t] = max over window of x[c, t], padding = minus infinity    MAXIMUM 1
//
// in:  PE channels x T values of IN_WIDTH bits, t innermost: spikes, or signed currents (T 1: a static map).
//      A window is KERNEL KERNEL beats, row by row. Per output position come CHANNELS / PE windows, one for
//      each fold of channels; positions row by row. This is FINN's sliding window generator with depthwise 1
//      and SIMD = PE, on a map of MAP_HEIGHT x MAP_WIDTH with PAD more on each side.
// out: PE channels x T values of IN_WIDTH bits; CHANNELS / PE beats make a position.
// What a beat of padding carries is ignored with MAXIMUM 1 and must be 0 with MAXIMUM 0 (FINN pads with 0).
//
//   latency KERNEL^2 cycles from a window's first beat, initiation interval KERNEL^2 cycles per output beat.
//   in_ready_o follows out_ready_i in the same cycle.
module sc_spike_pool #(
  parameter int unsigned CHANNELS   = 8,
  parameter int unsigned PE         = 2,
  parameter int unsigned T          = 4,
  parameter int unsigned IN_WIDTH   = 1,
  parameter bit          MAXIMUM    = 1'b0,
  parameter int unsigned KERNEL     = 2,
  parameter int unsigned STRIDE     = 2,
  parameter int unsigned PAD        = 0,
  parameter int unsigned MAP_HEIGHT = 8,
  parameter int unsigned MAP_WIDTH  = 8
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic                     in_valid_i,
  output logic                     in_ready_o,
  input  logic [PE*T*IN_WIDTH-1:0] in_data_i,
  output logic                     out_valid_o,
  input  logic                     out_ready_i,
  output logic [PE*T*IN_WIDTH-1:0] out_data_o
);

  if (PE < 1 || CHANNELS % PE != 0) begin : gen_bad_pe
    $fatal(1, "sc_spike_pool: CHANNELS %0d is not a multiple of PE %0d", CHANNELS, PE);
  end
  if (T < 1 || T > 16) begin : gen_bad_t
    $fatal(1, "sc_spike_pool: T %0d is not in 1 to 16", T);
  end
  if (!MAXIMUM && IN_WIDTH != 1) begin : gen_bad_width
    $fatal(1, "sc_spike_pool: IN_WIDTH %0d: spikes have 1 bit, MAXIMUM is %0d", IN_WIDTH, MAXIMUM);
  end
  if (KERNEL < 1 || STRIDE < 1 || PAD >= KERNEL) begin : gen_bad_window
    $fatal(1, "sc_spike_pool: PAD %0d is not below KERNEL %0d, or STRIDE %0d is below 1", PAD, KERNEL, STRIDE);
  end
  if (KERNEL > MAP_HEIGHT + 2 * PAD || KERNEL > MAP_WIDTH + 2 * PAD) begin : gen_bad_map
    $fatal(1, "sc_spike_pool: KERNEL %0d is above the padded map's %0d x %0d", KERNEL, MAP_HEIGHT + 2 * PAD,
           MAP_WIDTH + 2 * PAD);
  end

  localparam int unsigned PlaceWidth = KERNEL > 1 ? $clog2(KERNEL) : 1;

  logic move, take;
  assign move       = !out_valid_o || out_ready_i;
  assign take       = in_valid_i && move;
  assign in_ready_o = move;

  // Place in the window.
  logic [PlaceWidth-1:0] kx_q, ky_q;
  logic                  kx_last, ky_last, window_ends;
  assign kx_last     = kx_q == PlaceWidth'(KERNEL - 1);
  assign ky_last     = ky_q == PlaceWidth'(KERNEL - 1);
  assign window_ends = kx_last && ky_last;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      kx_q <= '0;
      ky_q <= '0;
    end else if (take) begin
      kx_q <= kx_last ? '0 : kx_q + 1'b1;
      if (kx_last) begin
        ky_q <= ky_last ? '0 : ky_q + 1'b1;
      end
    end
  end

  // Whether the beat lies on the map. Every window has such a beat, since PAD < KERNEL.
  logic real_beat;
  if (MAXIMUM && PAD > 0) begin : gen_mask
    localparam int unsigned Folds       = CHANNELS / PE;
    localparam int unsigned FoldWidth   = Folds > 1 ? $clog2(Folds) : 1;
    localparam int unsigned RowWidth    = $clog2(MAP_HEIGHT + 2 * PAD);
    localparam int unsigned ColumnWidth = $clog2(MAP_WIDTH + 2 * PAD);
    // Last row and column of the last window.
    localparam int unsigned LastRow     = (MAP_HEIGHT + 2 * PAD - KERNEL) / STRIDE * STRIDE + KERNEL - 1;
    localparam int unsigned LastColumn  = (MAP_WIDTH + 2 * PAD - KERNEL) / STRIDE * STRIDE + KERNEL - 1;

    logic [FoldWidth-1:0]   fold_q;
    logic [RowWidth-1:0]    row_q, row_first;        // on the padded map; row_first: of this window
    logic [ColumnWidth-1:0] column_q, column_first;
    logic                   fold_last;
    assign fold_last    = fold_q == FoldWidth'(Folds - 1);
    assign row_first    = row_q - RowWidth'(KERNEL - 1);
    assign column_first = column_q - ColumnWidth'(KERNEL - 1);

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        fold_q   <= '0;
        row_q    <= '0;
        column_q <= '0;
      end else if (take) begin
        if (!kx_last) begin
          column_q <= column_q + 1'b1;
        end else if (!ky_last) begin
          column_q <= column_first;
          row_q    <= row_q + 1'b1;
        end else begin
          fold_q <= fold_last ? '0 : fold_q + 1'b1;
          if (!fold_last) begin
            column_q <= column_first;
            row_q    <= row_first;
          end else if (column_q != ColumnWidth'(LastColumn)) begin
            column_q <= column_first + ColumnWidth'(STRIDE);
            row_q    <= row_first;
          end else begin
            column_q <= '0;
            row_q    <= row_q == RowWidth'(LastRow) ? '0 : row_first + RowWidth'(STRIDE);
          end
        end
      end
    end

    assign real_beat = row_q >= RowWidth'(PAD) && row_q < RowWidth'(MAP_HEIGHT + PAD) &&
                       column_q >= ColumnWidth'(PAD) && column_q < ColumnWidth'(MAP_WIDTH + PAD);
  end else begin : gen_no_mask
    assign real_beat = 1'b1;
  end

  logic fresh_q;  // nothing of this window was taken yet
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_o <= 1'b0;
      fresh_q     <= 1'b1;
    end else if (move) begin
      out_valid_o <= in_valid_i && window_ends;
      if (in_valid_i) begin
        fresh_q <= window_ends || (fresh_q && !real_beat);
      end
    end
  end

  for (genvar i = 0; i < PE * T; i++) begin : gen_value
    logic [IN_WIDTH-1:0] value, most_q;
    logic                more;
    assign value = in_data_i[i*IN_WIDTH+:IN_WIDTH];
    if (MAXIMUM) begin : gen_maximum
      assign more = $signed(value) > $signed(most_q);
    end else begin : gen_or
      assign more = value > most_q;
    end
    always_ff @(posedge clk_i) begin
      if (take && real_beat && (fresh_q || more)) begin
        most_q <= value;
      end
    end
    assign out_data_o[i*IN_WIDTH+:IN_WIDTH] = most_q;
  end

endmodule
