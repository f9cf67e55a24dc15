"""Import this module to make our operators known to FINN."""

from .align.node import Align
from .fork.node import Fork
from .lif.node import LIF
from .readout.node import Readout
from .residual_add.node import ResidualAdd
from .spike_attention.node import SpikeAttention
from .spike_mvau.node import SpikeMVAU
from .spike_pool.node import SpikePool

__all__ = ["LIF", "Align", "Fork", "Readout", "ResidualAdd", "SpikeAttention", "SpikeMVAU", "SpikePool"]
