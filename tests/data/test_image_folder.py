from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spikeclip_fpga.host.images import ImageError, load_images
from spikeclip_fpga.host.images import decode as host_decode
from spikeclip_fpga.model.data import DataError, load
from spikeclip_fpga.model.data.decode import decode as model_decode


def save(path: Path, image: Image.Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def noise(rng: np.random.Generator, height: int = 32, width: int = 32) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_split_folders_classes_and_order(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = {name: noise(rng) for name in ("ice_cream/b.png", "ice_cream/a.png", "apple/c.bmp")}
    for name, image in pixels.items():
        save(tmp_path / "train" / name, Image.fromarray(image))
    save(tmp_path / "test" / "apple" / "t.webp", Image.fromarray(noise(rng)))
    (tmp_path / "train" / "apple" / "notes.txt").write_text("not an image")
    (tmp_path / "train" / "apple" / "._c.png").write_bytes(b"left by a file manager")
    train = load("folder", "train", tmp_path)
    assert train.class_names == ("apple", "ice cream")
    assert train.labels.tolist() == [0, 1, 1]
    assert train.split == "train"
    expected = [pixels[name] for name in ("apple/c.bmp", "ice_cream/a.png", "ice_cream/b.png")]
    np.testing.assert_array_equal(train.images, expected)
    assert len(load("folder", "test", tmp_path)) == 1
    with pytest.raises(DataError, match=r"expected a folder val, got test, train"):
        load("folder", "val", tmp_path)


def test_without_split_folders_all_images_are_every_split(tmp_path: Path, rng: np.random.Generator) -> None:
    for name in ("bus", "train"):  # a class may be named like a split
        save(tmp_path / name / "x.png", Image.fromarray(noise(rng)))
    for split in ("train", "test"):
        found = load("folder", split, tmp_path)
        assert (found.class_names, found.split) == (("bus", "train"), "all")


def test_layout_errors_are_named(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(DataError, match=r"folder: no folder given"):
        load("folder", "train")
    with pytest.raises(DataError, match=r"none: no such folder"):
        load("folder", "train", tmp_path / "none")
    with pytest.raises(DataError, match=r"no folders in it, expected one for each class"):
        load("folder", "train", tmp_path)
    save(tmp_path / "a_b" / "x.png", Image.fromarray(noise(rng)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no images in it"):
        load("folder", "train", tmp_path)
    save(tmp_path / "empty" / "x.png", Image.fromarray(noise(rng)))
    save(tmp_path / "a b" / "x.png", Image.fromarray(noise(rng)))
    with pytest.raises(DataError, match=r"two class folders are both named 'a b'"):
        load("folder", "train", tmp_path)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_both_decoders_turn_any_mode_into_the_same_rgb(tmp_path: Path, rng: np.random.Generator, mode: str) -> None:
    grey = rng.integers(0, 2**16, (50, 40), dtype=np.uint16)
    image = Image.fromarray(grey) if mode == "I;16" else Image.fromarray(noise(rng, 50, 40)).convert(mode)
    path = save(tmp_path / "x.png", image)
    found = model_decode(path)
    assert found.shape == (32, 32, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, host_decode(path))


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    path = save(tmp_path / "x.png", Image.fromarray(np.full((32, 32), 0x4321, np.uint16)))
    assert np.unique(model_decode(path)).tolist() == [0x43]


def test_a_turned_photograph_comes_upright(tmp_path: Path) -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    for decode in (model_decode, host_decode):
        np.testing.assert_array_equal(decode(tmp_path / "x.png"), pixels[::-1])


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp"])
@pytest.mark.parametrize("kept", [0, 30, 200])
def test_a_truncated_image_is_one_line_naming_it(
    tmp_path: Path, rng: np.random.Generator, suffix: str, kept: int
) -> None:
    path = save(tmp_path / "cls" / f"x.{suffix}", Image.fromarray(noise(rng)))
    path.write_bytes(path.read_bytes()[:kept])
    for error, read in (
        (DataError, lambda: load("folder", "train", tmp_path)),
        (ImageError, lambda: load_images(path)),
    ):
        with pytest.raises(error, match=rf"x\.{suffix}: not a readable image.*repair or remove it") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_other_formats_are_not_even_tried(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(ImageError, match=r"not a readable image"):
        load_images(path)


def test_load_images_takes_folders_files_and_lists(tmp_path: Path, rng: np.random.Generator) -> None:
    paths = [save(tmp_path / "in" / name, Image.fromarray(noise(rng))) for name in ("b.PNG", "a.png")]
    (tmp_path / "in" / "readme.md").write_text("no image")
    large = save(tmp_path / "large.png", Image.fromarray(noise(rng, 60, 48)))
    images, names = load_images(tmp_path / "in")
    assert names == [str(paths[1]), str(paths[0])]
    mixed, names = load_images([large, tmp_path / "in"])
    assert (mixed.shape, mixed.dtype, names[0]) == ((3, 32, 32, 3), np.uint8, str(large))
    np.testing.assert_array_equal(mixed[1:], images)
    with pytest.raises(ImageError, match=r"large.png: expected 32x32 pixels, got 48x60; resize it"):
        load_images([large], strict_size=True)
    np.testing.assert_array_equal(load_images(tmp_path / "in", strict_size=True)[0], images)


def test_nothing_to_load_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no images in it"):
        load_images(tmp_path)
    with pytest.raises(ImageError, match=r"none given"):
        load_images([])
    with pytest.raises(ImageError, match=r"absent.png: no such file"):
        load_images(tmp_path / "absent.png")
