// Read each vector of LENGTH beats once, give it REPEATS times.
//
// The next vector is taken while the last repeat is given, so that vectors follow each other without a gap.
//   latency 1 cycle, initiation interval LENGTH REPEATS cycles per vector.
//   REPEATS 1: a wire, latency 0, in_ready_o follows out_ready_i. Otherwise in_ready_o leaves from registers.
// Memory: max(LENGTH, 2) beats, read combinationally (LUT RAM).
module sc_replay #(
  parameter int unsigned LENGTH  = 3,
  parameter int unsigned REPEATS = 4,
  parameter int unsigned WIDTH   = 8
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

  if (LENGTH < 1 || REPEATS < 1) begin : gen_bad_size
    $fatal(1, "sc_replay: LENGTH %0d or REPEATS %0d is below 1", LENGTH, REPEATS);
  end

  if (REPEATS == 1) begin : gen_wire
    assign out_valid_o = in_valid_i;
    assign in_ready_o  = out_ready_i;
    assign out_data_o  = in_data_i;

    logic unused;
    assign unused = &{1'b0, clk_i, rst_ni};
  end else begin : gen_memory
    localparam int unsigned Depth       = LENGTH > 2 ? LENGTH : 2;
    localparam int unsigned PlaceWidth  = $clog2(Depth);
    localparam int unsigned CountWidth  = $clog2(Depth + 1);
    localparam int unsigned RepeatWidth = $clog2(REPEATS);

    (* ram_style = "distributed" *) logic [WIDTH-1:0] memory [Depth];
    logic [PlaceWidth-1:0]  write_q, read;
    logic [CountWidth-1:0]  held_q;    // beats not yet given for the last time
    logic [CountWidth-1:0]  at_q;      // position of the next beat in its vector
    logic [RepeatWidth-1:0] repeat_q;
    logic                   takes, gives, frees, vector_ends, last_repeat;

    assign in_ready_o  = held_q != CountWidth'(Depth);
    assign out_valid_o = repeat_q != '0 || held_q > at_q;
    assign out_data_o  = memory[read];

    assign takes       = in_valid_i && in_ready_o;
    assign gives       = out_valid_o && out_ready_i;
    assign vector_ends = at_q == CountWidth'(LENGTH - 1);
    assign last_repeat = repeat_q == RepeatWidth'(REPEATS - 1);
    assign frees       = gives && last_repeat;

    always_ff @(posedge clk_i) begin
      if (takes) begin
        memory[write_q] <= in_data_i;
      end
    end

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        write_q  <= '0;
        held_q   <= '0;
        at_q     <= '0;
        repeat_q <= '0;
      end else begin
        if (takes) begin
          write_q <= write_q == PlaceWidth'(Depth - 1) ? '0 : write_q + 1'b1;
        end
        if (takes != frees) begin
          held_q <= takes ? held_q + 1'b1 : held_q - 1'b1;
        end
        if (gives) begin
          at_q <= vector_ends ? '0 : at_q + 1'b1;
          if (vector_ends) begin
            repeat_q <= last_repeat ? '0 : repeat_q + 1'b1;
          end
        end
      end
    end

    if (LENGTH == 1) begin : gen_single
      logic turn_q;
      always_ff @(posedge clk_i) begin
        if (!rst_ni) begin
          turn_q <= 1'b0;
        end else if (frees) begin
          turn_q <= !turn_q;
        end
      end
      assign read = turn_q;
    end else begin : gen_vector
      assign read = PlaceWidth'(at_q);
    end
  end

endmodule
