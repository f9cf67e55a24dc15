"""Images to the bytes the accelerator reads, and its bytes to embeddings: one numpy operation each.

The same bytes as FINN's data_packing makes of INT8 pixels and reads as INT32 elements, without its copies.
"""

from __future__ import annotations

import numpy as np

_SIGN = np.uint8(0x80)


def pack(images: np.ndarray, out: np.ndarray) -> None:
    """Write uint8 images to ``out``, uint8 of the same shape, as signed bytes: image - 128 in two's complement."""
    np.bitwise_xor(images, _SIGN, out=out)


def unpack(results: np.ndarray, out: np.ndarray) -> None:
    """Write (n, E) int32 results, little endian, to ``out``, (n, E) int64."""
    out[...] = results
