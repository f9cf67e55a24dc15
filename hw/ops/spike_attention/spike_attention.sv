// Spiking self-attention on time-parallel words: golden.attention.
//
//   y[n, c, t] = sum_i q_t[n, i] M_t[i, c],  M_t[i, c] = sum_n k_t[n, i] v_t[n, c]      per head
//
// That is Q (K^T V), all sums of ANDs; channels i and c run over the d = DIM / HEADS of one head.
// q, k, v: PE words of T bits, bit t = step t; DIM / PE beats make a token, TOKENS tokens a frame.
// out: PE channels x T counts of OUT_WIDTH bits, unsigned, t innermost; DIM / PE beats make a token.
//
// Two phases work on successive frames. One takes k and v and counts M: every cycle it adds one channel of k
// to PE channels of v. The other takes q and M of the frame before and gives y: every cycle it adds one row
// of M, where q has a spike, to PE sums.
//   initiation interval TOKENS DIM d / PE cycles per frame, latency that and d + 3 cycles from a frame's first
//   beats to its first output. q, k and v ready leave from registers (v: if d > 1).
// Memory: M twice, 2 DIM d / PE lines of PE T clog2(TOKENS + 1) bits; q, TOKENS + 2 tokens of DIM T bits, so
//   that q, k and v may come in step with each other; a head's q, k, v words.
// M_STYLE, Q_STYLE: where M and q are, "block" or "distributed" (ram_style).
module sc_spike_attention #(
  parameter int unsigned DIM       = 8,
  parameter int unsigned HEADS     = 2,
  parameter int unsigned TOKENS    = 4,
  parameter int unsigned T         = 4,
  parameter int unsigned PE        = 2,
  parameter int unsigned OUT_WIDTH = 6,
  // verilator lint_off UNUSEDPARAM
  parameter              M_STYLE   = "block",
  // verilator lint_on UNUSEDPARAM
  parameter              Q_STYLE   = "block"
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      q_valid_i,
  output logic                      q_ready_o,
  input  logic [PE*T-1:0]           q_data_i,
  input  logic                      k_valid_i,
  output logic                      k_ready_o,
  input  logic [PE*T-1:0]           k_data_i,
  input  logic                      v_valid_i,
  output logic                      v_ready_o,
  input  logic [PE*T-1:0]           v_data_i,
  output logic                      out_valid_o,
  input  logic                      out_ready_i,
  output logic [PE*T*OUT_WIDTH-1:0] out_data_o
);

  if (HEADS < 1 || DIM < 2 || DIM % HEADS != 0) begin : gen_bad_heads
    $fatal(1, "sc_spike_attention: DIM %0d is not a multiple of HEADS %0d, or below 2", DIM, HEADS);
  end
  if (PE < 1 || (DIM / HEADS) % PE != 0) begin : gen_bad_pe
    $fatal(1, "sc_spike_attention: DIM / HEADS %0d is not a multiple of PE %0d", DIM / HEADS, PE);
  end
  if (T < 1 || T > 16 || TOKENS < 1) begin : gen_bad_t
    $fatal(1, "sc_spike_attention: T %0d is not in 1 to 16, or TOKENS %0d is below 1", T, TOKENS);
  end
  if (OUT_WIDTH < $clog2(TOKENS * (DIM / HEADS) + 1)) begin : gen_bad_width
    $fatal(1, "sc_spike_attention: OUT_WIDTH %0d does not hold counts up to TOKENS DIM / HEADS %0d", OUT_WIDTH,
           TOKENS * (DIM / HEADS));
  end

  localparam int unsigned HeadDim    = DIM / HEADS;        // d
  localparam int unsigned Chunks     = HeadDim / PE;       // beats of a head
  localparam int unsigned Lines      = DIM * Chunks;       // line i Chunks + j of M: row i, chunk j of its head
  localparam int unsigned CountWidth = $clog2(TOKENS + 1);
  localparam int unsigned LineWidth  = PE * T * CountWidth;

  localparam int unsigned AddressWidth = $clog2(Lines);
  localparam int unsigned TokenWidth   = TOKENS > 1 ? $clog2(TOKENS) : 1;
  localparam int unsigned ChunkWidth   = Chunks > 1 ? $clog2(Chunks) : 1;
  localparam int unsigned PlaceWidth   = PE > 1 ? $clog2(PE) : 1;
  localparam int unsigned RowWidth     = HeadDim > 1 ? $clog2(HeadDim) : 1;

  // Which memory holds a frame that is counted and not yet used.
  logic [1:0] full_q;

  // ---- K^T V: each head's v words d times, beside each of its k words.
  logic            k_valid, k_ready, v_valid, count;
  logic [PE*T-1:0] k_data, v_data;
  sc_fifo #(
    .DEPTH    (Chunks + 1),
    .WIDTH    (PE * T),
    .RAM_STYLE("distributed")
  ) u_k (
    .clk_i,
    .rst_ni,
    .in_valid_i (k_valid_i),
    .in_ready_o (k_ready_o),
    .in_data_i  (k_data_i),
    .out_valid_o(k_valid),
    .out_ready_i(k_ready),
    .out_data_o (k_data)
  );
  sc_replay #(
    .LENGTH (Chunks),
    .REPEATS(HeadDim),
    .WIDTH  (PE * T)
  ) u_v (
    .clk_i,
    .rst_ni,
    .in_valid_i (v_valid_i),
    .in_ready_o (v_ready_o),
    .in_data_i  (v_data_i),
    .out_valid_o(v_valid),
    .out_ready_i(count),
    .out_data_o (v_data)
  );

  logic                    count_bank_q, count_first, count_ends, held;
  logic [AddressWidth-1:0] count_line_q;
  logic [TokenWidth-1:0]   count_token_q;
  logic [ChunkWidth-1:0]   count_chunk_q;
  logic [PlaceWidth-1:0]   count_place_q;
  logic                    count_chunk_last, count_place_last, count_line_last;
  assign count_chunk_last = count_chunk_q == ChunkWidth'(Chunks - 1);
  assign count_place_last = count_place_q == PlaceWidth'(PE - 1);
  assign count_line_last  = count_line_q == AddressWidth'(Lines - 1);
  assign count_first      = count_token_q == '0;
  assign count_ends       = count && count_line_last && count_token_q == TokenWidth'(TOKENS - 1);
  // The first token only writes; later ones read, so the line read for the last use must be gone.
  assign count            = k_valid && v_valid && !full_q[count_bank_q] && (count_first || !held);
  assign k_ready          = count && count_chunk_last && count_place_last;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count_bank_q  <= 1'b0;
      count_line_q  <= '0;
      count_token_q <= '0;
      count_chunk_q <= '0;
      count_place_q <= '0;
    end else if (count) begin
      count_chunk_q <= count_chunk_last ? '0 : count_chunk_q + 1'b1;
      if (count_chunk_last) begin
        count_place_q <= count_place_last ? '0 : count_place_q + 1'b1;
      end
      count_line_q <= count_line_last ? '0 : count_line_q + 1'b1;
      if (count_line_last) begin
        count_token_q <= count_ends ? '0 : count_token_q + 1'b1;
      end
      if (count_ends) begin
        count_bank_q <= !count_bank_q;
      end
    end
  end

  // One stage later: the line is there; add and write it.
  logic                    write_q, write_bank_q, write_first_q;
  logic [AddressWidth-1:0] write_line_q;
  logic [PE*T-1:0]         write_hits_q;
  logic [T-1:0]            k_word;
  if (PE > 1) begin : gen_k_select
    assign k_word = k_data[count_place_q*T+:T];
  end else begin : gen_k_word
    assign k_word = k_data;
  end
  always_ff @(posedge clk_i) begin
    write_q <= rst_ni && count;
  end
  always_ff @(posedge clk_i) begin
    write_bank_q  <= count_bank_q;
    write_first_q <= count_first;
    write_line_q  <= count_line_q;
    write_hits_q  <= v_data & {PE{k_word}};
  end

  // ---- Q M: each head's q words once for each chunk of outputs, every word PE cycles.
  logic            q_buffer_valid, q_buffer_ready, q_valid, q_ready;
  logic [PE*T-1:0] q_buffer_data, q_data;
  sc_fifo #(
    .DEPTH    ((TOKENS + 2) * DIM / PE),
    .WIDTH    (PE * T),
    .RAM_STYLE(Q_STYLE)
  ) u_q_buffer (
    .clk_i,
    .rst_ni,
    .in_valid_i (q_valid_i),
    .in_ready_o (q_ready_o),
    .in_data_i  (q_data_i),
    .out_valid_o(q_buffer_valid),
    .out_ready_i(q_buffer_ready),
    .out_data_o (q_buffer_data)
  );
  sc_replay #(
    .LENGTH (Chunks),
    .REPEATS(Chunks),
    .WIDTH  (PE * T)
  ) u_q (
    .clk_i,
    .rst_ni,
    .in_valid_i (q_buffer_valid),
    .in_ready_o (q_buffer_ready),
    .in_data_i  (q_buffer_data),
    .out_valid_o(q_valid),
    .out_ready_i(q_ready),
    .out_data_o (q_data)
  );

  logic                    move, use_line, use_bank_q, use_ends;
  logic [AddressWidth-1:0] use_line_q;
  logic [TokenWidth-1:0]   use_token_q;
  logic [ChunkWidth-1:0]   use_chunk_q;
  logic [RowWidth-1:0]     use_row_q;
  logic [PlaceWidth-1:0]   use_place_q;
  logic                    use_chunk_last, use_row_last, use_place_last, use_line_last;
  assign move           = !out_valid_o || out_ready_i;
  assign use_chunk_last = use_chunk_q == ChunkWidth'(Chunks - 1);
  assign use_row_last   = use_row_q == RowWidth'(HeadDim - 1);
  assign use_place_last = use_place_q == PlaceWidth'(PE - 1);
  assign use_line_last  = use_line_q == AddressWidth'(Lines - 1);
  assign use_line       = q_valid && full_q[use_bank_q] && move;
  assign use_ends       = use_line && use_line_last && use_token_q == TokenWidth'(TOKENS - 1);
  assign q_ready        = use_line && use_place_last;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      use_bank_q  <= 1'b0;
      use_line_q  <= '0;
      use_token_q <= '0;
      use_chunk_q <= '0;
      use_row_q   <= '0;
      use_place_q <= '0;
    end else if (use_line) begin
      use_place_q <= use_place_last ? '0 : use_place_q + 1'b1;
      use_row_q   <= use_row_last ? '0 : use_row_q + 1'b1;
      if (use_row_last) begin
        use_chunk_q <= use_chunk_last ? '0 : use_chunk_q + 1'b1;
      end
      // The next row of this chunk; the first row of the next chunk; the next head.
      if (use_line_last) begin
        use_line_q  <= '0;
        use_token_q <= use_ends ? '0 : use_token_q + 1'b1;
      end else if (!use_row_last) begin
        use_line_q <= use_line_q + AddressWidth'(Chunks);
      end else if (!use_chunk_last) begin
        use_line_q <= use_line_q - AddressWidth'((HeadDim - 1) * Chunks - 1);
      end else begin
        use_line_q <= use_line_q + 1'b1;
      end
      if (use_ends) begin
        use_bank_q <= !use_bank_q;
      end
    end
  end

  // One stage later: the line is there.
  logic         sum_q, sum_bank_q, sum_first_q, sum_last_q;
  logic [T-1:0] q_word, sum_word_q;
  if (PE > 1) begin : gen_q_select
    assign q_word = q_data[use_place_q*T+:T];
  end else begin : gen_q_word
    assign q_word = q_data;
  end
  assign held = sum_q && sum_bank_q == count_bank_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sum_q       <= 1'b0;
      out_valid_o <= 1'b0;
    end else if (move) begin
      sum_q       <= use_line;
      out_valid_o <= sum_q && sum_last_q;
    end
  end
  always_ff @(posedge clk_i) begin
    if (move) begin
      sum_bank_q  <= use_bank_q;
      sum_first_q <= use_row_q == '0;
      sum_last_q  <= use_row_last;
      sum_word_q  <= q_word;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      full_q <= '0;
    end else begin
      if (count_ends) begin
        full_q[count_bank_q] <= 1'b1;
      end
      if (use_ends) begin
        full_q[use_bank_q] <= 1'b0;
      end
    end
  end

  // ---- M, twice: one is counted while the other is used. Reading precedes writing of the same line by two
  // cycles or more, since Lines > 1.
  logic [2*LineWidth-1:0] lines;
  logic [LineWidth-1:0]   counted, counting, used;
  assign counting = lines[write_bank_q*LineWidth+:LineWidth];
  assign used     = lines[sum_bank_q*LineWidth+:LineWidth];
  for (genvar b = 0; b < 2; b++) begin : gen_bank
    (* ram_style = M_STYLE *) logic [LineWidth-1:0] memory [Lines];
    logic [LineWidth-1:0] line_q;
    logic                 read;
    assign read = full_q[b] ? use_line && use_bank_q == 1'(b) : count && count_bank_q == 1'(b) && !count_first;
    always_ff @(posedge clk_i) begin
      if (write_q && write_bank_q == 1'(b)) begin
        memory[write_line_q] <= counted;
      end
      if (read) begin
        line_q <= memory[full_q[b] ? use_line_q : count_line_q];
      end
    end
    assign lines[b*LineWidth+:LineWidth] = line_q;
  end

  for (genvar i = 0; i < PE * T; i++) begin : gen_lane
    logic [CountWidth-1:0] before_hit;
    assign before_hit = write_first_q ? '0 : counting[i*CountWidth+:CountWidth];
    assign counted[i*CountWidth+:CountWidth] = before_hit + CountWidth'(write_hits_q[i]);

    logic [CountWidth-1:0] taken;
    logic [OUT_WIDTH-1:0]  before_row, sum_lane_q;
    assign taken      = used[i*CountWidth+:CountWidth] & {CountWidth{sum_word_q[i%T]}};
    assign before_row = sum_first_q ? '0 : sum_lane_q;
    always_ff @(posedge clk_i) begin
      if (move && sum_q) begin
        sum_lane_q <= before_row + OUT_WIDTH'(taken);
      end
    end
    assign out_data_o[i*OUT_WIDTH+:OUT_WIDTH] = sum_lane_q;
  end

endmodule
