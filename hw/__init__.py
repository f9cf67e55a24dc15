"""From the integer graph to hardware: operators in SystemVerilog, simulated and proven equal to golden."""
