// A ROM with a registered output, in block RAM or in LUTs.
//
//   data = FILE[address], one cycle later while read_i is high
//
// FILE: $readmemh file of DEPTH lines of WIDTH bits.
// STYLE: "block" or "distributed", the rom_style of Vivado. (Yosys calls a ROM in LUTs "logic".)
//   latency 1 cycle with read_i high, initiation interval 1
// A module of its own in the netlist too: Yosys maps a ROM in LUTs twice as large when it is one with its readers.
(* keep_hierarchy = "yes" *)
module sc_rom #(
  parameter int unsigned DEPTH = 16,
  parameter int unsigned WIDTH = 8,
  parameter              STYLE = "distributed",
  parameter              FILE  = "rom.mem",
  localparam int unsigned AddressWidth = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
  input  logic                    clk_i,
  input  logic                    read_i,
  input  logic [AddressWidth-1:0] address_i,
  output logic [WIDTH-1:0]        data_o
);

  if (DEPTH < 1 || WIDTH < 1) begin : gen_bad_size
    $fatal(1, "sc_rom: DEPTH %0d or WIDTH %0d is below 1", DEPTH, WIDTH);
  end
  // Strings of two lengths are compared.
  // verilator lint_off WIDTHEXPAND
  localparam bit Block = STYLE == "block";
  if (!Block && STYLE != "distributed") begin : gen_bad_style
    $fatal(1, "sc_rom: STYLE %s is neither block nor distributed", STYLE);
  end
  // verilator lint_on WIDTHEXPAND

  if (Block) begin : gen_block
    (* rom_style = "block" *) logic [WIDTH-1:0] memory [DEPTH];
    initial $readmemh(FILE, memory);
    always_ff @(posedge clk_i) if (read_i) data_o <= memory[address_i];
  end else begin : gen_luts
`ifdef YOSYS
    (* rom_style = "logic" *) logic [WIDTH-1:0] memory [DEPTH];
`else
    (* rom_style = "distributed" *) logic [WIDTH-1:0] memory [DEPTH];
`endif
    initial $readmemh(FILE, memory);
    always_ff @(posedge clk_i) if (read_i) data_o <= memory[address_i];
  end

endmodule
