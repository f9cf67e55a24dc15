"""The twin: a process that speaks PYNQ 4's remote-device protocol, with the accelerator behind emulated registers.

    with Twin.for_bundle(bundle, FastAccelerator(bundle.network)) as twin:
        subprocess.run([sys.executable, "script.py", twin.overlay], env={**os.environ, **twin.environment})

The unmodified pynq client, told only PYNQ_REMOTE_DEVICES, loads the overlay, allocates buffers and runs the DMA.
Nothing here is a measurement of hardware; times are those of the simulation that the bundle's manifest names.
"""

from .board import TwinError
from .faults import Fault
from .server import PORT, Twin

__all__ = ["PORT", "Fault", "Twin", "TwinError"]
