"""Packing integers into beats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.hw import beats


@given(st.data())
def test_a_beat_is_its_fields_side_by_side(data: st.DataObject) -> None:
    bits, fields, signed = data.draw(st.integers(1, 48)), data.draw(st.integers(1, 9)), data.draw(st.booleans())
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    row = st.lists(st.integers(low, high), min_size=fields, max_size=fields)
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    packed = beats.pack(np.array(rows), bits)
    assert packed.dtype == np.uint32 and packed.shape == (len(rows), beats.words_of(bits * fields))
    lines = beats.memory_lines(np.array(rows), bits).split("\n")
    for values, beat, line in zip(rows, packed, lines, strict=False):
        number = sum((value % (1 << bits)) << (i * bits) for i, value in enumerate(values))
        assert int.from_bytes(beat.astype("<u4").tobytes(), "little") == number
        assert int(line, 16) == number and len(line) == -(-bits * fields // 4)
    np.testing.assert_array_equal(beats.unpack(packed, bits, fields, signed=signed), rows)


@pytest.mark.parametrize("value", [-9, 16])
def test_a_value_that_does_not_fit_is_refused(value: int) -> None:
    beats.pack(np.array([[-8, 15]]), 4)
    with pytest.raises(ValueError, match="do not fit fields of 4 bits"):
        beats.pack(np.array([[value, 0]]), 4)
