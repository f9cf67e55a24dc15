"""The processing system's clock registers, as far as pynq reads and writes them (UG585 SLCR, UG1087 CRL and CRF)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Clocks:
    """Clock registers by address; other registers of the processing system hold what is written.

    windows: address ranges of the processing system, (first, last). reference_mhz: input of the PLLs.
    """

    arch: str
    reference_mhz: float
    windows: tuple[tuple[int, int], ...]
    pll: int
    fabric: int
    registers: dict[int, int] = field(default_factory=dict)

    def holds(self, address: int) -> bool:
        """Return whether an address is the processing system's."""
        return any(first <= address <= last for first, last in self.windows)

    def read(self, address: int) -> int:
        """Return a register, 0 if never written."""
        return self.registers.get(address & ~3, 0)

    def write(self, address: int, value: int) -> None:
        """Write a register."""
        self.registers[address & ~3] = value

    def fabric_mhz(self) -> float:
        """Return the fabric's first clock, from the registers as they are."""
        pll, control = self.read(self.pll), self.read(self.fabric)
        if self.arch == "armv7l":
            source = self.reference_mhz * (pll >> 12 & 0x7F)
            divisors = (control >> 8 & 0x3F, control >> 20 & 0x3F)
        else:
            source = self.reference_mhz * (pll >> 8 & 0x7F) / (2 if pll >> 16 & 1 else 1)
            divisors = (control >> 8 & 0x3F, control >> 16 & 0x3F)
        return source / (max(divisors[0], 1) * max(divisors[1], 1))

    def set_fabric(self, index: int, divisors: tuple[int, int]) -> None:
        """Set the divisors, 1 to 63 each, of fabric clock ``index``, 0 to 3."""
        high = 20 if self.arch == "armv7l" else 16
        step = 0x10 if self.arch == "armv7l" else 4
        address = self.fabric + step * index
        self.write(address, self.read(address) & ~(0x3F << 8 | 0x3F << high) | divisors[0] << 8 | divisors[1] << high)


def clocks_of(part: str) -> Clocks:
    """Return the clocks of a part as its boot loader leaves them: the fabric at 100 MHz."""
    if part.startswith("xc7z"):
        slcr = 0xF800_0000
        clocks = Clocks("armv7l", 50.0, ((0xE000_0000, 0xFFFF_FFFF),), slcr + 0x108, slcr + 0x170)
        plls = {0x100: 26, 0x104: 21, 0x108: 20}  # ARM 1300, DDR 1050, I/O 1000 MHz
        clocks.registers = {slcr + offset: multiplier << 12 for offset, multiplier in plls.items()}
        clocks.registers[slcr + 0x120] = 2 << 8
        divisors = (10, 1)
    else:
        crl, crf = 0xFF5E_0000, 0xFD1A_0000
        clocks = Clocks("aarch64", 33.333, ((0xF900_0000, 0xFFFF_FFFF),), crl + 0x20, crl + 0xC0)
        plls = {crl + 0x20: 90, crl + 0x30: 90, crf + 0x20: 72, crf + 0x2C: 64, crf + 0x38: 90}
        clocks.registers = {address: 1 << 16 | multiplier << 8 for address, multiplier in plls.items()}
        clocks.registers[crf + 0x60] = 1 << 8
        divisors = (15, 1)
    for index in range(4):
        clocks.set_fabric(index, divisors)
    return clocks
