// A module for the tests of SAIF: every kind of signal, each a plain function of the beats that went through.
module activity_probe (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        in_valid_i,
  output logic        in_ready_o,
  input  logic [39:0] in_data_i,
  output logic        out_valid_o,
  input  logic        out_ready_i,
  output logic [39:0] out_data_o
);
  typedef struct packed {
    logic [2:0] low;
    logic [8:0] high;
  } pair_t;

  logic [299:0] wide;     // the last beats, side by side
  logic [7:0]   bytes[5]; // of the last beat
  pair_t        pair;
  logic         parity;   // a wire
  logic [19:0]  count;
  logic         move;
  localparam logic [9:0] Constant = 10'h2A5;
  logic [9:0]   tied;

  assign tied        = Constant;
  assign move        = in_valid_i && in_ready_o;
  assign in_ready_o  = !out_valid_o || out_ready_i;
  assign parity      = ^in_data_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_o <= 1'b0;
      out_data_o  <= '0;
      wide        <= '0;
      pair        <= '0;
      count       <= '0;
      for (int i = 0; i < 5; i++) bytes[i] <= '0;
    end else begin
      if (in_ready_o) out_valid_o <= in_valid_i;
      if (move) begin
        out_data_o <= in_data_i ^ 40'(tied);
        wide       <= {wide[259:0], in_data_i};
        pair       <= in_data_i[11:0];
        count      <= count + 20'd1;
        for (int i = 0; i < 5; i++) bytes[i] <= in_data_i[8*i+:8];
      end
    end
  end

  logic unused;
  assign unused = parity ^ ^wide[299:260] ^ ^pair ^ ^count ^ ^bytes[0] ^ ^bytes[1] ^ ^bytes[2] ^ ^bytes[3] ^ ^bytes[4];
endmodule
