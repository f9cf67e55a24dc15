"""Bundles: one folder with all that a board needs, verified before any of it is used.

bundle = open_bundle(Path("bitstreams/tiny-w4-pynq-z2"), board="pynq-z2")
pack_bundle(Path("build/tiny-pynq-z2"), Path("bitstreams/tiny-w4-pynq-z2"), ...)
"""

from .bundle import Bundle, open_bundle
from .manifest import FORMAT, MANIFEST, SCHEMA, BundleError
from .pack import Overlay, default_name, pack_bundle, read_build

__all__ = [
    "FORMAT",
    "MANIFEST",
    "SCHEMA",
    "Bundle",
    "BundleError",
    "Overlay",
    "default_name",
    "open_bundle",
    "pack_bundle",
    "read_build",
]
