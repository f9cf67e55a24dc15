"""On the board: classify images with an accelerator. Needs numpy, safetensors and Pillow; never torch or FINN."""
