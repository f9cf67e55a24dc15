// For simulation only: a queue deep enough never to be full, which tells how full it was.
//
//   maxcount_o = the most beats that were taken and not yet given since reset
//
//   latency 2 cycles, as FINN's shallow FIFOs, initiation interval 1. Holds DEPTH beats, the one at the output
//   among them; if maxcount_o reaches DEPTH the gauge has held its source back and DEPTH must grow.
module sc_fifo_gauge #(
  parameter int unsigned DEPTH = 1024,
  parameter int unsigned WIDTH = 8
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             in_valid_i,
  output logic             in_ready_o,
  input  logic [WIDTH-1:0] in_data_i,
  output logic             out_valid_o,
  input  logic             out_ready_i,
  output logic [WIDTH-1:0] out_data_o,
  output logic [31:0]      maxcount_o
);

  if (DEPTH < 2 || WIDTH < 1) begin : gen_bad_size
    $fatal(1, "sc_fifo_gauge: DEPTH %0d is below 2 or WIDTH %0d below 1", DEPTH, WIDTH);
  end

  localparam int unsigned PlaceWidth = $clog2(DEPTH);

  logic [WIDTH-1:0]      memory [DEPTH];
  logic [PlaceWidth-1:0] write_q, read_q;
  logic [31:0]           count_q, count;
  logic                  takes, loads, gives;

  assign in_ready_o = count_q != DEPTH;
  assign takes      = in_valid_i && in_ready_o;
  assign gives      = out_valid_o && out_ready_i;
  // The output register's beat counts, but is no longer in the memory.
  assign loads      = count_q != 32'(out_valid_o) && (!out_valid_o || out_ready_i);
  assign count      = count_q + 32'(takes) - 32'(gives);

  always_ff @(posedge clk_i) begin
    if (takes) begin
      memory[write_q] <= in_data_i;
    end
    if (loads) begin
      out_data_o <= memory[read_q];
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q     <= '0;
      read_q      <= '0;
      count_q     <= '0;
      maxcount_o  <= '0;
      out_valid_o <= 1'b0;
    end else begin
      if (takes) begin
        write_q <= write_q == PlaceWidth'(DEPTH - 1) ? '0 : write_q + 1'b1;
      end
      if (loads) begin
        read_q <= read_q == PlaceWidth'(DEPTH - 1) ? '0 : read_q + 1'b1;
      end
      count_q <= count;
      if (count > maxcount_o) begin
        maxcount_o <= count;
      end
      if (!out_valid_o || out_ready_i) begin
        out_valid_o <= loads;
      end
    end
  end

endmodule
