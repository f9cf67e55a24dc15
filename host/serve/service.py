"""What the page asks for, without HTTP: classify one image against a list of labels, one image at a time."""

from __future__ import annotations

import base64
import io
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spikeclip_fpga.quantize.labelset import LabelSet

from ..accelerator import Accelerator
from ..bundle import Bundle
from ..classify import cosine_scores
from ..images import ImageError, read_rgb, resized
from ..kinds import BackendKind
from ..power.report import EnergyReport

# A phone's picture has 2 to 6 MB and 12 million pixels; a PYNQ-Z2 has 512 MB for everything.
MAX_BYTES = 12 << 20
MAX_PIXELS = 25_000_000
MAX_LABELS = 100
MAX_LABEL_LENGTH = 100
TOP = 5
MEDIA_TYPES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/bmp": "BMP", "image/webp": "WEBP"}
_REMEMBERED = 1000
_BUSY_S = 30.0

Embed = Callable[[Sequence[str]], np.ndarray]


class RequestError(RuntimeError):
    """A request that cannot be answered: its HTTP status, and one line for the person."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Service:
    """Classify images of any size with one accelerator; safe to call from many threads.

    embed_labels: (K,) texts -> (K, E) float32 unit vectors, by the text tower of the bundle's labels; without it
    only the bundle's labels can be used, and ``no_tower`` says why. energy: a measurement of this bundle.
    """

    def __init__(
        self,
        bundle: Bundle,
        accelerator: Accelerator,
        kind: BackendKind,
        *,
        embed_labels: Embed | None = None,
        no_tower: str = "no text tower on this machine",
        energy: EnergyReport | None = None,
    ) -> None:
        bundle.labels.require_dim(accelerator.embed_dim)
        self._bundle, self._accelerator, self._kind = bundle, accelerator, kind
        self._embed_labels, self._no_tower, self._energy = embed_labels, no_tower, energy
        # One image is unpacked at a time: 25 million pixels take 75 MB, more than once.
        self._decoder, self._device, self._tower = threading.Lock(), threading.Lock(), threading.Lock()
        self._vectors: OrderedDict[str, np.ndarray] = OrderedDict()

    def state(self) -> dict[str, Any]:
        """Return what the page shows before any image."""
        bundle = self._bundle
        return {
            "bundle": bundle.name,
            "board": bundle.board,
            "built": bundle.built,
            "backend": {"name": self._accelerator.name, "kind": self._kind.kind, "text": self._kind.text},
            "emulated": self._kind.emulated,
            "labels": list(bundle.labels.names),
            "other_labels": {"possible": self._embed_labels is not None, "reason": self._no_tower},
            "accelerator": {
                "clk_mhz": bundle.clk_mhz,
                "latency_us": 1e6 * bundle.seconds(1),
                "source": bundle.manifest["timing"]["source"],
            },
            "energy": None if self._energy is None else _energy(self._energy),
            "limits": {"bytes": MAX_BYTES, "labels": MAX_LABELS, "label_length": MAX_LABEL_LENGTH},
            "media_types": list(MEDIA_TYPES),
        }

    def classify(self, body: bytes, media_type: str, names: Sequence[str]) -> dict[str, Any]:
        """Return the best labels, what the network saw, and milliseconds; no names: the bundle's labels.

        Raises RequestError for an image or labels that cannot be used, or when the accelerator stays busy.
        """
        begin = time.perf_counter()
        with self._decoder:
            image = _decode(body, media_type)
        decoded = time.perf_counter()
        labels = self.labels(names)
        waiting = time.perf_counter()
        if not self._device.acquire(timeout=_BUSY_S):
            raise RequestError(503, f"the accelerator was busy for {_BUSY_S:.0f} s; try again")
        try:
            start = time.perf_counter()
            embedding = self._accelerator.embed(image[None])
            end = time.perf_counter()
        finally:
            self._device.release()
        scores = cosine_scores(embedding, labels)[0]
        best = np.argsort(-scores, kind="stable")[:TOP]
        return {
            "top": [{"label": labels.names[k], "score": round(float(scores[k]), 6)} for k in best],
            "seen": _data_url(image),
            "latency_ms": {
                "decode": 1e3 * (decoded - begin),
                "labels": 1e3 * (waiting - decoded),
                "wait": 1e3 * (start - waiting),
                "accelerator": 1e3 * (end - start),
                "total": 1e3 * (time.perf_counter() - begin),
            },
        }

    def labels(self, names: Sequence[str]) -> LabelSet:
        """Return the embedded labels of ``names``, each once; none: the bundle's. Raises RequestError."""
        known = self._bundle.labels
        wanted = list(dict.fromkeys(" ".join(name.split()) for name in names))
        wanted = [name for name in wanted if name]
        if not wanted:
            return known
        if len(wanted) > MAX_LABELS:
            raise RequestError(400, f"labels: expected at most {MAX_LABELS}, got {len(wanted)}")
        for name in wanted:
            if len(name) > MAX_LABEL_LENGTH or not name.isprintable():
                raise RequestError(
                    400, f"label {name[:20]!r}…: expected at most {MAX_LABEL_LENGTH} printable characters"
                )
        vectors = {name: known.embeddings[i] for i, name in enumerate(known.names)}
        others = [name for name in wanted if name not in vectors]
        if others:
            vectors |= self._embed(others)
        rows = np.stack([vectors[name] for name in wanted])
        return LabelSet(rows, tuple(wanted), known.templates, known.tower, known.normalisation)

    def _embed(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        if self._embed_labels is None:
            raise RequestError(400, f"label {names[0]!r}: not among the bundle's, and {self._no_tower}")
        with self._tower:
            fresh = [name for name in names if name not in self._vectors]
            if fresh:
                made = np.asarray(self._embed_labels(fresh), dtype=np.float32)
                if made.shape != (len(fresh), self._bundle.labels.dim):
                    expected = (len(fresh), self._bundle.labels.dim)
                    raise RequestError(500, f"text tower: expected embeddings {expected}, got {made.shape}")
                self._vectors |= dict(zip(fresh, made, strict=True))
            found = {name: self._vectors[name] for name in names}
            while len(self._vectors) > _REMEMBERED:
                self._vectors.popitem(last=False)
        return found


def _decode(body: bytes, media_type: str) -> np.ndarray:
    """Return (32, 32, 3) uint8; raise RequestError unless the body is an image of the kind it claims to be."""
    claimed = media_type.partition(";")[0].strip().lower()
    if claimed not in MEDIA_TYPES:
        raise RequestError(415, f"content type {claimed[:60]!r}: expected one of {', '.join(MEDIA_TYPES)}")
    try:
        image, found = read_rgb(io.BytesIO(body), "the image", MAX_PIXELS)
    except ImageError as error:
        raise RequestError(422, " ".join(str(error).split())) from error
    if found != MEDIA_TYPES[claimed]:
        raise RequestError(415, f"the image: content type {claimed}, but it is {found}; send it as what it is")
    return resized(image)


def _energy(report: EnergyReport) -> dict[str, Any]:
    """Return what the page says of a measurement: millijoules an image with interval, and who measured what when."""
    total = report.energy_total_mj
    return {
        "value_mj": total.value,
        "low95_mj": total.low95,
        "high95_mj": total.high95,
        "sensor": report.sensor.name,
        "boundary": report.sensor.boundary,
        "created": report.created,
    }


def _data_url(image: np.ndarray) -> str:
    """Return an image as a PNG in a data: URL."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
