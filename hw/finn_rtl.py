"""Collect the RTL of FINN's nodes in one folder that can be moved: sources patched, memory files by bare name.

FINN's library files are read from the installed package. Two of them need a change before Verilator takes
them; PATCHES has the changes, none of which alters what Vivado makes of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .finn_env import FinnError, finn_version

OWN = Path(__file__).resolve().parent
# A quoted memory file; names that $sformatf completes have a %.
_MEMORY = re.compile(r'"([^"\n%]+\.(?:mem|dat))"')
_HEADERS = (".vh", ".svh")
# Models for simulation alone, which FINN lists beside what it builds; nothing instantiates them here.
_UNUSED = ("fifo/hdl/fifo_gauge.sv",)


class RtlError(RuntimeError):
    """RTL that cannot be collected or connected; one line that names the node and what differs."""


@dataclass(frozen=True)
class Collected:
    """Copied files: sources in compile order, folders of headers, memory files (name -> text)."""

    sources: tuple[Path, ...]
    includes: tuple[Path, ...]
    files: dict[str, str]


def pack_fifo_geometry(text: str) -> str:
    """Make fifo.sv's address split a packed struct: Verilator has no unpacked ones in constant functions."""
    return re.sub(r"typedef struct(?= \{\s*int unsigned  lo;)", "typedef struct packed", text, count=1)


def hoist_leaf_loads(text: str) -> str:
    """Move add_multi.sv's constant function out of its generate block, where IEEE 1800 13.4.3 forbids it."""
    function = re.search(r"\ttypedef int unsigned  leaf_load_t.*?endfunction : init_leaf_loads\n", text, re.DOTALL)
    anchor = re.search(r"^\tuwire \[SUM_WIDTH-1:0\]  sum0;\n", text, re.MULTILINE)
    if function is None or anchor is None or function.start() < anchor.end():
        return text
    parts = text[: anchor.start()], function[0], text[anchor.start() : function.start()], text[function.end() :]
    return "".join(parts)


# File of FINN's library -> what is done to it.
PATCHES: dict[str, Callable[[str], str]] = {
    "fifo/hdl/fifo.sv": pack_fifo_geometry,
    "mvu/add_multi.sv": hoist_leaf_loads,
}


def library() -> Path:
    """Return the folder of FINN's RTL library."""
    from finn.util.settings import get_settings

    return Path(get_settings().finn_rtllib).resolve()


def node_sources(node: Any) -> list[Path]:
    """Return the RTL files of a FINN node after PrepareIP, the weight streamer of an MVAU_rtl among them."""
    sources = [Path(p) for p in node.get_rtl_file_list(abspath=True)]
    if has_weight_streamer(node):
        folder = Path(node.get_nodeattr("code_gen_dir_ipgen"))
        sources.append(folder / f"{weight_streamer(node)}.v")
        sources += [library() / "memstream" / "hdl" / name for name in ("memstream_axi.sv", "memstream.sv")]
        sources.append(library() / "axi" / "hdl" / "axilite.sv")
    return sources


def has_weight_streamer(node: Any) -> bool:
    """Return whether a module beside the node's own feeds it the weights."""
    return node.onnx_node.op_type == "MVAU_rtl" and node.get_nodeattr("mem_mode") == "internal_decoupled"


def weight_streamer(node: Any) -> str:
    """Return the module that feeds an MVAU_rtl its weights."""
    return f"{node.get_nodeattr('gen_top_module')}_memstream_wrapper"


def collect(nodes: Mapping[str, Sequence[Path]], folder: Path) -> Collected:
    """Copy the sources of ``nodes`` (top module -> files) and the memory files they name to ``folder``.

    Packages come first. A memory file's name starts with its node's, so that all may lie in one folder. Raises
    RtlError for a missing file or two of one name, FinnError for a patch that no longer fits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, str] = {}
    origins: dict[str, Path] = {}
    files: dict[str, str] = {}
    for node, sources in nodes.items():
        for source in sources:
            if any(source.resolve() == library() / name for name in _UNUSED):
                continue
            if not source.is_file():
                raise RtlError(f"{node}: {source}: no such file; run PrepareIP again")
            name, text = _own_name(source), source.read_text()
            text = _patched(source, text) if _is_library(source) else _with_bare_memories(node, source, text, files)
            if texts.setdefault(name, text) != text:
                raise RtlError(f"{node}: {source} and {origins[name]} differ, and one folder holds one {name}")
            origins.setdefault(name, source)
    for name, text in (*texts.items(), *files.items()):
        (folder / name).write_text(text)
    compiled = [name for name in texts if not name.endswith(_HEADERS)]
    ordered = sorted(compiled, key=lambda name: not name.endswith("_pkg.sv"))
    includes = (folder,) if len(compiled) < len(texts) else ()
    return Collected(tuple(folder / name for name in ordered), includes, files)


def _is_library(source: Path) -> bool:
    return source.resolve().is_relative_to(OWN) or source.resolve().is_relative_to(library())


def _own_name(source: Path) -> str:
    # Ours and FINN's libraries both have a fifo.sv.
    own = source.resolve().is_relative_to(OWN) and not source.name.startswith("sc_")
    return f"sc_{source.name}" if own else source.name


def _patched(source: Path, text: str) -> str:
    for name, patch in PATCHES.items():
        if source.resolve() == library() / name:
            done = patch(text)
            if done == text:
                raise FinnError(
                    f"{name}: {patch.__name__} finds nothing to change in finn-plus {finn_version()}; "
                    "install the version in constraints, or adapt hw/finn_rtl.py"
                )
            return done
    return text


def _with_bare_memories(node: str, source: Path, text: str, files: dict[str, str]) -> str:
    """Return ``text`` with memory files by bare name, and add them to ``files``."""

    def bare(match: re.Match[str]) -> str:
        path = source.parent / match[1]
        if not path.is_file():
            raise RtlError(f"{node}: {source.name} reads {path}: no such file; run PrepareIP again")
        # Vivado knows memory files by .mem, which FINN's .dat are too.
        name = f"{path.stem}.mem" if path.stem.startswith(node) else f"{node}_{path.stem}.mem"
        content = path.read_text()
        if files.setdefault(name, content) != content:
            raise RtlError(f"{node}: {path}: another memory file is called {name} too; give the nodes unique names")
        return f'"{name}"'

    return _MEMORY.sub(bare, text)
