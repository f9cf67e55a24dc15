"""Fork: copies of a stream, fork.sv."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..operator import OPS, Array, Operator, Resources, require_between


@dataclass(frozen=True)
class Fork(Operator):
    """A stream of ``width`` bits copied to ``outputs`` streams, out0, out1 and so on. Raises ParameterError.

    sc_fork has its outputs side by side in vectors; :meth:`wrapper` gives each one ports of its own.
    """

    outputs: int
    width: int

    top: ClassVar[str] = "sc_fork"
    sources: ClassVar = (OPS / "fork" / "fork.sv",)

    def __post_init__(self) -> None:
        require_between("fork", 2, 16, outputs=self.outputs)
        require_between("fork", 1, 8192, width=self.width)

    def parameters(self) -> dict[str, int | str]:
        """Return the RTL parameters."""
        return {"OUTPUTS": self.outputs, "WIDTH": self.width}

    def wrapper(self, name: str) -> str:
        """Return SystemVerilog of module ``name`` around sc_fork, with the ports of streams in, out0, out1 ..."""
        indices = range(self.outputs)
        ports = [
            f"  output logic out{i}_valid_o,\n  input  logic out{i}_ready_i,\n"
            f"  output logic [{self.width - 1}:0] out{i}_data_o"
            for i in indices
        ]

        def side_by_side(signal: str) -> str:
            return "{" + ", ".join(f"out{i}_{signal}" for i in reversed(indices)) + "}"

        return (
            f"module {name} (\n  input  logic clk_i,\n  input  logic rst_ni,\n  input  logic in_valid_i,\n"
            f"  output logic in_ready_o,\n  input  logic [{self.width - 1}:0] in_data_i,\n"
            + ",\n".join(ports)
            + f"\n);\n  sc_fork #(\n    .OUTPUTS({self.outputs}),\n    .WIDTH({self.width})\n  ) u_fork (\n"
            "    .clk_i,\n    .rst_ni,\n    .in_valid_i,\n    .in_ready_o,\n    .in_data_i,\n"
            f"    .out_valid_o({side_by_side('valid_o')}),\n    .out_ready_i({side_by_side('ready_i')}),\n"
            f"    .out_data_o({side_by_side('data_o')})\n  );\nendmodule\n"
        )

    def input_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {"in": self.width}

    def output_widths(self) -> dict[str, int]:
        """Return stream -> bits of its data."""
        return {f"out{i}": self.width for i in range(self.outputs)}

    def initiation_interval(self) -> int:
        """Return the cycles per beat."""
        return 1

    def latency(self) -> int:
        """Return the cycles from a beat to its copies."""
        return 1

    def resources(self, family: str = "xc7") -> Resources:
        """Return the LUTs of the handshakes and the registers of data and valids."""
        return Resources(2 * self.outputs - 1, self.width + self.outputs)

    def golden(self, stream: Array) -> dict[str, Array]:
        """Return the output streams of beats (n, words)."""
        return dict.fromkeys(self.output_widths(), stream)
