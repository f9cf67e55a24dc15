// Add three numbers with one carry chain.
//
//   sum = a + b + c + carry   modulo 2^WIDTH
//
// A 7-series or UltraScale+ slice does it with one LUT6_2 per bit: one output is the bit's majority, the other
// the next stage's exclusive or. The majority leaves by the pin that an unregistered sum would take, so the sum
// should go to a register.
//   latency 0 (combinational)
module sc_add3 #(
  parameter int unsigned WIDTH = 8
) (
  input  logic [WIDTH-1:0] a_i,
  input  logic [WIDTH-1:0] b_i,
  input  logic [WIDTH-1:0] c_i,
  input  logic             carry_i,
  output logic [WIDTH-1:0] sum_o
);

  logic [WIDTH-1:0] odd, two;
  assign odd = a_i ^ b_i ^ c_i;
  assign two = (a_i & b_i) | (a_i & c_i) | (b_i & c_i);

  if (WIDTH == 1) begin : gen_bit
    assign sum_o = odd ^ carry_i;

    logic unused;
    assign unused = &{1'b0, two};
  end else begin : gen_chain
    assign sum_o = {two[WIDTH-2:0], carry_i} + odd;

    logic unused;
    assign unused = &{1'b0, two[WIDTH-1]};
  end

endmodule
