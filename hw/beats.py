"""Integers to beats and back.

A beat is what a stream's ``data`` carries in one cycle: fields of one width, the first in the lowest bits.
In Python a stream is a (beats, words) array of uint32, least significant word first.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def words_of(width: int) -> int:
    """Return how many 32-bit words hold ``width`` bits."""
    return -(-width // 32)


def pack(values: Array, bits: int) -> Array:
    """Return (n, words) uint32 beats from values (n, fields); each takes ``bits``, negative ones in two's complement.

    Raises ValueError if a value fits neither as a signed nor as an unsigned number of ``bits``.
    """
    values = np.asarray(values).astype(np.int64)
    if values.size and (int(values.min()) < -(1 << (bits - 1)) or int(values.max()) >= 1 << bits):
        raise ValueError(f"values {int(values.min())} to {int(values.max())} do not fit fields of {bits} bits")
    # Bytes of each value, their bits, the lowest ``bits`` of them, side by side.
    octets = np.ascontiguousarray(values, "<i8").view(np.uint8).reshape(*values.shape, 8)
    each = np.unpackbits(octets, axis=-1, bitorder="little", count=bits)
    line = each.reshape(len(values), values.shape[1] * bits)
    spare = -line.shape[1] % 32
    packed = np.packbits(np.pad(line, ((0, 0), (0, spare))), axis=1, bitorder="little")
    return packed.view("<u4").astype(np.uint32, copy=False)


def unpack(beats: Array, bits: int, fields: int, *, signed: bool) -> Array:
    """Return values (n, fields) int64 from beats (n, words)."""
    octets = np.ascontiguousarray(beats, "<u4").view(np.uint8)
    line = np.unpackbits(octets, axis=1, bitorder="little", count=bits * fields)
    each = line.reshape(len(beats), fields, bits)
    padded = np.pad(each, ((0, 0), (0, 0), (0, 64 - bits)))
    if signed:
        padded[..., bits:] = each[..., -1:]
    return np.packbits(padded, axis=-1, bitorder="little").view("<i8")[..., 0].astype(np.int64, copy=False)


def memory_lines(values: Array, bits: int) -> str:
    """Return the text of a $readmemh file from values (lines, fields): one line each, the first field lowest."""
    digits = -(-values.shape[1] * bits // 4)
    octets = pack(values, bits).astype("<u4").view(np.uint8)[:, ::-1]
    return "".join(line.tobytes().hex()[-digits:].rjust(digits, "0") + "\n" for line in octets)
