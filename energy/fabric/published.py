"""Published Vivado power reports the default prices are derived from: watts and counts, with their addresses.

A report gives watts of a kind of resource, how many of them are used, and the clock: joules of each per cycle.
It does not give toggle rates, so a price per toggle needs an assumption on them; prices.py makes it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """The On-Chip Components of one report. Watts are None where it prints "<0.001" or has no such row.

    address: repository and path of the report, at the commit read. mhz: of the design's clock, 1000 / the
    constraint as printed. nets: signals. saif: the toggle rates came from a simulation, not from propagation.
    lut_w: LUT as Logic and carry chains.
    """

    name: str
    address: str
    part: str
    core_v: float
    mhz: float
    clocks_w: float
    registers: int
    registers_w: float | None
    luts: int
    lut_w: float
    nets: int
    signals_w: float
    bram18: int = 0
    bram_w: float | None = None
    dsps: int = 0
    dsp_w: float | None = None
    saif: bool = False

    def pj_per_cycle(self, watts: float, count: int) -> float:
        """Return what one of ``count`` takes in a cycle, in pJ."""
        return watts / (count * self.mhz * 1e6) * 1e12

    @property
    def clock_pj(self) -> float:
        """Return the clocks' energy a register and cycle, in pJ."""
        return self.pj_per_cycle(self.clocks_w, self.registers)

    @property
    def lut_pj(self) -> float:
        """Return the LUTs' energy a LUT and cycle, in pJ."""
        return self.pj_per_cycle(self.lut_w, self.luts)

    @property
    def signal_pj(self) -> float:
        """Return the nets' energy a net and cycle, in pJ."""
        return self.pj_per_cycle(self.signals_w, self.nets)


IMPL = "project_1/project_1.runs/impl_1/design_1_wrapper_power_routed.rpt"
BINARY_CNN = Published(
    name="binary CNN",
    address="github.com/a3d2ddk/Binary-CNN-Accelerator at 013aa66, cnn_accel_wrapper_power_routed.rpt",
    part="xc7z020",
    core_v=1.0,
    mhz=1000 / 13.0,
    clocks_w=0.038,
    registers=12473,
    registers_w=0.002,
    luts=10966,
    lut_w=0.04,
    nets=24490,
    signals_w=0.045,
    bram18=54,
    bram_w=0.022,
    dsps=75,
    dsp_w=0.028,
)
CVA6_MNIST = Published(
    name="CVA6 running MNIST",
    address="github.com/riscmakers/cva6-softcore-contest at 05af657, fpga/results/latest/post_impl",
    part="xc7z020",
    core_v=1.0,
    mhz=1000 / 22.2,
    clocks_w=0.024,
    registers=20559,
    registers_w=None,
    luts=22449,
    lut_w=0.012,
    nets=38799,
    signals_w=0.016,
    bram18=124,
    bram_w=0.005,
    saif=True,
)
AES = Published(
    name="AES",
    address=f"github.com/theCow61/AES-Accelerator at d143333, {IMPL}",
    part="xc7z020",
    core_v=1.0,
    mhz=1000 / 7.0,
    clocks_w=0.043,
    registers=8874,
    registers_w=0.002,
    luts=10152,
    lut_w=0.181,
    nets=13134,
    signals_w=0.227,
    bram18=18,
)
PIYAN = Published(
    name="piyan-FPGA",
    address=f"github.com/hsiang0103/piyan-FPGA at eb28498, {IMPL}",
    part="xc7z020",
    core_v=1.0,
    mhz=1000 / 20.0,
    clocks_w=0.032,
    registers=36708,
    registers_w=None,
    luts=21834,
    lut_w=0.012,
    nets=56381,
    signals_w=0.022,
)
CONV_64 = Published(
    name="conv-64",
    address=f"github.com/JustABear1210/conv-64 at b76680d, {IMPL}",
    part="xc7z020",
    core_v=1.0,
    mhz=1000 / 20.0,
    clocks_w=0.014,
    registers=8563,
    registers_w=None,
    luts=7507,
    lut_w=0.002,
    nets=17098,
    signals_w=0.002,
    bram18=4,
    bram_w=0.003,
    dsps=148,
)
# Synthesised, not routed: nets are guessed. Its 26,112 LUTs of RAM are on the clock too.
NTT = Published(
    name="MDC-NTT",
    address="github.com/mzybest/MDC-NTT at ad80c47, reports/power.rpt",
    part="xc7a200t",
    core_v=1.0,
    mhz=1000 / 10.0,
    clocks_w=0.191,
    registers=21221,
    registers_w=0.022,
    luts=65261,
    lut_w=0.737,
    nets=129040,
    signals_w=0.788,
    bram18=20,
    bram_w=0.046,
    dsps=596,
    dsp_w=0.462,
)
KV260 = Published(
    name="ELEN90096",
    address="github.com/Risamp/ELEN90096-Group-2 at 0be8b21, first_deployment",
    part="xck26",
    core_v=0.72,
    mhz=1000 / 10.0,
    clocks_w=0.016,
    registers=9066,
    registers_w=0.001,
    luts=5979,
    lut_w=0.009,
    nets=14883,
    signals_w=0.017,
    bram18=129,
    bram_w=0.025,
    dsps=7,
    dsp_w=0.002,
)
# The text gives 180 MHz for the kernels; the shell's faster clocks are not printed. 0.85 V: recalled, not checked.
U50_REGEX = Published(
    name="CSRE on U50",
    address="github.com/cyansemi/csre-demo-v1 at f92ad3f, README.md",
    part="xcu50",
    core_v=0.85,
    mhz=180.0,
    clocks_w=2.464,
    registers=665852,
    registers_w=0.137,
    luts=475034,
    lut_w=1.264,
    nets=1062891,
    signals_w=3.132,
    bram18=825,
    bram_w=1.532,
    dsps=4,
)
SERIES7 = (BINARY_CNN, CVA6_MNIST, AES, PIYAN, CONV_64, NTT)
