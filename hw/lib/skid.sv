// Cut a stream's paths in both directions: data, valid and ready all leave from registers.
//
//   latency 1 cycle, initiation interval 1. Holds up to two beats.
module sc_skid #(
  parameter int unsigned WIDTH = 8
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

  if (WIDTH < 1) begin : gen_bad_width
    $fatal(1, "sc_skid: WIDTH %0d is below 1", WIDTH);
  end

  logic             spare_valid_q;
  logic [WIDTH-1:0] spare_q;

  assign in_ready_o = !spare_valid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_o   <= 1'b0;
      spare_valid_q <= 1'b0;
    end else if (!out_valid_o || out_ready_i) begin
      out_valid_o   <= in_valid_i || spare_valid_q;
      spare_valid_q <= 1'b0;
    end else if (in_valid_i) begin
      spare_valid_q <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!out_valid_o || out_ready_i) begin
      out_data_o <= spare_valid_q ? spare_q : in_data_i;
    end
    if (!spare_valid_q) begin
      spare_q <= in_data_i;
    end
  end

endmodule
