"""The top of the programmable logic: module spikeclip_shell, plain Verilog with Vivado's interface attributes.

    files = wrapper.write(folder, geometry, network_sha256, rtl=folder_of_the_accelerator)

A block design takes it by module reference, which wants Verilog at the top; what is below may be SystemVerilog.
"""

from __future__ import annotations

from pathlib import Path

from .geometry import Geometry, ShellError

TOP = "spikeclip_shell"
ACCELERATOR = "spikeclip_accelerator"
# Interfaces as the block design connects them: name -> (VLNV, signal -> (direction, width)).
INTERFACES: dict[str, tuple[str, dict[str, tuple[str, int]]]] = {
    "s_axi": (
        "xilinx.com:interface:aximm:1.0",
        {
            "AWADDR": ("input", 16),
            "AWPROT": ("input", 3),
            "AWVALID": ("input", 1),
            "AWREADY": ("output", 1),
            "WDATA": ("input", 32),
            "WSTRB": ("input", 4),
            "WVALID": ("input", 1),
            "WREADY": ("output", 1),
            "BRESP": ("output", 2),
            "BVALID": ("output", 1),
            "BREADY": ("input", 1),
            "ARADDR": ("input", 16),
            "ARPROT": ("input", 3),
            "ARVALID": ("input", 1),
            "ARREADY": ("output", 1),
            "RDATA": ("output", 32),
            "RRESP": ("output", 2),
            "RVALID": ("output", 1),
            "RREADY": ("input", 1),
        },
    ),
    "s_axis": (
        "xilinx.com:interface:axis:1.0",
        {
            "TDATA": ("input", 32),
            "TKEEP": ("input", 4),
            "TLAST": ("input", 1),
            "TVALID": ("input", 1),
            "TREADY": ("output", 1),
        },
    ),
    "m_axis": (
        "xilinx.com:interface:axis:1.0",
        {
            "TDATA": ("output", 32),
            "TKEEP": ("output", 4),
            "TLAST": ("output", 1),
            "TVALID": ("output", 1),
            "TREADY": ("input", 1),
        },
    ),
}
_OWN = Path(__file__).parent
# File in the shell's folder -> where it is here. Names are the modules', as the stitched accelerator's are.
_SOURCES = {
    "sc_fifo.sv": _OWN.parent / "lib" / "fifo.sv",
    "sc_dma_shell.sv": _OWN / "dma_shell.sv",
    "sc_id.sv": _OWN / "id.sv",
}


def write(folder: Path, shape: Geometry, network: bytes, *, rtl: Path | None = None) -> tuple[Path, ...]:
    """Write spikeclip_shell.v and the shell's own modules to ``folder``; return them in compile order.

    network: SHA-256 of the integer network's file, 32 bytes. rtl: folder of the accelerator; a module that is there
    already is not written again. Raises ShellError for a digest of another length, or two modules of one name.
    """
    if len(network) != 32:
        raise ShellError(f"network: expected a SHA-256 of 32 bytes, got {len(network)}")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, source in _SOURCES.items():
        text, there = source.read_text(), None if rtl is None else rtl / name
        if there is not None and there.is_file():
            if there.read_text() != text:
                raise ShellError(f"{there}: differs from this checkout's {source.name}; build anew with --fresh")
            continue
        (folder / name).write_text(text)
        made.append(folder / name)
    path = folder / f"{TOP}.v"
    path.write_text(verilog(shape, network))
    return (*made, path)


def verilog(shape: Geometry, network: bytes) -> str:
    """Return the text of module spikeclip_shell: sc_dma_shell, sc_id and the accelerator, wired."""
    ports = [
        '(* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 clk_i CLK" *)\n'
        f'  (* X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF {":".join(INTERFACES)}, ASSOCIATED_RESET rst_ni" *)\n'
        "  input clk_i",
        '(* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 rst_ni RST" *)\n'
        '  (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)\n  input rst_ni',
    ]
    for name, (vlnv, signals) in INTERFACES.items():
        for i, (signal, (direction, width)) in enumerate(signals.items()):
            lite = '(* X_INTERFACE_PARAMETER = "PROTOCOL AXI4LITE, ADDR_WIDTH 16, DATA_WIDTH 32" *)\n  '
            bits = f"[{width - 1}:0] " if width > 1 else ""
            ports.append(
                f"{lite if name == 's_axi' and i == 0 else ''}"
                f'(* X_INTERFACE_INFO = "{vlnv} {name} {signal}" *)\n  {direction} {bits}{name}_{signal.lower()}'
            )
    parameters = ", ".join(f".{name}({value})" for name, value in shape.parameters.items())
    listed = ",\n  ".join(ports)
    digest = int.from_bytes(network, "little")
    return f"""// Written by hw/shell/wrapper.py: AXI DMA's streams and AXI4-Lite registers around the accelerator.
module {TOP} (
  {listed}
);
  wire [{8 * shape.in_bytes - 1}:0] pixels;
  wire [{shape.out_bits - 1}:0] embedding;
  wire pixels_valid, pixels_ready, embedding_valid, embedding_ready;
  wire [31:0] frames;
  wire [1:0] state;
  wire unused_inputs = &{{1'b0, s_axi_awaddr, s_axi_awprot, s_axi_wdata, s_axi_wstrb, s_axi_arprot}};

  assign m_axis_tkeep = 4'hF;

  sc_dma_shell #({parameters}) u_dma_shell (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .mm2s_valid_i(s_axis_tvalid),
    .mm2s_ready_o(s_axis_tready),
    .mm2s_data_i({{s_axis_tlast, s_axis_tkeep, s_axis_tdata}}),
    .pixels_valid_o(pixels_valid),
    .pixels_ready_i(pixels_ready),
    .pixels_data_o(pixels),
    .embedding_valid_i(embedding_valid),
    .embedding_ready_o(embedding_ready),
    .embedding_data_i(embedding),
    .s2mm_valid_o(m_axis_tvalid),
    .s2mm_ready_i(m_axis_tready),
    .s2mm_data_o({{m_axis_tlast, m_axis_tdata}}),
    .frames_o(frames),
    .state_o(state)
  );

  {ACCELERATOR} u_accelerator (
    .ap_clk(clk_i),
    .ap_rst_n(rst_ni),
    .s_axis_0_tdata(pixels),
    .s_axis_0_tvalid(pixels_valid),
    .s_axis_0_tready(pixels_ready),
    .m_axis_0_tdata(embedding),
    .m_axis_0_tvalid(embedding_valid),
    .m_axis_0_tready(embedding_ready)
  );

  sc_id #(.NETWORK(256'h{digest:064x})) u_id (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .frames_i(frames),
    .state_i(state),
    .awvalid_i(s_axi_awvalid),
    .awready_o(s_axi_awready),
    .wvalid_i(s_axi_wvalid),
    .wready_o(s_axi_wready),
    .bvalid_o(s_axi_bvalid),
    .bready_i(s_axi_bready),
    .bresp_o(s_axi_bresp),
    .arvalid_i(s_axi_arvalid),
    .arready_o(s_axi_arready),
    .araddr_i(s_axi_araddr),
    .rvalid_o(s_axi_rvalid),
    .rready_i(s_axi_rready),
    .rdata_o(s_axi_rdata),
    .rresp_o(s_axi_rresp)
  );
endmodule
"""
