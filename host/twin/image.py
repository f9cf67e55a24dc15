"""The emulation image: a file in the place of a bitstream that says which network the twin shall be.

It has the header that pynq demands of a .bit file (fields a to e of Xilinx's format, the data's length in words)
and, instead of configuration data, a text that says so. It holds no synchronisation word (AA 99 55 66), so that a
real device refuses it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass

NOTICE = "THIS IS NO BITSTREAM. It configures the emulated board of spikeclip_fpga.host.twin, and no other.\n"
_SYNC = bytes.fromhex("aa995566")
# First field of every .bit file, of fixed content; the 1 that follows counts what comes before the design's name.
_PREAMBLE = bytes.fromhex("0ff00ff00ff00ff000")


class ImageError(ValueError):
    """Data that is no emulation image."""


@dataclass(frozen=True)
class Image:
    """What an emulation image says: SHA-256 of the integer network (32 bytes), bundle's name, SHA-256 of the .hwh.

    pynq keeps what it parsed of a .hwh by the hash of the .bit file, hence the .hwh's hash in the image.
    """

    network: bytes
    name: str
    hwh: str


def to_bit(image: Image, part: str) -> bytes:
    """Return ``image`` as a file that pynq takes for a .bit file of ``part``."""
    content = json.dumps({"network": image.network.hex(), "name": image.name, "hwh": image.hwh}, sort_keys=True)
    text = (NOTICE + content + "\n").encode("ascii")
    data = text + b" " * (-len(text) % 4)
    assert _SYNC not in data and _SYNC not in _swapped(data)
    fields = (f"{image.name};EMULATION, no bitstream", part, "none", "none")
    header = struct.pack(">h", len(_PREAMBLE)) + _PREAMBLE + struct.pack(">h", 1)
    for letter, value in zip(b"abcd", fields, strict=True):
        raw = value.encode("ascii") + b"\0"
        header += struct.pack(">Bh", letter, len(raw)) + raw
    return header + struct.pack(">Bi", ord("e"), len(data)) + data


def from_bin(data: bytes) -> Image:
    """Return the image in ``data``, as pynq uploads it: without the header, the bytes of each word reversed.

    Raises ImageError if it is anything else, such as a real bitstream.
    """
    text = _swapped(data)
    if not text.startswith(NOTICE.encode()):
        raise ImageError("no emulation image: a bitstream cannot be run by the emulated board")
    try:
        content = json.loads(text[len(NOTICE) :])
        return Image(bytes.fromhex(content["network"]), content["name"], content["hwh"])
    except (ValueError, KeyError, TypeError) as error:
        raise ImageError(f"damaged emulation image ({error})") from error


def file_hash(text: str) -> str:
    """Return the SHA-256 of a text file's content, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _swapped(data: bytes) -> bytes:
    """Return ``data`` with the bytes of each 32-bit word reversed, as the configuration port wants them."""
    if len(data) % 4:
        return b""
    words = struct.unpack(f"<{len(data) // 4}I", data)
    return struct.pack(f">{len(words)}I", *words)
