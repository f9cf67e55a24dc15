"""The block design around the accelerator on Zynq boards: processing system, AXI DMA, shell, ID block."""
