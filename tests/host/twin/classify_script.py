"""What a user of PYNQ writes: only pynq's public API, no line of this project. Run by test_script.py.

python classify_script.py OVERLAY IMAGES.npy EMBEDDINGS.npy BATCH
"""

import sys

import numpy as np
from pynq import Overlay, allocate

overlay = Overlay(sys.argv[1])
images = np.load(sys.argv[2])
batch = int(sys.argv[4])
dma = overlay.axi_dma_0

source = allocate((batch, *images.shape[1:]), np.uint8)
target = allocate((batch, 384), np.int32)
embeddings = []
for start in range(0, len(images), batch):
    part = images[start : start + batch]
    source[: len(part)] = part ^ 0x80  # unsigned to signed bytes
    dma.recvchannel.transfer(target, nbytes=len(part) * 384 * 4)
    dma.sendchannel.transfer(source, nbytes=part.nbytes)
    dma.sendchannel.wait()
    dma.recvchannel.wait()
    embeddings.append(np.array(target[: len(part)]))
np.save(sys.argv[3], np.concatenate(embeddings))
print(overlay.spikeclip_id.read(0x28), "frames")
source.freebuffer()
target.freebuffer()
