// Copy a stream to OUTPUTS streams, each of which takes a beat at its own time.
//
// Output i is bit i of out_valid_o and out_ready_i; its data are field i of out_data_o, WIDTH bits.
// A beat stays until every output has taken it: the fastest output is at most one beat ahead of the slowest.
// No valid depends on a ready, so a branch that stalls delays the others but cannot block itself.
//   latency 1 cycle, initiation interval 1. in_ready_o follows out_ready_i in the same cycle.
module sc_fork #(
  parameter int unsigned OUTPUTS = 2,
  parameter int unsigned WIDTH   = 8
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic                     in_valid_i,
  output logic                     in_ready_o,
  input  logic [WIDTH-1:0]         in_data_i,
  output logic [OUTPUTS-1:0]       out_valid_o,
  input  logic [OUTPUTS-1:0]       out_ready_i,
  output logic [OUTPUTS*WIDTH-1:0] out_data_o
);

  if (OUTPUTS < 2 || WIDTH < 1) begin : gen_bad_size
    $fatal(1, "sc_fork: OUTPUTS %0d is below 2 or WIDTH %0d below 1", OUTPUTS, WIDTH);
  end

  // An output that waits for the beat has its valid bit set.
  assign in_ready_o = (out_valid_o & ~out_ready_i) == '0;

  logic [WIDTH-1:0] data_q;
  assign out_data_o = {OUTPUTS{data_q}};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_o <= '0;
    end else if (in_ready_o) begin
      out_valid_o <= {OUTPUTS{in_valid_i}};
    end else begin
      out_valid_o <= out_valid_o & ~out_ready_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (in_ready_o) begin
      data_q <= in_data_i;
    end
  end

endmodule
