"""OpenCLIP's towers on a tiny random model that open_clip knows by a config made here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spikeclip_fpga.model.clip_tower import image_tower, to_clip_input
from spikeclip_fpga.model.text_tower import TowerError, text_tower

OPEN_CLIP_NAME = "spikeclip-test-tiny"
SENTENCES = ["a cat", "a dog", "a photo of a very small cat"]


@pytest.fixture(scope="module")
def open_clip_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights of a tiny OpenCLIP model that open_clip knows by its config."""
    open_clip = pytest.importorskip("open_clip")
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("open_clip")
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 48, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    (folder / "configs").mkdir()
    (folder / "configs" / f"{OPEN_CLIP_NAME}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "configs")
    torch.manual_seed(0)
    model = open_clip.create_model(OPEN_CLIP_NAME)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    return folder


def test_open_clip_towers(open_clip_weights: Path) -> None:
    import open_clip

    pictures = torch.randint(0, 256, (3, 32, 32, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    name, file = f"open_clip:{OPEN_CLIP_NAME}", open_clip_weights / "open_clip_model.safetensors"
    tower, teacher = text_tower(name, open_clip_weights), image_tower(name, file)
    model = open_clip.create_model(OPEN_CLIP_NAME, pretrained=str(file)).eval()
    assert (tower.name, teacher.embed_dim) == (name, 24)
    assert teacher.logit_scale == pytest.approx(1 / 0.07, rel=1e-3)
    with torch.no_grad():
        text = model.encode_text(open_clip.get_tokenizer(OPEN_CLIP_NAME)(SENTENCES), normalize=True)
        settings = model.visual.preprocess_cfg
        pixels = to_clip_input(pictures, (48, 48), settings["mean"], settings["std"])
        image = model.encode_image(pixels, normalize=True)
    np.testing.assert_allclose(tower.embed(SENTENCES), text.numpy(), atol=1e-6)
    torch.testing.assert_close(teacher.embed(pictures), image)


def test_open_clip_errors_are_one_line(open_clip_weights: Path, tmp_path: Path) -> None:
    name = f"open_clip:{OPEN_CLIP_NAME}"
    with pytest.raises(TowerError, match=r"no model 'hf-hub:someone/model'"):
        text_tower("open_clip:hf-hub:someone/model", tmp_path)
    with pytest.raises(TowerError, match=r"no open_clip_model.safetensors or .* in it"):
        text_tower(name, tmp_path)
    pickled = tmp_path / "weights.pt"
    pickled.write_bytes(b"x")
    with pytest.raises(TowerError, match=r"weights.pt: not a safetensors file"):
        image_tower(name, pickled)
    cut = tmp_path / "model.safetensors"
    cut.write_bytes((open_clip_weights / "open_clip_model.safetensors").read_bytes()[:1000])
    with pytest.raises(TowerError, match=r"not the weights of") as caught:
        image_tower(name, tmp_path)
    assert "\n" not in str(caught.value)
