from __future__ import annotations

import pytest

from spikeclip_fpga.host.twin.image import NOTICE, Image, ImageError, from_bin, to_bit

IMAGE = Image(bytes(range(32)), "tiny-w4-pynq-z2", "ab" * 32)

pytest.importorskip("pynq", reason="pynq is not installed here; this runs in the board environment")


def test_pynq_takes_it_for_a_bit_file_and_it_survives_the_upload() -> None:
    from pynq.pl_server.embedded_device import bit2bin, parse_bit_header

    data = to_bit(IMAGE, "xc7z020clg400-1")
    header = parse_bit_header(data)
    assert (header["design"], header["part"]) == ("tiny-w4-pynq-z2", "xc7z020clg400-1")
    assert "no bitstream" in header["version"]
    assert from_bin(bit2bin(data)) == IMAGE


def test_whoever_opens_it_reads_that_it_is_none() -> None:
    assert NOTICE.encode() in to_bit(IMAGE, "xc7z020clg400-1")
    assert NOTICE.startswith("THIS IS NO BITSTREAM")


def test_a_device_would_not_find_the_word_that_starts_a_configuration() -> None:
    data = to_bit(IMAGE, "xc7z020clg400-1")
    for sync in ("aa995566", "665599aa"):
        assert bytes.fromhex(sync) not in data


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, bytes.fromhex("665599aa") * 16, b"odd"])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="no emulation image"):
        from_bin(data)


def test_a_damaged_image_is_refused() -> None:
    from pynq.pl_server.embedded_device import bit2bin

    data = bit2bin(to_bit(IMAGE, "xc7z020clg400-1"))
    with pytest.raises(ImageError, match="damaged"):
        from_bin(data[:-80] + b" " * 80)
