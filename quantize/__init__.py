"""From the float network to integers: quantisation-aware training, QONNX, lowering, the golden model."""
