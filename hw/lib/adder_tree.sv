// Sum COUNT signed numbers.
//
//   sum = x_0 + x_1 + ... + x_{COUNT-1}
//
// x_i: COUNT fields of WIDTH bits, the first lowest. sum_o: WIDTH + clog2(COUNT) bits hold any sum.
//   latency floor(clog2(COUNT) / LEVELS) cycles with move_i high: a register after every LEVELS adders;
//   0 with LEVELS 0. Initiation interval 1.
module sc_adder_tree #(
  parameter int unsigned COUNT  = 8,
  parameter int unsigned WIDTH  = 4,
  parameter int unsigned LEVELS = 2,
  localparam int unsigned Depth    = $clog2(COUNT),
  localparam int unsigned SumWidth = WIDTH + Depth
) (
  input  logic                   clk_i,
  input  logic                   move_i,
  input  logic [COUNT*WIDTH-1:0] x_i,
  output logic [SumWidth-1:0]    sum_o
);

  if (COUNT < 1 || WIDTH < 1) begin : gen_bad_size
    $fatal(1, "sc_adder_tree: COUNT %0d or WIDTH %0d is below 1", COUNT, WIDTH);
  end

  // Level l has ceil(COUNT / 2^l) numbers of WIDTH + l bits.
  for (genvar l = 0; l <= Depth; l++) begin : gen_level
    localparam int unsigned Number = (COUNT + (1 << l) - 1) >> l;
    localparam int unsigned Width  = WIDTH + l;
    logic [Number*Width-1:0] value;

    if (l == 0) begin : gen_leaves
      assign value = x_i;
    end else begin : gen_sums
      localparam int unsigned Above = (COUNT + (1 << (l - 1)) - 1) >> (l - 1);
      logic [Number*Width-1:0] sum;
      for (genvar i = 0; i < Number; i++) begin : gen_pair
        logic signed [Width-2:0] a;
        assign a = gen_level[l-1].value[2*i*(Width-1)+:Width-1];
        if (2 * i + 1 < Above) begin : gen_add
          logic signed [Width-2:0] b;
          assign b = gen_level[l-1].value[(2*i+1)*(Width-1)+:Width-1];
          assign sum[i*Width+:Width] = Width'(a) + Width'(b);
        end else begin : gen_pass
          assign sum[i*Width+:Width] = Width'(a);
        end
      end
      if (LEVELS != 0 && l % LEVELS == 0) begin : gen_register
        logic [Number*Width-1:0] sum_q;
        always_ff @(posedge clk_i) if (move_i) sum_q <= sum;
        assign value = sum_q;
      end else begin : gen_wire
        assign value = sum;
      end
    end
  end

  assign sum_o = gen_level[Depth].value;

  if (LEVELS == 0 || Depth < LEVELS) begin : gen_unused
    logic unused;
    assign unused = &{1'b0, clk_i, move_i};
  end

endmodule
