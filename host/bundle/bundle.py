"""Open a bundle: everything in it is verified before anything is loaded."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.labelset import LabelError, LabelSet, read_labels
from spikeclip_fpga.quantize.network import IntNetwork, NetworkError

from .manifest import MANIFEST, REMEDY, BundleError, read_manifest, short

_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle: its manifest (the JSON, see manifest.FIELDS), integer network and labels."""

    folder: Path
    manifest: dict[str, Any]
    network: IntNetwork
    labels: LabelSet

    @property
    def name(self) -> str:
        """Return its name, such as tiny-w4-pynq-z2."""
        return str(self.manifest["name"])

    @property
    def board(self) -> str:
        """Return the board it is for."""
        return str(self.manifest["board"])

    @property
    def network_file(self) -> Path:
        """Return the path of the integer network."""
        return self.folder / self.manifest["network"]

    @property
    def network_digest(self) -> bytes:
        """Return the SHA-256 of the integer network's file, 32 bytes: what the hardware's ID block must show."""
        return bytes.fromhex(self.manifest["files"][self.manifest["network"]]["sha256"])

    @property
    def clk_mhz(self) -> float:
        """Return the accelerator's clock."""
        return float(self.manifest["clk_mhz"])

    @property
    def cycles_per_frame(self) -> int:
        """Return the simulated cycles between two frames of a batch."""
        return int(self.manifest["timing"]["cycles_per_frame"])

    @property
    def latency_cycles(self) -> int:
        """Return the simulated cycles from a frame's first pixel to its last embedding element."""
        return int(self.manifest["timing"]["latency_cycles"])

    @property
    def built(self) -> bool:
        """Return whether it holds a bitstream made by place and route."""
        return bool(self.manifest["overlay"]["built"])

    @property
    def bit(self) -> Path | None:
        """Return the path of the .bit file, if there is one."""
        return self._overlay_file("bit")

    @property
    def hwh(self) -> Path | None:
        """Return the path of the .hwh file, if there is one."""
        return self._overlay_file("hwh")

    @property
    def xclbin(self) -> Path | None:
        """Return the path of the .xclbin file, if there is one."""
        return self._overlay_file("xclbin")

    def seconds(self, frames: int) -> float:
        """Return the simulated time of a batch at the accelerator's clock, transfers not counted."""
        cycles = self.latency_cycles + (frames - 1) * self.cycles_per_frame if frames > 0 else 0
        return cycles / (self.clk_mhz * 1e6)

    def summary(self) -> str:
        """Return in one line what it is."""
        overlay = "bitstream built" if self.built else "no bitstream built: emulation only"
        return (
            f"{self.name} for {self.board} ({self.manifest['part']}, {self.clk_mhz:g} MHz), "
            f"{len(self.labels)} labels ({self.labels.tower}), {overlay}"
        )

    def _overlay_file(self, key: str) -> Path | None:
        name = self.manifest["overlay"][key]
        return None if name is None else self.folder / name


def open_bundle(folder: Path, *, board: str | None = None) -> Bundle:
    """Return the bundle in ``folder`` after verifying all of it; ``board``: the board it must be for.

    Raises BundleError, in one line, for: no or no readable manifest, a newer schema, another board, a file that is
    missing, changed, not listed or a link, a path out of the bundle, and contents that do not fit each other.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such folder; give a bundle's folder, such as bitstreams/<name>")
    content = read_manifest(folder)
    if board is not None and content["board"] != board:
        raise BundleError(
            f"{folder}: made for board {content['board']}, expected {board}; take the bundle of that board"
        )
    _verify_files(folder, content["files"])
    try:
        net = network.load(folder / content["network"])
        labels = read_labels(folder / content["labels"])
    except (NetworkError, LabelError) as error:
        raise BundleError(" ".join(str(error).split())) from error
    _verify_fit(folder, content, net, labels)
    return Bundle(folder, content, net, labels)


def file_entry(path: Path) -> dict[str, Any]:
    """Return a file's ``sha256`` (hexadecimal) and ``bytes``, as they stand in a manifest."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return {"sha256": digest.hexdigest(), "bytes": size}


def _plain_files(folder: Path, inside: str = "") -> list[str]:
    """Return the relative paths of all files below ``folder``; raise BundleError for links and devices."""
    found = []
    with os.scandir(folder / inside) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            name = f"{inside}{entry.name}"
            if entry.is_symlink():
                raise BundleError(f"{folder / name}: a link; a bundle holds plain files only; {REMEDY}")
            if entry.is_dir(follow_symlinks=False):
                found += _plain_files(folder, f"{name}/")
            elif entry.is_file(follow_symlinks=False):
                found.append(name)
            else:
                raise BundleError(f"{folder / name}: not a plain file; a bundle holds plain files only; {REMEDY}")
    return found


def _verify_files(folder: Path, listed: dict[str, dict[str, Any]]) -> None:
    try:
        present = set(_plain_files(folder)) - {MANIFEST}
        for name in listed:
            if name not in present:
                raise BundleError(f"{folder / name}: missing, but listed in the manifest; {REMEDY}")
        for name in sorted(present - set(listed)):
            raise BundleError(f"{folder / name}: not listed in the manifest; remove it, or pack the bundle anew")
        for name, expected in listed.items():
            size = (folder / name).stat().st_size
            if size != expected["bytes"]:
                raise BundleError(f"{folder / name}: {size:,} bytes, expected {expected['bytes']:,}; {REMEDY}")
            found = file_entry(folder / name)["sha256"]
            if found != expected["sha256"]:
                raise BundleError(
                    f"{folder / name}: SHA-256 {found[:12]}…, expected {expected['sha256'][:12]}…: "
                    f"changed or damaged; {REMEDY}"
                )
    except OSError as error:
        raise BundleError(f"{error.filename}: cannot be read ({error.strerror}); {REMEDY}") from error


def _verify_fit(folder: Path, content: dict[str, Any], net: IntNetwork, labels: LabelSet) -> None:
    """Raise BundleError unless manifest, network and labels speak of the same thing."""
    where = folder / MANIFEST
    try:
        facts = network_facts(net)
        dim = net.embed_dim
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BundleError(f"{folder / content['network']}: not a usable network ({error!r}); {REMEDY}") from error
    said = {**content, "input": content["input"]["shape"], "xor": content["input"]["xor"]}
    said["output"] = content["output"]["shape"]
    for key, found in facts.items():
        if said[key] != found:
            raise BundleError(f"{where}: {key}: not the network's {short(found)}, but {short(said[key])}; {REMEDY}")
    if labels.dim != dim:
        raise BundleError(
            f"{labels.source}: label embeddings of {labels.dim} dimensions, expected the network's {dim}; "
            "pack the bundle with labels of the text tower the network was trained against"
        )


def network_facts(net: IntNetwork) -> dict[str, Any]:
    """Return what a manifest repeats of its network: preset, config, bits, shapes, pixel xor, embedding_scale.

    Raises KeyError, TypeError or ValueError for a network without them.
    """
    config, bits = json.loads(net.meta["config"]), json.loads(net.meta["bits"])
    size = config["image_size"]
    return {
        "preset": config["preset"],
        "config": config,
        "bits": bits,
        "input": [size, size, config["in_channels"]],
        "xor": int(net.meta["pixel_zero"]),
        "output": [net.embed_dim],
        "embedding_scale": float(net.meta["embedding_scale"]),
    }
