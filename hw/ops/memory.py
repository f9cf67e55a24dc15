"""Where a memory is, block RAM or LUTs, and what it takes there: the one rule for every operator.

Block RAM as soon as that saves ``LUTS_PER_BRAM18`` LUTs for each RAMB18. The parts have 190 (PYNQ-Z2) to 320
(U250) LUTs to a RAMB18, but in a spiking network the LUTs run out first, so a block is worth less here.
The RTL hands the choice to the tools as rom_style or ram_style, so that they decide nothing.
"""

from __future__ import annotations

LUTS_PER_BRAM18 = 64
# Width -> depth of a block without parity bits for narrow words; RAMB36 are as wide again or as deep again.
_RAMB18 = {1: 16384, 2: 8192, 4: 4096, 9: 2048, 18: 1024, 36: 512}
_RAMB36 = {**{width: 2 * depth for width, depth in _RAMB18.items()}, 72: 512}


def block_ram(depth: int, width: int, *, written: bool = False) -> tuple[int, int]:
    """Return RAMB18 (a RAMB36 counted as two) and LUTs of a memory with one read port.

    A memory deeper than a block has several lines in a word, side by side over all blocks, and a mux behind; in
    one that is ``written`` each line then takes whole bytes of 9 bits.
    """
    padded = 9 * -(-width // 9) if written else width
    shapes = [(size, w, -(-depth // d)) for size, family in ((1, _RAMB18), (2, _RAMB36)) for w, d in family.items()]
    blocks, lines = min((size * -(-lines * (padded if lines > 1 else width) // w), lines) for size, w, lines in shapes)
    return blocks, round(0.4 * (lines - 1) * width)


def rom_luts(depth: int, width: int) -> int:
    """Return the LUTs of a ROM: half a LUT a bit to depth 32, one to 64, then one for each 64 of the next power of two.

    Wider LUTs are muxes of the slice. Few lines have few different columns: bits that are alike share a LUT.
    """
    columns = min(width, 1 << min(depth, 16))
    if depth <= 32:
        return -(-columns // 2) if depth > 2 else 0
    return columns << max(0, (depth - 1).bit_length() - 6)


def ram_luts(depth: int, width: int) -> int:
    """Return the LUTs of a memory that is written: in four, 6 bits of 32 lines or 3 of 64; read muxes besides."""
    banks, lines = min((-(-depth // d) * -(-width // w), -(-depth // d)) for d, w in ((64, 3), (32, 6)))
    muxes = -(-width * (lines - 1) // 3) + lines if lines > 1 else 0
    return 4 * banks + muxes


def rom_style(depth: int, width: int) -> str:
    """Return "block" or "distributed" for a ROM."""
    return _style(rom_luts(depth, width), *block_ram(depth, width))


def ram_style(depth: int, width: int) -> str:
    """Return "block" or "distributed" for a memory with a write and a registered read port."""
    return _style(ram_luts(depth, width), *block_ram(depth, width, written=True))


def _style(luts: int, blocks: int, muxes: int) -> str:
    return "block" if luts - muxes >= LUTS_PER_BRAM18 * blocks else "distributed"


def address_bits(count: int) -> int:
    """Return the bits that count to ``count`` - 1, at least 1."""
    return max(1, (count - 1).bit_length())


def replay(length: int, repeats: int, width: int) -> tuple[int, int]:
    """Return LUTs of the memory of lib/replay.sv, and bits of its counters."""
    if repeats == 1:
        return 0, 0
    depth = max(length, 2)
    counters = address_bits(depth) + 2 * depth.bit_length() + address_bits(repeats) + (length == 1)
    return ram_luts(depth, width), counters
