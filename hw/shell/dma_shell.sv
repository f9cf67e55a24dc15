// Between AXI DMA's 32-bit streams and the accelerator's: bytes to input beats, elements to words, a batch's end.
//
//   pixels[j]  = bytes of mm2s, IN_BYTES each, the first in the lowest bits; frames follow without a gap
//   s2mm[i]    = element i of the embeddings, sign-extended to 32 bits
//   s2mm last  = on the last element of the frame whose last pixel came with mm2s' last
//   latency 1 cycle in each direction (ceil(IN_BYTES / 4) words of mm2s make the first beat of pixels)
//   initiation interval: pixels 1 per cycle as long as mm2s feeds it, which gives 4 bytes per cycle; s2mm 1 word per
//     cycle; after mm2s' last no word is taken until its bytes are gone, at most ceil((IN_BYTES + 7) / IN_BYTES) cycles
//
// mm2s: {last, keep[3:0], data[31:0]}; keep counts bytes from the lowest, as AXI DMA's does; without last it is all
// ones or as short. A last that does not end a frame marks none: the batch never completes on s2mm, and the rest of
// that frame is taken from what comes next. embedding: PE elements of OUT_WIDTH bits, the bits above them ignored.
// s2mm: {last, data[31:0]}. Up to FRAMES frames may be in the accelerator; beyond that the input waits.
// frames_o: frames completed since reset, wraps. state_o: [0] inside a frame, [1] results of taken frames not yet given.
module sc_dma_shell #(
  parameter int unsigned IN_BYTES    = 3,
  parameter int unsigned FRAME_BYTES = 3072,
  parameter int unsigned PE          = 3,
  parameter int unsigned OUT_WIDTH   = 18,
  parameter int unsigned OUT_BITS    = 56,
  parameter int unsigned ELEMENTS    = 384,
  parameter int unsigned FRAMES      = 64
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic                  mm2s_valid_i,
  output logic                  mm2s_ready_o,
  input  logic [36:0]           mm2s_data_i,
  output logic                  pixels_valid_o,
  input  logic                  pixels_ready_i,
  output logic [8*IN_BYTES-1:0] pixels_data_o,
  input  logic                  embedding_valid_i,
  output logic                  embedding_ready_o,
  input  logic [OUT_BITS-1:0]   embedding_data_i,
  output logic                  s2mm_valid_o,
  input  logic                  s2mm_ready_i,
  output logic [32:0]           s2mm_data_o,
  output logic [31:0]           frames_o,
  output logic [1:0]            state_o
);

  if (IN_BYTES < 1 || FRAME_BYTES < 1 || FRAME_BYTES % IN_BYTES != 0) begin : gen_bad_input
    $fatal(1, "sc_dma_shell: FRAME_BYTES %0d is not a multiple of IN_BYTES %0d", FRAME_BYTES, IN_BYTES);
  end
  if (PE < 1 || ELEMENTS < 1 || ELEMENTS % PE != 0) begin : gen_bad_output
    $fatal(1, "sc_dma_shell: ELEMENTS %0d is not a multiple of PE %0d", ELEMENTS, PE);
  end
  if (OUT_WIDTH < 1 || OUT_WIDTH > 32) begin : gen_bad_width
    $fatal(1, "sc_dma_shell: OUT_WIDTH %0d is not in 1 to %0d", OUT_WIDTH, 32);
  end
  if (OUT_BITS < PE * OUT_WIDTH) begin : gen_narrow
    $fatal(1, "sc_dma_shell: OUT_BITS %0d is below PE x OUT_WIDTH, %0d", OUT_BITS, PE * OUT_WIDTH);
  end

  // ---------------------------------------------------------------- bytes to beats
  // A word is taken whenever the bytes that may remain leave room for it, whether or not a beat goes.
  localparam int unsigned Held       = IN_BYTES + 7;
  localparam int unsigned HeldWidth  = $clog2(Held + 1);
  localparam int unsigned Beats      = FRAME_BYTES / IN_BYTES;
  localparam int unsigned BeatWidth  = $clog2(Beats + 1);
  localparam int unsigned FlightWidth = $clog2(FRAMES + 3);

  logic [8*Held-1:0]    bytes_q, remaining;
  logic [HeldWidth-1:0] held_q, left;
  logic [BeatWidth-1:0] beat_q;
  logic                 ended_q;  // bytes_q has the last word of a batch
  logic                 takes, gives, frame_taken;
  logic                 beat_is_last, flag_room;
  logic [31:0]          word;
  logic [2:0]           kept;

  always_comb begin
    kept = '0;
    for (int unsigned i = 0; i < 4; i++) begin
      kept            = kept + 3'(mm2s_data_i[32+i]);
      word[8*i +: 8]  = mm2s_data_i[32+i] ? mm2s_data_i[8*i +: 8] : 8'h00;
    end
  end

  assign beat_is_last   = beat_q == BeatWidth'(Beats - 1);
  assign mm2s_ready_o   = !ended_q && held_q <= HeldWidth'(IN_BYTES + 3);
  assign pixels_valid_o = held_q >= HeldWidth'(IN_BYTES) && (!beat_is_last || flag_room);
  assign pixels_data_o  = bytes_q[8*IN_BYTES-1:0];
  assign takes          = mm2s_valid_i && mm2s_ready_o;
  assign gives          = pixels_valid_o && pixels_ready_i;
  assign frame_taken    = gives && beat_is_last;
  assign left           = gives ? held_q - HeldWidth'(IN_BYTES) : held_q;
  assign remaining      = gives ? bytes_q >> (8 * IN_BYTES) : bytes_q;

  // Bytes above held_q are 0.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      bytes_q <= '0;
      held_q  <= '0;
      ended_q <= 1'b0;
      beat_q  <= '0;
    end else begin
      if (takes) begin
        bytes_q <= remaining | ((8*Held)'(word) << {left, 3'b000});
        held_q  <= left + HeldWidth'(kept);
        ended_q <= mm2s_data_i[36];
      end else begin
        bytes_q <= remaining;
        held_q  <= left;
        ended_q <= ended_q && left >= HeldWidth'(IN_BYTES);
      end
      if (gives) begin
        beat_q <= beat_is_last ? '0 : beat_q + 1'b1;
      end
    end
  end

  // ---------------------------------------------------------------- which frames end a batch
  logic flag_valid, flag, frame_given;

  sc_fifo #(
    .DEPTH    (FRAMES),
    .WIDTH    (1),
    .RAM_STYLE("distributed")
  ) u_flags (
    .clk_i,
    .rst_ni,
    .in_valid_i (frame_taken),
    .in_ready_o (flag_room),
    .in_data_i  (ended_q && left == '0),
    .out_valid_o(flag_valid),
    .out_ready_i(frame_given),
    .out_data_o (flag)
  );

  // ---------------------------------------------------------------- elements to words
  localparam int unsigned LeftWidth    = $clog2(PE + 1);
  localparam int unsigned ElementWidth = $clog2(ELEMENTS + 1);

  logic [PE*OUT_WIDTH-1:0]  elements_q;
  logic [LeftWidth-1:0]     left_q;
  logic [ElementWidth-1:0]  element_q;
  logic [FlightWidth-1:0]   flight_q;
  logic [31:0]              frames_q;
  logic                     element_is_last, word_goes;

  // The flag is known long before, unless the accelerator answers before the last pixel.
  assign element_is_last   = element_q == ElementWidth'(ELEMENTS - 1);
  assign s2mm_valid_o      = left_q != '0 && (!element_is_last || flag_valid);
  assign s2mm_data_o       = {element_is_last && flag, 32'(signed'(elements_q[OUT_WIDTH-1:0]))};
  assign word_goes         = s2mm_valid_o && s2mm_ready_i;
  assign frame_given       = word_goes && element_is_last;
  assign embedding_ready_o = left_q == '0 || (left_q == LeftWidth'(1) && word_goes);

  always_ff @(posedge clk_i) begin
    if (embedding_valid_i && embedding_ready_o) begin
      elements_q <= embedding_data_i[PE*OUT_WIDTH-1:0];
    end else if (word_goes) begin
      elements_q <= elements_q >> OUT_WIDTH;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      left_q    <= '0;
      element_q <= '0;
      flight_q  <= '0;
      frames_q  <= '0;
    end else begin
      if (embedding_valid_i && embedding_ready_o) begin
        left_q <= LeftWidth'(PE);
      end else if (word_goes) begin
        left_q <= left_q - 1'b1;
      end
      if (word_goes) begin
        element_q <= element_is_last ? '0 : element_q + 1'b1;
      end
      if (frame_taken != frame_given) begin
        flight_q <= frame_taken ? flight_q + 1'b1 : flight_q - 1'b1;
      end
      if (frame_given) begin
        frames_q <= frames_q + 1'b1;
      end
    end
  end

  assign frames_o = frames_q;
  assign state_o  = {flight_q != '0, beat_q != '0 || held_q != '0};

  if (OUT_BITS > PE * OUT_WIDTH) begin : gen_padding
    logic unused_padding;
    assign unused_padding = ^embedding_data_i[OUT_BITS-1:PE*OUT_WIDTH];
  end

endmodule
