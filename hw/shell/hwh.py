"""The hardware handoff (.hwh) of the Zynq block design: the XML from which pynq's Overlay learns IP and addresses.

    text = hwh.write(hwh.Design("pynq-z2", "xc7z020clg400-1", clk_mhz=100.0))

Vivado writes its own beside a bitstream it has built; this one stands in until then, so that the unmodified
Overlay can be tried against the twin. It holds what pynq 4 reads: modules, parameters, clocks, address map,
registers. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

_PARTS = ("xc7z", "xczu", "xck26")
SPAN = 0x1_0000  # 64 kB: the address range of each register block
AXI, STREAM = "xilinx.com:interface:aximm:1.0", "xilinx.com:interface:axis:1.0"
DMA_VLNV = "xilinx.com:ip:axi_dma:7.1"
# The accelerator between the DMA's streams and its ID registers are one module, whose instance has the registers' name.
SHELL_VLNV = "xilinx.com:module_ref:spikeclip_shell:1.0"


class HwhError(ValueError):
    """A block design that cannot be described; one line with what was expected."""


@dataclass(frozen=True)
class Processor:
    """A processing system: IP, instance and port names, where its master reaches the fabric, its clock sources."""

    vlnv: str
    instance: str
    arch: str
    master: str
    slave: str
    clock: str
    reset: str
    dma_base: int
    id_base: int
    source_mhz: float

    @property
    def modtype(self) -> str:
        """Return the IP's name."""
        return self.vlnv.split(":")[2]


ZYNQ = Processor(
    "xilinx.com:ip:processing_system7:5.5",
    *("processing_system7_0", "zynq", "M_AXI_GP0", "S_AXI_HP0", "FCLK_CLK0", "FCLK_RESET0_N"),
    *(0x4040_0000, 0x43C0_0000, 1000.0),
)
ZYNQMP = Processor(
    "xilinx.com:ip:zynq_ultra_ps_e:3.3",
    *("zynq_ultra_ps_e_0", "zynquplus", "M_AXI_HPM0_FPD", "S_AXI_HP0_FPD", "pl_clk0", "pl_resetn0"),
    *(0xA000_0000, 0xA001_0000, 1500.0),
)


@dataclass(frozen=True)
class Design:
    """The block design of one board. clk_mhz: of all of the fabric. dma, id_block: instance names.

    Raises HwhError for a part that is neither Zynq-7000 nor Zynq UltraScale+, or a clock out of 1 to 600 MHz.
    """

    board: str
    part: str
    clk_mhz: float = 100.0
    dma: str = "axi_dma_0"
    id_block: str = "spikeclip_id"

    def __post_init__(self) -> None:
        if not 1 <= self.clk_mhz <= 600:
            raise HwhError(f"{self.board}: expected a clock of 1 to 600 MHz, got {self.clk_mhz}; correct clk_mhz")
        if not self.part.startswith(_PARTS):
            raise HwhError(f"{self.board}: expected a Zynq part ({', '.join(_PARTS)}), got {self.part!r}")

    @property
    def processor(self) -> Processor:
        """Return the processing system of the part."""
        return ZYNQ if self.part.startswith("xc7z") else ZYNQMP

    @property
    def divisors(self) -> tuple[int, int]:
        """Return the two 6-bit divisors of the PLL whose quotient is nearest to clk_mhz."""
        want = self.processor.source_mhz / self.clk_mhz
        return min(((a, b) for a in range(1, 64) for b in range(1, 64)), key=lambda d: (abs(d[0] * d[1] - want), d))


# name: (offset, access, {field: (bit, width)}), after PG021's register space in direct mode and spikeclip_id's header
_CONTROL = {"RS": (0, 1), "Reset": (2, 1), "IOC_IrqEn": (12, 1), "Err_IrqEn": (14, 1)}
_STATUS = {"Halted": (0, 1), "Idle": (1, 1), "DMAIntErr": (4, 1), "DMASlvErr": (5, 1), "DMADecErr": (6, 1)}
_STATUS |= {"IOC_Irq": (12, 1), "Err_Irq": (14, 1)}
_Registers = dict[str, tuple[int, str, dict[str, tuple[int, int]]]]
DMA_REGISTERS: _Registers = {}
for _name, _base, _address in (("MM2S", 0x00, "SA"), ("S2MM", 0x30, "DA")):
    DMA_REGISTERS |= {
        f"{_name}_DMACR": (_base, "read-write", _CONTROL),
        f"{_name}_DMASR": (_base + 0x04, "read-write", _STATUS),
        f"{_name}_{_address}": (_base + 0x18, "read-write", {}),
        f"{_name}_{_address}_MSB": (_base + 0x1C, "read-write", {}),
        f"{_name}_LENGTH": (_base + 0x28, "read-write", {"Length": (0, 26)}),
    }
