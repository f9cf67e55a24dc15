// RAMB18E1 and RAMB36E1 for Verilator, as far as Yosys maps memories to them: no output registers, cascade or
// error correction. (Yosys' own models of these two cells are empty.)
//
// A port moves words of 1, 2, 4, 9, 18 or 36 bits. From 9 on an eighth of the bits is parity, kept apart: bytes
// are in INIT_xx, their parity bits in INITP_xx. RAM_MODE "SDP": port A reads and port B writes words twice as
// wide (36 and 72), their upper half on B's pins. Addresses count bits of data; a wide port ignores the low ones.
// Reading what the same port writes follows WRITE_MODE; what the other port
// writes in the same cycle is read old.
module sc_block_ram #(
  parameter integer BYTES         = 2048,
  parameter integer LANES         = 2,  // bytes of a port
  parameter integer READ_WIDTH_A  = 18,
  parameter integer READ_WIDTH_B  = 18,
  parameter integer WRITE_WIDTH_A = 18,
  parameter integer WRITE_WIDTH_B = 18,
  parameter         WRITE_MODE_A  = "WRITE_FIRST",
  parameter         WRITE_MODE_B  = "WRITE_FIRST",
  parameter [8*BYTES-1:0] INIT    = 0,
  parameter [BYTES-1:0]   INITP   = 0,
  parameter [18*LANES-1:0] SRVAL_A = 0,
  parameter [18*LANES-1:0] SRVAL_B = 0
) (
  input                     clk_a,
  input                     clk_b,
  input                     enable_a,
  input                     enable_b,
  input                     reset_a,
  input                     reset_b,
  input      [14:0]         address_a,
  input      [14:0]         address_b,
  input      [2*LANES-1:0]  write_a,
  input      [2*LANES-1:0]  write_b,
  input      [16*LANES-1:0] in_a,
  input      [16*LANES-1:0] in_b,
  input      [2*LANES-1:0]  in_parity_a,
  input      [2*LANES-1:0]  in_parity_b,
  output reg [16*LANES-1:0] out_a,
  output reg [16*LANES-1:0] out_b,
  output reg [2*LANES-1:0]  out_parity_a,
  output reg [2*LANES-1:0]  out_parity_b
);
  reg [7:0] bytes  [0:BYTES-1];
  reg       parity [0:BYTES-1];
  integer i;
  initial begin
    for (i = 0; i < BYTES; i = i + 1) begin
      bytes[i]  = INIT[8*i+:8];
      parity[i] = INITP[i];
    end
  end

  localparam integer ReadBytesA  = READ_WIDTH_A >= 9 ? READ_WIDTH_A / 9 : 1;
  localparam integer WriteBytesA = WRITE_WIDTH_A >= 9 ? WRITE_WIDTH_A / 9 : 1;
  wire [11:0] read_at_a  = address_a[14:3] & ~(ReadBytesA - 1);
  wire [11:0] write_at_a = address_a[14:3] & ~(WriteBytesA - 1);
  // Bits of a byte that a port of less than 9 bits moves, at their place.
  wire [2:0] place_read_a  = READ_WIDTH_A < 9 ? address_a[2:0] & ~(READ_WIDTH_A - 1) : 3'd0;
  wire [2:0] place_write_a = WRITE_WIDTH_A < 9 ? address_a[2:0] & ~(WRITE_WIDTH_A - 1) : 3'd0;
  wire [7:0] mask_a = WRITE_WIDTH_A < 9 ? ((8'd1 << WRITE_WIDTH_A) - 8'd1) << place_write_a : 8'hFF;
  integer k_a;
  always @(posedge clk_a) begin
    if (enable_a) begin
      if (READ_WIDTH_A > 0) begin
        if (reset_a) begin
          for (k_a = 0; k_a < 2 * LANES; k_a = k_a + 1) begin
            out_a[8*k_a+:8]   <= SRVAL_A[(k_a / LANES) * 9 * LANES + 8 * (k_a % LANES)+:8];
            out_parity_a[k_a] <= SRVAL_A[(k_a / LANES) * 9 * LANES + 8 * LANES + k_a % LANES];
          end
        end else if (write_a == 0 || WRITE_MODE_A != "NO_CHANGE") begin
          for (k_a = 0; k_a < ReadBytesA; k_a = k_a + 1) begin
            if (write_a[k_a] && WRITE_MODE_A == "WRITE_FIRST") begin
              out_a[8*k_a+:8]   <= in_a[8*k_a+:8];
              out_parity_a[k_a] <= in_parity_a[k_a];
            end else begin
              out_a[8*k_a+:8]   <= bytes[read_at_a+k_a] >> place_read_a;
              out_parity_a[k_a] <= parity[read_at_a+k_a];
            end
          end
        end
      end
      if (WRITE_WIDTH_A > 0) begin
        for (k_a = 0; k_a < WriteBytesA; k_a = k_a + 1) begin
          if (write_a[k_a]) begin
            bytes[write_at_a+k_a] <= (bytes[write_at_a+k_a] & ~mask_a) | (in_a[8*k_a+:8] << place_write_a & mask_a);
            parity[write_at_a+k_a] <= in_parity_a[k_a];
          end
        end
      end
    end
  end

  localparam integer ReadBytesB  = READ_WIDTH_B >= 9 ? READ_WIDTH_B / 9 : 1;
  localparam integer WriteBytesB = WRITE_WIDTH_B >= 9 ? WRITE_WIDTH_B / 9 : 1;
  wire [11:0] read_at_b  = address_b[14:3] & ~(ReadBytesB - 1);
  wire [11:0] write_at_b = address_b[14:3] & ~(WriteBytesB - 1);
  // Bits of a byte that a port of less than 9 bits moves, at their place.
  wire [2:0] place_read_b  = READ_WIDTH_B < 9 ? address_b[2:0] & ~(READ_WIDTH_B - 1) : 3'd0;
  wire [2:0] place_write_b = WRITE_WIDTH_B < 9 ? address_b[2:0] & ~(WRITE_WIDTH_B - 1) : 3'd0;
  wire [7:0] mask_b = WRITE_WIDTH_B < 9 ? ((8'd1 << WRITE_WIDTH_B) - 8'd1) << place_write_b : 8'hFF;
  integer k_b;
  always @(posedge clk_b) begin
    if (enable_b) begin
      if (READ_WIDTH_B > 0) begin
        if (reset_b) begin
          for (k_b = 0; k_b < 2 * LANES; k_b = k_b + 1) begin
            out_b[8*k_b+:8]   <= SRVAL_B[(k_b / LANES) * 9 * LANES + 8 * (k_b % LANES)+:8];
            out_parity_b[k_b] <= SRVAL_B[(k_b / LANES) * 9 * LANES + 8 * LANES + k_b % LANES];
          end
        end else if (write_b == 0 || WRITE_MODE_B != "NO_CHANGE") begin
          for (k_b = 0; k_b < ReadBytesB; k_b = k_b + 1) begin
            if (write_b[k_b] && WRITE_MODE_B == "WRITE_FIRST") begin
              out_b[8*k_b+:8]   <= in_b[8*k_b+:8];
              out_parity_b[k_b] <= in_parity_b[k_b];
            end else begin
              out_b[8*k_b+:8]   <= bytes[read_at_b+k_b] >> place_read_b;
              out_parity_b[k_b] <= parity[read_at_b+k_b];
            end
          end
        end
      end
      if (WRITE_WIDTH_B > 0) begin
        for (k_b = 0; k_b < WriteBytesB; k_b = k_b + 1) begin
          if (write_b[k_b]) begin
            bytes[write_at_b+k_b] <= (bytes[write_at_b+k_b] & ~mask_b) | (in_b[8*k_b+:8] << place_write_b & mask_b);
            parity[write_at_b+k_b] <= in_parity_b[k_b];
          end
        end
      end
    end
  end
endmodule

module RAMB18E1 #(
  parameter [255:0]
    INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0, INIT_07 = 0,
    INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0,
    INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0,
    INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0,
    INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0,
    INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0,
    INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0, INIT_37 = 0,
    INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0,
    INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0, INITP_06 = 0, INITP_07 = 0,
  parameter [17:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0,
  parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0,
  parameter integer DOA_REG = 0, DOB_REG = 0,
  parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST", RAM_MODE = "TDP",
  parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE"
) (
  input               CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input               RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input  [13:0]       ADDRARDADDR, ADDRBWRADDR,
  input  [15:0]       DIADI, DIBDI,
  input  [1:0]        DIPADIP, DIPBDIP,
  input  [1:0]        WEA,
  input  [3:0]        WEBWE,
  output [15:0]       DOADO, DOBDO,
  output [1:0]        DOPADOP, DOPBDOP
);
  if (DOA_REG != 0 || DOB_REG != 0 || RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE") begin : gen_unknown
    $fatal(1, "RAMB18E1: DOA_REG %0d, DOB_REG %0d or a cascade is not modelled", DOA_REG, DOB_REG);
  end
  localparam Wide = RAM_MODE == "SDP";
  wire [31:0] out_a, out_b;
  wire [3:0] out_parity_a, out_parity_b;
  assign DOADO   = out_a[15:0];
  assign DOPADOP = out_parity_a[1:0];
  assign DOBDO   = Wide ? out_a[31:16] : out_b[15:0];
  assign DOPBDOP = Wide ? out_parity_a[3:2] : out_parity_b[1:0];
  sc_block_ram #(
    .BYTES(2048), .LANES(2),
    .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(Wide ? 0 : READ_WIDTH_B),
    .WRITE_WIDTH_A(Wide ? 0 : WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
    .WRITE_MODE_A(WRITE_MODE_A), .WRITE_MODE_B(WRITE_MODE_B),
    .SRVAL_A({SRVAL_B, SRVAL_A}), .SRVAL_B({18'd0, SRVAL_B}),
    .INIT({
      INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36,
      INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C,
      INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22,
      INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18,
      INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E,
      INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04,
      INIT_03, INIT_02, INIT_01, INIT_00
    }),
    .INITP({
      INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
    })
  ) u_memory (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .enable_a(ENARDEN), .enable_b(ENBWREN),
    .reset_a(RSTRAMARSTRAM), .reset_b(RSTRAMB),
    .address_a({1'b0, ADDRARDADDR}), .address_b({1'b0, ADDRBWRADDR}),
    .write_a(Wide ? 4'd0 : {2'd0, WEA}), .write_b(Wide ? WEBWE : {2'd0, WEBWE[1:0]}),
    .in_a({16'd0, DIADI}), .in_b(Wide && WRITE_WIDTH_B == 36 ? {DIBDI, DIADI} : {16'd0, DIBDI}),
    .in_parity_a({2'd0, DIPADIP}), .in_parity_b(Wide && WRITE_WIDTH_B == 36 ? {DIPBDIP, DIPADIP} : {2'd0, DIPBDIP}),
    .out_a(out_a), .out_b(out_b), .out_parity_a(out_parity_a), .out_parity_b(out_parity_b)
  );
endmodule

module RAMB36E1 #(
  parameter [255:0]
    INIT_00 = 0, INIT_01 = 0, INIT_02 = 0, INIT_03 = 0, INIT_04 = 0, INIT_05 = 0, INIT_06 = 0, INIT_07 = 0,
    INIT_08 = 0, INIT_09 = 0, INIT_0A = 0, INIT_0B = 0, INIT_0C = 0, INIT_0D = 0, INIT_0E = 0, INIT_0F = 0,
    INIT_10 = 0, INIT_11 = 0, INIT_12 = 0, INIT_13 = 0, INIT_14 = 0, INIT_15 = 0, INIT_16 = 0, INIT_17 = 0,
    INIT_18 = 0, INIT_19 = 0, INIT_1A = 0, INIT_1B = 0, INIT_1C = 0, INIT_1D = 0, INIT_1E = 0, INIT_1F = 0,
    INIT_20 = 0, INIT_21 = 0, INIT_22 = 0, INIT_23 = 0, INIT_24 = 0, INIT_25 = 0, INIT_26 = 0, INIT_27 = 0,
    INIT_28 = 0, INIT_29 = 0, INIT_2A = 0, INIT_2B = 0, INIT_2C = 0, INIT_2D = 0, INIT_2E = 0, INIT_2F = 0,
    INIT_30 = 0, INIT_31 = 0, INIT_32 = 0, INIT_33 = 0, INIT_34 = 0, INIT_35 = 0, INIT_36 = 0, INIT_37 = 0,
    INIT_38 = 0, INIT_39 = 0, INIT_3A = 0, INIT_3B = 0, INIT_3C = 0, INIT_3D = 0, INIT_3E = 0, INIT_3F = 0,
    INIT_40 = 0, INIT_41 = 0, INIT_42 = 0, INIT_43 = 0, INIT_44 = 0, INIT_45 = 0, INIT_46 = 0, INIT_47 = 0,
    INIT_48 = 0, INIT_49 = 0, INIT_4A = 0, INIT_4B = 0, INIT_4C = 0, INIT_4D = 0, INIT_4E = 0, INIT_4F = 0,
    INIT_50 = 0, INIT_51 = 0, INIT_52 = 0, INIT_53 = 0, INIT_54 = 0, INIT_55 = 0, INIT_56 = 0, INIT_57 = 0,
    INIT_58 = 0, INIT_59 = 0, INIT_5A = 0, INIT_5B = 0, INIT_5C = 0, INIT_5D = 0, INIT_5E = 0, INIT_5F = 0,
    INIT_60 = 0, INIT_61 = 0, INIT_62 = 0, INIT_63 = 0, INIT_64 = 0, INIT_65 = 0, INIT_66 = 0, INIT_67 = 0,
    INIT_68 = 0, INIT_69 = 0, INIT_6A = 0, INIT_6B = 0, INIT_6C = 0, INIT_6D = 0, INIT_6E = 0, INIT_6F = 0,
    INIT_70 = 0, INIT_71 = 0, INIT_72 = 0, INIT_73 = 0, INIT_74 = 0, INIT_75 = 0, INIT_76 = 0, INIT_77 = 0,
    INIT_78 = 0, INIT_79 = 0, INIT_7A = 0, INIT_7B = 0, INIT_7C = 0, INIT_7D = 0, INIT_7E = 0, INIT_7F = 0,
    INITP_00 = 0, INITP_01 = 0, INITP_02 = 0, INITP_03 = 0, INITP_04 = 0, INITP_05 = 0, INITP_06 = 0, INITP_07 = 0,
    INITP_08 = 0, INITP_09 = 0, INITP_0A = 0, INITP_0B = 0, INITP_0C = 0, INITP_0D = 0, INITP_0E = 0, INITP_0F = 0,
  parameter [35:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0,
  parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0,
  parameter integer DOA_REG = 0, DOB_REG = 0,
  parameter WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST", RAM_MODE = "TDP",
  parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE"
) (
  input               CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input               RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB, CASCADEINA, CASCADEINB,
  input  [15:0]       ADDRARDADDR, ADDRBWRADDR,
  input  [31:0]       DIADI, DIBDI,
  input  [3:0]        DIPADIP, DIPBDIP,
  input  [3:0]        WEA,
  input  [7:0]        WEBWE,
  output [31:0]       DOADO, DOBDO,
  output [3:0]        DOPADOP, DOPBDOP
);
  if (DOA_REG != 0 || DOB_REG != 0 || RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE") begin : gen_unknown
    $fatal(1, "RAMB36E1: DOA_REG %0d, DOB_REG %0d or a cascade is not modelled", DOA_REG, DOB_REG);
  end
  localparam Wide = RAM_MODE == "SDP";
  wire [63:0] out_a, out_b;
  wire [7:0] out_parity_a, out_parity_b;
  assign DOADO   = out_a[31:0];
  assign DOPADOP = out_parity_a[3:0];
  assign DOBDO   = Wide ? out_a[63:32] : out_b[31:0];
  assign DOPBDOP = Wide ? out_parity_a[7:4] : out_parity_b[3:0];
  sc_block_ram #(
    .BYTES(4096), .LANES(4),
    .READ_WIDTH_A(READ_WIDTH_A), .READ_WIDTH_B(Wide ? 0 : READ_WIDTH_B),
    .WRITE_WIDTH_A(Wide ? 0 : WRITE_WIDTH_A), .WRITE_WIDTH_B(WRITE_WIDTH_B),
    .WRITE_MODE_A(WRITE_MODE_A), .WRITE_MODE_B(WRITE_MODE_B),
    .SRVAL_A({SRVAL_B, SRVAL_A}), .SRVAL_B({36'd0, SRVAL_B}),
    .INIT({
      INIT_7F, INIT_7E, INIT_7D, INIT_7C, INIT_7B, INIT_7A, INIT_79, INIT_78, INIT_77, INIT_76,
      INIT_75, INIT_74, INIT_73, INIT_72, INIT_71, INIT_70, INIT_6F, INIT_6E, INIT_6D, INIT_6C,
      INIT_6B, INIT_6A, INIT_69, INIT_68, INIT_67, INIT_66, INIT_65, INIT_64, INIT_63, INIT_62,
      INIT_61, INIT_60, INIT_5F, INIT_5E, INIT_5D, INIT_5C, INIT_5B, INIT_5A, INIT_59, INIT_58,
      INIT_57, INIT_56, INIT_55, INIT_54, INIT_53, INIT_52, INIT_51, INIT_50, INIT_4F, INIT_4E,
      INIT_4D, INIT_4C, INIT_4B, INIT_4A, INIT_49, INIT_48, INIT_47, INIT_46, INIT_45, INIT_44,
      INIT_43, INIT_42, INIT_41, INIT_40, INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A,
      INIT_39, INIT_38, INIT_37, INIT_36, INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30,
      INIT_2F, INIT_2E, INIT_2D, INIT_2C, INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26,
      INIT_25, INIT_24, INIT_23, INIT_22, INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C,
      INIT_1B, INIT_1A, INIT_19, INIT_18, INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12,
      INIT_11, INIT_10, INIT_0F, INIT_0E, INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08,
      INIT_07, INIT_06, INIT_05, INIT_04, INIT_03, INIT_02, INIT_01, INIT_00
    }),
    .INITP({
      INITP_0F, INITP_0E, INITP_0D, INITP_0C, INITP_0B, INITP_0A, INITP_09, INITP_08, INITP_07, INITP_06,
      INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
    })
  ) u_memory (
    .clk_a(CLKARDCLK), .clk_b(CLKBWRCLK), .enable_a(ENARDEN), .enable_b(ENBWREN),
    .reset_a(RSTRAMARSTRAM), .reset_b(RSTRAMB),
    .address_a(ADDRARDADDR[14:0]), .address_b(ADDRBWRADDR[14:0]),
    .write_a(Wide ? 8'd0 : {4'd0, WEA}), .write_b(Wide ? WEBWE : {4'd0, WEBWE[3:0]}),
    .in_a({32'd0, DIADI}), .in_b(Wide && WRITE_WIDTH_B == 72 ? {DIBDI, DIADI} : {32'd0, DIBDI}),
    .in_parity_a({4'd0, DIPADIP}), .in_parity_b(Wide && WRITE_WIDTH_B == 72 ? {DIPBDIP, DIPADIP} : {4'd0, DIPBDIP}),
    .out_a(out_a), .out_b(out_b), .out_parity_a(out_parity_a), .out_parity_b(out_parity_b)
  );
endmodule
