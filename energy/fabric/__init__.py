"""What the FPGA's fabric would take for one inference: switching activity from simulation, priced; not measured."""
