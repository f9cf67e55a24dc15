"""This project's operators for QONNX graphs; the package's import path is their ONNX domain.

A class ``<Operator>_v<version>`` is that version of the operator (QONNX's convention).
"""

from .lif import LIF as LIF_v1

__all__ = ["LIF_v1"]
