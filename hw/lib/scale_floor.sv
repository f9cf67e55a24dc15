// Multiply by the constant K / 2^N and round down, with adders only:
//
//   y = floor(K x / 2^N),  0 <= K <= 2^N
//
// One adder per nonzero digit of K but one, in canonical signed digits: 29/32 takes two, 1/2 none.
//   latency 0 (combinational)
module sc_scale_floor #(
  parameter int unsigned WIDTH = 16,
  parameter int unsigned K     = 29,
  parameter int unsigned N     = 5
) (
  input  logic signed [WIDTH-1:0] x_i,
  output logic signed [WIDTH-1:0] y_o
);

  if (N > 16) begin : gen_bad_n
    $fatal(1, "sc_scale_floor: N %0d is above 16", N);
  end
  if (K > (1 << N)) begin : gen_bad_k
    $fatal(1, "sc_scale_floor: K %0d is above 2^N = %0d", K, 1 << N);
  end

  // Non-adjacent form: digit i of K is Plus[i] - Minus[i].
  localparam int unsigned Half  = K >> 1;
  localparam int unsigned Third = K + Half;
  localparam int unsigned Plus  = Third & ~Half;
  localparam int unsigned Minus = Half & ~Third;

  localparam int unsigned Wide = WIDTH + N + 1;

  // verilator lint_off UNUSEDSIGNAL
  logic signed [Wide-1:0] x;  // not used if K is 0
  // verilator lint_on UNUSEDSIGNAL
  assign x = Wide'(x_i);

  for (genvar i = 0; i <= N; i++) begin : gen_digit
    logic signed [Wide-1:0] partial, sum;
    if (i == 0) begin : gen_first
      assign partial = '0;
    end else begin : gen_next
      assign partial = gen_digit[i-1].sum;
    end
    if (((Plus >> i) & 1) != 0) begin : gen_plus
      assign sum = partial + (x <<< i);
    end else if (((Minus >> i) & 1) != 0) begin : gen_minus
      assign sum = partial - (x <<< i);
    end else begin : gen_zero
      assign sum = partial;
    end
  end

  logic signed [Wide-1:0] product;
  assign product = gen_digit[N].sum;
  assign y_o = WIDTH'(product >>> N);

endmodule
