// Sum COUNT signed numbers, each counted or not, up to a last addition that the accumulator does.
//
//   sum_0 + sum_1 = sum over i of gate_i x_i + COUNT 2^(WIDTH-1)
//
// x_i: COUNT fields of WIDTH bits, signed, the first lowest; gate_i: one bit for each. sums_o: {sum_1, sum_0},
// each unsigned, SumWidth bits hold either; sum_1 is 0 if one number is left.
//
// A gated number with its sign bit inverted is the unsigned number gate x + 2^(WIDTH-1): no sign is extended
// anywhere, and a pair of them takes WIDTH LUTs, gates included. Then three numbers become one (sc_add3).
//   latency STAGES cycles with move_i high, initiation interval 1. Registers follow the last additions.
module sc_gated_sum #(
  parameter int unsigned COUNT  = 8,
  parameter int unsigned WIDTH  = 4,
  parameter int unsigned STAGES = 1,
  localparam int unsigned SumWidth = $clog2(COUNT * ((1 << WIDTH) - 1) + 1)
) (
  input  logic                   clk_i,
  input  logic                   move_i,
  input  logic [COUNT*WIDTH-1:0] x_i,
  input  logic [COUNT-1:0]       gate_i,
  output logic [2*SumWidth-1:0]  sums_o
);

  if (COUNT < 1 || WIDTH < 1) begin : gen_bad_size
    $fatal(1, "sc_gated_sum: COUNT %0d or WIDTH %0d is below 1", COUNT, WIDTH);
  end

  // Numbers of x that one of level l stands for: 2, 6, 18 ...
  function automatic int unsigned parts(int unsigned level);
    int unsigned n;
    n = 2;
    for (int unsigned i = 0; i < level; i++) n = 3 * n;
    return n;
  endfunction

  function automatic int unsigned numbers(int unsigned level);
    return (COUNT + parts(level) - 1) / parts(level);
  endfunction

  function automatic int unsigned width(int unsigned level);
    int unsigned n;
    n = parts(level) < COUNT ? parts(level) : COUNT;
    return $clog2(n * ((1 << WIDTH) - 1) + 1);
  endfunction

  function automatic int unsigned last_level();
    int unsigned level;
    level = 0;
    while (numbers(level) > 2) level = level + 1;
    return level;
  endfunction

  localparam int unsigned Last = last_level();

  logic [COUNT*WIDTH-1:0] lifted;
  for (genvar i = 0; i < COUNT; i++) begin : gen_gate
    assign lifted[i*WIDTH+:WIDTH] = (x_i[i*WIDTH+:WIDTH] & {WIDTH{gate_i[i]}}) ^ (WIDTH'(1) << (WIDTH - 1));
  end

  // Level 0 adds pairs, the others threes.
  for (genvar l = 0; l <= Last; l++) begin : gen_level
    localparam int unsigned Number = numbers(l);
    localparam int unsigned Width  = width(l);
    logic [Number*Width-1:0] sum, value;

    if (l == 0) begin : gen_pairs
      for (genvar i = 0; i < Number; i++) begin : gen_pair
        if (2 * i + 1 < COUNT) begin : gen_add
          assign sum[i*Width+:Width] = Width'(lifted[2*i*WIDTH+:WIDTH]) + Width'(lifted[(2*i+1)*WIDTH+:WIDTH]);
        end else begin : gen_pass
          assign sum[i*Width+:Width] = Width'(lifted[2*i*WIDTH+:WIDTH]);
        end
      end
    end else begin : gen_threes
      localparam int unsigned Above = numbers(l - 1);
      localparam int unsigned Narrow = width(l - 1);
      for (genvar i = 0; i < Number; i++) begin : gen_three
        logic [Width-1:0] a;
        assign a = Width'(gen_level[l-1].value[3*i*Narrow+:Narrow]);
        if (3 * i + 2 < Above) begin : gen_add3
          sc_add3 #(
            .WIDTH(Width)
          ) u_add (
            .a_i  (a),
            .b_i  (Width'(gen_level[l-1].value[(3*i+1)*Narrow+:Narrow])),
            .c_i  (Width'(gen_level[l-1].value[(3*i+2)*Narrow+:Narrow])),
            .carry_i(1'b0),
            .sum_o(sum[i*Width+:Width])
          );
        end else if (3 * i + 1 < Above) begin : gen_add
          assign sum[i*Width+:Width] = a + Width'(gen_level[l-1].value[(3*i+1)*Narrow+:Narrow]);
        end else begin : gen_pass
          assign sum[i*Width+:Width] = a;
        end
      end
    end

    if (l + STAGES > Last) begin : gen_register
      logic [Number*Width-1:0] sum_q;
      always_ff @(posedge clk_i) if (move_i) sum_q <= sum;
      assign value = sum_q;
    end else begin : gen_wire
      assign value = sum;
    end
  end

  logic [2*SumWidth-1:0] sums;
  assign sums[0+:SumWidth] = SumWidth'(gen_level[Last].value[0+:width(Last)]);
  if (numbers(Last) == 2) begin : gen_two
    assign sums[SumWidth+:SumWidth] = SumWidth'(gen_level[Last].value[width(Last)+:width(Last)]);
  end else begin : gen_one
    assign sums[SumWidth+:SumWidth] = '0;
  end

  // More stages than additions: the sums wait.
  localparam int unsigned Waits = STAGES > Last + 1 ? STAGES - Last - 1 : 0;
  if (Waits == 0) begin : gen_out
    assign sums_o = sums;
  end else begin : gen_wait
    logic [Waits*2*SumWidth-1:0] wait_q;
    if (Waits == 1) begin : gen_short
      always_ff @(posedge clk_i) if (move_i) wait_q <= sums;
    end else begin : gen_long
      always_ff @(posedge clk_i) if (move_i) wait_q <= {wait_q[0+:(Waits-1)*2*SumWidth], sums};
    end
    assign sums_o = wait_q[(Waits-1)*2*SumWidth+:2*SumWidth];
  end

  if (STAGES == 0) begin : gen_unused
    logic unused;
    assign unused = &{1'b0, clk_i, move_i};
  end

endmodule
