"""The networks SpikeCLIP is compared with: ScratchCLIP, the papers' ANN twin, and an ANN of the same topology."""