ID_REGISTERS: _Registers = {"MAGIC": (0x00, "read-only", {}), "SCHEMA": (0x04, "read-only", {})}
ID_REGISTERS |= {f"NETWORK_{i}": (0x08 + 4 * i, "read-only", {}) for i in range(8)}
ID_REGISTERS |= {"FRAMES": (0x28, "read-only", {}), "STATE": (0x2C, "read-only", {})}

DMA_PARAMETERS = {
    "c_include_sg": 0,
    "c_micro_dma": 0,
    "c_sg_length_width": 26,
    "c_include_mm2s": 1,
    "c_m_axi_mm2s_data_width": 32,
    "c_m_axis_mm2s_tdata_width": 32,
    "c_include_mm2s_dre": 0,
    "c_mm2s_burst_size": 16,
    "c_include_s2mm": 1,
    "c_m_axi_s2mm_data_width": 32,
    "c_s_axis_s2mm_tdata_width": 32,
    "c_include_s2mm_dre": 0,
    "c_s2mm_burst_size": 16,
    "c_addr_width": 32,
}


def _properties(parent: ET.Element, **values: object) -> None:
    for name, value in values.items():
        ET.SubElement(parent, "PROPERTY", NAME=name, VALUE=str(value))


def _registers(module: ET.Element, interface: str, registers: _Registers) -> None:
    blocks = ET.SubElement(module, "ADDRESSBLOCKS")
    common = {"ACCESS": "read-write", "INTERFACE": interface, "NAME": "Reg", "RANGE": str(SPAN), "USAGE": "register"}
    listed = ET.SubElement(ET.SubElement(blocks, "ADDRESSBLOCK", common), "REGISTERS")
    for name, (offset, access, fields) in registers.items():
        register = ET.SubElement(listed, "REGISTER", NAME=name)
        _properties(register, DESCRIPTION=name, ADDRESS_OFFSET=hex(offset), SIZE=32, ACCESS=access, IS_ENABLED="true")
        inside = ET.SubElement(register, "FIELDS")
        for field, (bit, width) in fields.items():
            entry = ET.SubElement(inside, "FIELD", NAME=field)
            _properties(entry, DESCRIPTION=field, ACCESS=access, BIT_OFFSET=bit, BIT_WIDTH=width)


def _module(
    modules: ET.Element,
    instance: str,
    vlnv: str,
    parameters: dict[str, object],
    buses: list[tuple[str, str, str]],
    clocks: list[str],
    **more: str,
) -> ET.Element:
    """Append a module with its parameters, buses (name, type, VLNV) and clock inputs; return it."""
    _, _, name, version = vlnv.split(":")
    module = ET.SubElement(
        modules,
        "MODULE",
        {"FULLNAME": f"/{instance}", "HWVERSION": version, "INSTANCE": instance, "IPTYPE": "PERIPHERAL"},
        **{"IS_ENABLE": "1", "MODCLASS": "PERIPHERAL", "MODTYPE": name, "VLNV": vlnv},
        **more,
    )
    listed = ET.SubElement(module, "PARAMETERS")
    for key, value in parameters.items():
        ET.SubElement(listed, "PARAMETER", NAME=key, VALUE=str(value))
    ports = ET.SubElement(module, "PORTS")
    for clock in clocks:
        ET.SubElement(ports, "PORT", DIR="I", NAME=clock, SIGIS="clk")
    interfaces = ET.SubElement(module, "BUSINTERFACES")
    for bus, kind, bus_vlnv in buses:
        ET.SubElement(interfaces, "BUSINTERFACE", NAME=bus, TYPE=kind, VLNV=bus_vlnv)
    return module


def _memory_map(module: ET.Element, ranges: list[tuple[str, str, str, int, int, str]]) -> None:
    """Append a map of (master port, target instance, target port, base, size, memory type)."""
    listed = ET.SubElement(module, "MEMORYMAP")
    for master, target, port, base, size, kind in ranges:
        common = {"ADDRESSBLOCK": "Reg" if kind == "REGISTER" else "DDR", "MEMTYPE": kind, "INSTANCE": target}
        bounds = {"BASEVALUE": f"0x{base:08X}", "HIGHVALUE": f"0x{base + size - 1:08X}"}
        ET.SubElement(listed, "MEMRANGE", common | bounds, MASTERBUSINTERFACE=master, SLAVEBUSINTERFACE=port)


