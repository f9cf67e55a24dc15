"""Pack a bundle: from a build's folder to bitstreams/<name>, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from spikeclip_fpga.quantize import network
from spikeclip_fpga.quantize.labelset import read_labels

from .bundle import Bundle, file_entry, network_facts, open_bundle
from .manifest import FORMAT, MANIFEST, SCHEMA, BundleError

NETWORK, LABELS, LICENSE = "network.int.safetensors", "labels.npz", "LICENSE"
STREAMS = "streams.json"
REPORTS = ("build.json", "build.txt")
TIMING_SOURCE = "Verilator"
_PIXEL_ZERO = 128


@dataclass(frozen=True)
class Overlay:
    """What place and route made, where it ran: .bit with its .hwh (Zynq) or .xclbin (Alveo).

    The .hwh alone describes the design to the emulated board. dma, id: their names in the block design.
    """

    bit: Path | None = None
    hwh: Path | None = None
    xclbin: Path | None = None
    dma: str = "axi_dma_0"
    id: str = "spikeclip_id"

    @property
    def built(self) -> bool:
        """Return whether there is a bitstream."""
        return self.bit is not None or self.xclbin is not None


def pack_bundle(
    build: Path,
    out: Path,
    *,
    network_file: Path,
    labels_file: Path,
    git_commit: str,
    created: date,
    tool_versions: Mapping[str, str],
    overlay: Overlay | None = None,
    license_file: Path | None = None,
    replace: bool = False,
) -> Bundle:
    """Write the bundle of ``spikeclip build``'s folder ``build`` to ``out`` and return it, verified.

    The same arguments give the same bytes. ``out`` appears whole or not at all; an existing bundle there is
    replaced only with ``replace``, and anything else there never. Raises BundleError, NetworkError or LabelError.
    """
    overlay = overlay or Overlay()
    _require_overlay(overlay)
    report = read_build(build)
    sources = {NETWORK: network_file, LABELS: labels_file, **{name: build / "report" / name for name in REPORTS}}
    sources |= {f"accelerator.{kind}": path for kind in ("bit", "hwh", "xclbin") if (path := getattr(overlay, kind))}
    if overlay.xclbin is not None:  # FINN's DMA writes beats as they are: the host must know what is in one
        sources[STREAMS] = build / "rtl" / STREAMS
    if license_file is not None:
        sources[LICENSE] = license_file
    for path in sources.values():
        if not path.is_file():
            raise BundleError(f"{path}: no such file; give the folder that `spikeclip build` wrote, and its inputs")
    content = _manifest(out.name, report, network_file, overlay, license_file is not None)
    content |= {"created": created.isoformat(), "git_commit": git_commit, "tool_versions": dict(tool_versions)}
    read_labels(labels_file).require_dim(content["output"]["shape"][0])
    _require_replaceable(out, replace)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        partial.mkdir()
        for name, path in sources.items():
            shutil.copyfile(path, partial / name)
        content["files"] = {name: file_entry(partial / name) for name in sorted(sources)}
        _require_built_network(report, content["files"][NETWORK]["sha256"], network_file)
        (partial / MANIFEST).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        open_bundle(partial)
        _put(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return open_bundle(out)


def default_name(build: Path, network_file: Path) -> str:
    """Return <preset>-w<bits of the hidden layers>-<board>; raises BundleError or NetworkError."""
    report = read_build(build)
    facts = _facts(network_file)
    return f"{facts['preset']}-w{facts['bits']['hidden']}-{report['board']}"


def _require_overlay(overlay: Overlay) -> None:
    if overlay.bit is not None and overlay.hwh is None:
        raise BundleError(f"{overlay.bit}: a .bit needs the .hwh that Vivado wrote with it; give both")
    if overlay.xclbin is not None and overlay.bit is not None:
        raise BundleError(f"{overlay.xclbin}: a bundle is for one board; give .bit and .hwh, or .xclbin")


def _facts(network_file: Path) -> dict[str, Any]:
    net = network.load(network_file)
    try:
        return network_facts(net)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BundleError(f"{network_file}: says no {error}; make it with `spikeclip lower`") from error


def read_build(build: Path) -> dict[str, Any]:
    """Return network, board, part, clk_mhz, cycles_per_frame, latency_cycles, network_sha256 (or None) of a build.

    Raises BundleError if its report is missing, incomplete, compared nothing, or tells of mismatches.
    """
    path = build / "report" / "build.json"
    remedy = "build with `spikeclip build`"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        values = {key: report[key] for key in ("network", "board", "part", "clk_mhz")}
        cycles = {key: int(report["rtl"][key]) for key in ("cycles_per_frame", "latency_cycles")}
        mismatches, images = dict(report["mismatches"]), int(report["rtl"]["images"])
    except FileNotFoundError as error:
        raise BundleError(f"{path}: no such file; {remedy}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: not the report of a build ({error}); {remedy}") from error
    if not mismatches or images < 1:
        raise BundleError(f"{path}: nothing was compared, so nothing is proven; {remedy}")
    for levels, count in mismatches.items():
        if count != 0:
            raise BundleError(f"{path}: {levels}: {count} elements differ; a build that is not exact is not packed")
    return {**values, **cycles, "network_sha256": report.get("network_sha256")}


def _require_built_network(report: dict[str, Any], digest: str, network_file: Path) -> None:
    built = report["network_sha256"]
    if built is not None and built != digest:
        raise BundleError(
            f"{network_file}: SHA-256 {digest[:12]}…, but {str(built)[:12]}… was built; give the network of that build"
        )


def _manifest(
    name: str, report: dict[str, Any], network_file: Path, overlay: Overlay, licensed: bool
) -> dict[str, Any]:
    facts = _facts(network_file)
    if facts["xor"] != _PIXEL_ZERO:
        raise BundleError(f"{network_file}: pixel_zero {facts['xor']}, expected {_PIXEL_ZERO}: xor needs a signed byte")
    paths = {k: f"accelerator.{k}" if getattr(overlay, k) else None for k in ("bit", "hwh", "xclbin")}
    return {
        "format": FORMAT,
        "schema": SCHEMA,
        "name": name,
        **{key: facts[key] for key in ("preset", "bits", "config", "embedding_scale")},
        **{key: report[key] for key in ("board", "part", "clk_mhz")},
        "input": {"shape": facts["input"], "dtype": "uint8", "xor": facts["xor"]},
        "output": {"shape": facts["output"], "dtype": "int32"},
        "timing": {
            **{key: report[key] for key in ("cycles_per_frame", "latency_cycles")},
            "source": TIMING_SOURCE,
        },
        "overlay": {"built": overlay.built, **paths, "dma": overlay.dma, "id": overlay.id},
        "network": NETWORK,
        "labels": LABELS,
        "reports": list(REPORTS),
        "license": LICENSE if licensed else None,
    }


def _require_replaceable(out: Path, replace: bool) -> None:
    if not os.path.lexists(out):
        return
    if out.is_symlink() or not (out / MANIFEST).is_file():
        raise BundleError(f"{out}: exists and is no bundle; give another --out")
    if not replace:
        raise BundleError(f"{out}: a bundle is there already; give --replace to replace it, or another --out")


def _put(partial: Path, out: Path) -> None:
    """Rename ``partial`` to ``out``; an old bundle there is set aside first, and put back if that fails."""
    if not out.exists():
        partial.rename(out)
        return
    old = out.with_name(f".{out.name}.{os.getpid()}.old.part")
    out.rename(old)
    try:
        partial.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old)
