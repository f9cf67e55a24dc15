// Registers that say what a bitstream is, read only, behind AXI4-Lite.
//
//   0x00 magic "SCLP"   0x04 schema   0x08 .. 0x24 NETWORK, lowest word first   0x28 frames_i   0x2C {0, state_i}
//   latency: 1 cycle from address to data, initiation interval 2 cycles (one access at a time in each direction)
//
// A read above 0x2C and every write answer SLVERR and change nothing. The two lowest address bits are ignored: a
// read always gives its whole word. NETWORK: SHA-256 of the integer network, its first byte in bits 7:0.
module sc_id #(
  parameter logic [255:0] NETWORK = '0,
  parameter logic [31:0]  SCHEMA  = 32'd1
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [31:0] frames_i,
  input  logic [1:0]  state_i,
  input  logic        awvalid_i,
  output logic        awready_o,
  input  logic        wvalid_i,
  output logic        wready_o,
  output logic        bvalid_o,
  input  logic        bready_i,
  output logic [1:0]  bresp_o,
  input  logic        arvalid_i,
  output logic        arready_o,
  input  logic [15:0] araddr_i,
  output logic        rvalid_o,
  input  logic        rready_i,
  output logic [31:0] rdata_o,
  output logic [1:0]  rresp_o
);

  localparam logic [31:0] Magic  = 32'h5343_4C50;
  localparam logic [1:0]  Okay   = 2'b00;
  localparam logic [1:0]  SlvErr = 2'b10;

  if (SCHEMA == '0) begin : gen_bad_schema
    $fatal(1, "sc_id: SCHEMA %0d is below %0d", SCHEMA, 1);
  end

  // Address and data of a write come in any order.
  logic address_q, data_q;

  assign awready_o = !address_q;
  assign wready_o  = !data_q;
  assign bvalid_o  = address_q && data_q;
  assign bresp_o   = SlvErr;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      address_q <= 1'b0;
      data_q    <= 1'b0;
    end else if (bvalid_o) begin
      address_q <= !bready_i;
      data_q    <= !bready_i;
    end else begin
      address_q <= address_q || awvalid_i;
      data_q    <= data_q || wvalid_i;
    end
  end

  logic [13:0] word;
  logic [2:0]  place;  // in NETWORK
  logic [31:0] value;
  logic        known;

  assign word  = araddr_i[15:2];
  assign known = word < 14'd12;
  assign place = 3'(word - 14'd2);

  always_comb begin
    case (word)
      14'd0:   value = Magic;
      14'd1:   value = SCHEMA;
      14'd10:  value = frames_i;
      14'd11:  value = {30'd0, state_i};
      default: value = known ? NETWORK[{place, 5'd0} +: 32] : '0;
    endcase
  end

  assign arready_o = !rvalid_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      rvalid_o <= 1'b0;
    end else if (rvalid_o) begin
      rvalid_o <= !rready_i;
    end else begin
      rvalid_o <= arvalid_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (arvalid_i && arready_o) begin
      rdata_o <= value;
      rresp_o <= known ? Okay : SlvErr;
    end
  end

  logic unused_low_bits;
  assign unused_low_bits = ^araddr_i[1:0];

endmodule
