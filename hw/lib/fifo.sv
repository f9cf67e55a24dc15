// A queue with a synchronous read.
//
//   latency 2 cycles, initiation interval 1. Holds DEPTH + 1 beats. in_ready_o leaves from registers.
// Memory: DEPTH beats. RAM_STYLE: where, "block" or "distributed".
module sc_fifo #(
  parameter int unsigned DEPTH     = 4,
  parameter int unsigned WIDTH     = 8,
  // verilator lint_off UNUSEDPARAM
  parameter              RAM_STYLE = "block"
  // verilator lint_on UNUSEDPARAM
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             in_valid_i,
  output logic             in_ready_o,
  input  logic [WIDTH-1:0] in_data_i,
  output logic             out_valid_o,
  input  logic             out_ready_i,
  output logic [WIDTH-1:0] out_data_o
);

  if (DEPTH < 2 || WIDTH < 1) begin : gen_bad_size
    $fatal(1, "sc_fifo: DEPTH %0d is below 2 or WIDTH %0d below 1", DEPTH, WIDTH);
  end

  localparam int unsigned PlaceWidth = $clog2(DEPTH);
  localparam int unsigned CountWidth = $clog2(DEPTH + 1);

  (* ram_style = RAM_STYLE *) logic [WIDTH-1:0] memory [DEPTH];
  logic [PlaceWidth-1:0] write_q, read_q;
  logic [CountWidth-1:0] held_q;
  logic                  takes, gives;

  assign in_ready_o = held_q != CountWidth'(DEPTH);
  assign takes      = in_valid_i && in_ready_o;
  assign gives      = held_q != '0 && (!out_valid_o || out_ready_i);

  always_ff @(posedge clk_i) begin
    if (takes) begin
      memory[write_q] <= in_data_i;
    end
    if (gives) begin
      out_data_o <= memory[read_q];
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q     <= '0;
      read_q      <= '0;
      held_q      <= '0;
      out_valid_o <= 1'b0;
    end else begin
      if (takes) begin
        write_q <= write_q == PlaceWidth'(DEPTH - 1) ? '0 : write_q + 1'b1;
      end
      if (gives) begin
        read_q <= read_q == PlaceWidth'(DEPTH - 1) ? '0 : read_q + 1'b1;
      end
      if (takes != gives) begin
        held_q <= takes ? held_q + 1'b1 : held_q - 1'b1;
      end
      if (!out_valid_o || out_ready_i) begin
        out_valid_o <= gives;
      end
    end
  end

endmodule
