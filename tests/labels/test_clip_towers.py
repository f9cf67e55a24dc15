"""CLIP's towers on a tiny random CLIP, made and saved here; no weights are fetched."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spikeclip_fpga.model.clip_tower import image_tower, to_clip_input
from spikeclip_fpga.model.text_tower import TowerError, text_tower

SENTENCES = ["a cat", "a dog", "a photo of a very small cat"]
MEAN, STD = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as CLIP is published: config, safetensors, tokenizer and preprocessor files."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("clip")
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [*letters, *(f"{c}</w>" for c in letters), "ca", "cat</w>", "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\nc a\nca t</w>\n")
    common = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    last = len(tokens) - 1
    config = transformers.CLIPConfig(
        text_config=common
        | {"vocab_size": len(tokens), "max_position_embeddings": 12, "bos_token_id": last - 1, "eos_token_id": last},
        vision_config=common | {"image_size": 48, "patch_size": 16},
        projection_dim=24,
    )
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder, safe_serialization=True)
    settings = {"image_mean": MEAN, "image_std": STD, "size": {"shortest_edge": 48}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of ``made`` that a test may damage."""
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def pictures(count: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (count, 32, 32, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_clip_text_matches_transformers_and_ignores_padding(made: Path) -> None:
    from transformers import CLIPModel, CLIPTokenizer

    tower = text_tower("clip", made)
    vectors = tower.embed(SENTENCES)
    assert (tower.name, vectors.shape, vectors.dtype) == ("clip", (3, 24), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for sentence, vector in zip(SENTENCES, vectors, strict=True):
        np.testing.assert_allclose(tower.embed([sentence])[0], vector, atol=1e-6)
    model, tokenizer = CLIPModel.from_pretrained(made).eval(), CLIPTokenizer.from_pretrained(made)
    tokens = tokenizer(SENTENCES[0], return_tensors="pt")
    assert tokens["input_ids"].tolist() == [[54, 26, 53, 55]]  # start, a</w>, cat</w>, end
    with torch.no_grad():
        pooled = model.text_model(**tokens).pooler_output
        expected = torch.nn.functional.normalize(model.text_projection(pooled), dim=-1)[0]
    np.testing.assert_allclose(vectors[0], expected.numpy(), atol=1e-6)


def test_clip_text_cuts_long_sentences_and_takes_many(made: Path) -> None:
    tower = text_tower("clip", made)
    assert np.isfinite(tower.embed(["cat " * 500])).all()
    many = tower.embed(SENTENCES * 100)
    np.testing.assert_allclose(many[-3:], many[:3], atol=1e-6)


def test_clip_image_tower_is_a_teacher(made: Path) -> None:
    from transformers import CLIPModel

    teacher = image_tower("clip", made)
    vectors = teacher.embed(pictures())
    assert (teacher.embed_dim, vectors.shape, vectors.dtype) == (24, (3, 24), torch.float32)
    assert teacher.logit_scale == pytest.approx(1 / 0.07, rel=1e-3)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert not vectors.requires_grad
    model = CLIPModel.from_pretrained(made).eval()
    with torch.no_grad():
        pooled = model.vision_model(pixel_values=to_clip_input(pictures(), (48, 48), MEAN, STD)).pooler_output
        expected = torch.nn.functional.normalize(model.visual_projection(pooled), dim=-1)
    torch.testing.assert_close(vectors, expected)


def test_clip_input_is_resized_as_pillow_does_and_normalised() -> None:
    from PIL import Image

    images = pictures(2)
    found = to_clip_input(images, (224, 224), [0.0] * 3, [1 / 255] * 3).permute(0, 2, 3, 1)
    for image, result in zip(images, found, strict=True):
        expected = Image.fromarray(image.numpy()).resize((224, 224), Image.Resampling.BICUBIC)
        wrong_by = (result - torch.from_numpy(np.asarray(expected).astype(np.float32))).abs()
        assert wrong_by.max() < 4  # of 255, where the two round differently twice
        assert wrong_by.mean() < 0.1
    plain = to_clip_input(torch.full((1, 32, 32, 3), 255, dtype=torch.uint8), (32, 32), MEAN, STD)
    torch.testing.assert_close(plain[0, :, 0, 0], (1 - torch.tensor(MEAN)) / torch.tensor(STD))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "merges.txt"])
def test_a_missing_text_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(TowerError, match=rf"no .*{file}.* in it"):
        text_tower("clip", folder)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_missing_image_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(TowerError, match=rf"no .*{file}.* in it"):
        image_tower("clip", folder)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "vocab.json"])
def test_a_truncated_file_is_one_line_naming_the_folder(folder: Path, file: str) -> None:
    (folder / file).write_bytes((folder / file).read_bytes()[:40])
    with pytest.raises(TowerError) as caught:
        text_tower("clip", folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_absent_weights_are_refused_not_made_up(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["text_projection.weight"], tensors["visual_projection.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for tower in (text_tower, image_tower):
        with pytest.raises(TowerError, match=r"lacks 2 weights, first text_projection.weight"):
            tower("clip", folder)


def test_weights_in_pickles_are_not_read(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(TowerError, match=r"safetensors"):
        text_tower("clip", folder)


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"image_mean": [1, 2], "image_std": [1, 1, 1]}'])
def test_an_unusable_preprocessor_is_named(folder: Path, content: str) -> None:
    (folder / "preprocessor_config.json").write_text(content)
    with pytest.raises(TowerError, match=r"preprocessor_config.json: no usable image_mean"):
        image_tower("clip", folder)


def test_image_settings_may_be_in_the_processors_file(folder: Path) -> None:
    before = image_tower("clip", folder).embed(pictures())
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    (folder / "preprocessor_config.json").unlink()
    torch.testing.assert_close(image_tower("clip", folder).embed(pictures()), before)


def test_unknown_names_and_absent_folders(tmp_path: Path) -> None:
    for name in ("bert", "open_clip", "open_clip:", "clip:x"):
        with pytest.raises(TowerError, match=f"expected .*got '{name}'"):
            text_tower(name, tmp_path)
        with pytest.raises(TowerError, match=f"expected .*got '{name}'"):
            image_tower(name, tmp_path)
    with pytest.raises(TowerError, match=r"text tower clip: its weights are not shipped"):
        text_tower("clip")
    with pytest.raises(TowerError, match=r"none: no such folder"):
        text_tower("clip", tmp_path / "none")