def _clock_parameters(design: Design) -> dict[str, object]:
    """Return the processing system's parameters of its four fabric clocks; only the first is enabled."""
    found: dict[str, object] = {}
    for i in range(4):
        divisors = design.divisors if i == 0 else (1, 1)
        achieved = design.processor.source_mhz / (divisors[0] * divisors[1])
        if design.processor is ZYNQ:
            found[f"PCW_FPGA_FCLK{i}_ENABLE"] = int(i == 0)
            found |= {f"PCW_FCLK{i}_PERIPHERAL_DIVISOR{j}": divisors[j] for j in range(2)}
            found[f"PCW_FCLK{i}_PERIPHERAL_CLKSRC"] = "IO PLL"
            found[f"PCW_ACT_FPGA{i}_PERIPHERAL_FREQMHZ"] = f"{achieved:.6f}"
        else:
            found[f"PSU__FPGA_PL{i}_ENABLE"] = int(i == 0)
            found |= {f"PSU__CRL_APB__PL{i}_REF_CTRL__DIVISOR{j}": divisors[j] for j in range(2)}
            found[f"PSU__CRL_APB__PL{i}_REF_CTRL__SRCSEL"] = "IOPLL"
        # pynq 4.0.0 reads this name for Zynq-7000 as well, and fails on None when it is not there.
        found[f"PSU__CRL_APB__PL{i}_REF_CTRL__ACT_FREQMHZ"] = f"{achieved:.6f}"
    return found


def write(design: Design) -> str:
    """Return the .hwh text of ``design``; the same for the same design."""
    ps = design.processor
    root = ET.Element("EDKSYSTEM", EDWVERSION="1.2", GENERATOR="spikeclip_fpga.hw.shell.hwh, not Vivado")
    ET.SubElement(root, "SYSTEMINFO", ARCH=ps.arch, BOARD=design.board, DEVICE=design.part, NAME="spikeclip")
    ET.SubElement(root, "EXTERNALPORTS")
    ET.SubElement(root, "EXTERNALINTERFACES")
    modules = ET.SubElement(root, "MODULES")

    dma = _module(
        modules,
        design.dma,
        DMA_VLNV,
        dict(DMA_PARAMETERS),
        [
            *(("S_AXI_LITE", "SLAVE", AXI), ("M_AXI_MM2S", "MASTER", AXI), ("M_AXI_S2MM", "MASTER", AXI)),
            *(("M_AXIS_MM2S", "MASTER", STREAM), ("S_AXIS_S2MM", "SLAVE", STREAM)),
        ],
        ["s_axi_lite_aclk", "m_axi_mm2s_aclk", "m_axi_s2mm_aclk"],
    )
    _registers(dma, "S_AXI_LITE", DMA_REGISTERS)
    ddr = 0x2000_0000 if ps is ZYNQ else 0x8000_0000
    _memory_map(dma, [(m, ps.instance, ps.slave, 0, ddr, "MEMORY") for m in ("M_AXI_MM2S", "M_AXI_S2MM")])

    streams = [("s_axis", "SLAVE", STREAM), ("m_axis", "MASTER", STREAM)]
    shell = _module(modules, design.id_block, SHELL_VLNV, {}, [("s_axi", "SLAVE", AXI), *streams], ["clk_i"])
    _registers(shell, "s_axi", ID_REGISTERS)

    processor = _module(
        modules,
        ps.instance,
        ps.vlnv,
        _clock_parameters(design),
        [(ps.master, "MASTER", AXI), (ps.slave, "SLAVE", AXI)],
        [],
        IS_PL="FALSE",
    )
    ports = processor.find("PORTS")
    assert ports is not None
    clock = ET.SubElement(
        ports, "PORT", DIR="O", NAME=ps.clock, SIGIS="clk", CLKFREQUENCY=str(int(design.clk_mhz * 1e6))
    )
    listed = ET.SubElement(clock, "CONNECTIONS")
    for module in modules.findall("MODULE"):
        for port in module.iter("PORT"):
            if port is not clock:
                ET.SubElement(listed, "CONNECTION", INSTANCE=str(module.get("INSTANCE")), PORT=str(port.get("NAME")))
                back = ET.SubElement(port, "CONNECTIONS")
                ET.SubElement(back, "CONNECTION", INSTANCE=ps.instance, PORT=ps.clock)
    _memory_map(
        processor,
        [
            (ps.master, design.dma, "S_AXI_LITE", ps.dma_base, SPAN, "REGISTER"),
            (ps.master, design.id_block, "s_axi", ps.id_base, SPAN, "REGISTER"),
        ],
    )
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
