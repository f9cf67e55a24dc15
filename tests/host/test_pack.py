from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikeclip_fpga.host.pack import pack, unpack

RNG = np.random.default_rng(0)


def finns_packing() -> Any:
    """Return FINN's packing, from its driver or its compiler; skip where neither is installed."""
    try:
        from finn_plus_driver import packing
    except ImportError:
        packing = pytest.importorskip("finn.util.data_packing", reason="neither finn-plus-driver nor finn-plus here")
    return packing


def test_every_pixel_becomes_its_signed_byte() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    out = np.empty_like(images)
    pack(images, out)
    np.testing.assert_array_equal(out.view(np.int8), images.astype(np.int16) - 128)


def test_images_in_any_memory_order_are_packed_alike() -> None:
    images = RNG.integers(0, 256, (3, 4, 5, 3)).astype(np.uint8)
    out = np.empty(images.shape, np.uint8)
    pack(np.asfortranarray(images), out)
    np.testing.assert_array_equal(out, images ^ 0x80)


def test_elements_keep_their_values_and_signs() -> None:
    results = np.array([[-(1 << 31), -1, 0], [1, (1 << 17) - 1, (1 << 31) - 1]], np.int32)
    out = np.empty(results.shape, np.int64)
    unpack(results, out)
    np.testing.assert_array_equal(out, results)
    assert out[0, 0] == -(1 << 31)


def test_the_bytes_are_those_of_finns_packing() -> None:
    packing = finns_packing()
    from qonnx.core.datatype import DataType

    images = RNG.integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    ours = np.empty_like(images)
    pack(images, ours)
    signed = (images.astype(np.int16) - 128).astype(np.int8).reshape(4, -1, 1)
    finns = packing.finnpy_to_packed_bytearray(signed, DataType["INT8"], reverse_inner=True, reverse_endian=True)
    assert finns.astype(np.uint8).tobytes() == ours.tobytes()

    results = RNG.integers(-(1 << 17), 1 << 17, (4, 384)).astype(np.int32)
    read = np.empty(results.shape, np.int64)
    unpack(results, read)
    stream = results.astype("<i4").view(np.uint8).reshape(4, 384, 4)
    finns = packing.packed_bytearray_to_finnpy(
        stream, DataType["INT32"], (4, 384, 1), reverse_inner=True, reverse_endian=True
    )
    np.testing.assert_array_equal(np.asarray(finns).reshape(4, 384), read)
