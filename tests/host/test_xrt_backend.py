"""Backend xrt against a simulated pyxrt: its packing, unpacking, order and faults are real, the card is not."""

from __future__ import annotations

import gc
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeclip_fpga.host.accelerator import AcceleratorError, GoldenAccelerator, open_accelerator
from spikeclip_fpga.host.axi_dma import BoardError, BoardTimeoutError
from spikeclip_fpga.host.board_lock import BoardBusyError
from spikeclip_fpga.host.bundle import Bundle, BundleError, Overlay
from spikeclip_fpga.host.packed_results import PackedResults, ResultsError
from spikeclip_fpga.host.xrt_backend import XrtAccelerator
from spikeclip_fpga.quantize import network

from .bundles import NETWORK, make_build, pack
from .simulated_pyxrt import Card, State

DIM, UUID = 384, "f4c1-a"
RNG = np.random.default_rng(0)
PADDED = {"fields": 3, "bits": 18, "width": 56}


def make_bundle(folder: Path, **sink: Any) -> Bundle:
    """Pack a bundle with an image for a card, and the streams of its build."""
    build = make_build(folder / "build", board="u250", part="xcu250-figd2104-2L-e", clk_mhz=200.0)
    source = {"shape": [32, 32, 3], "fields": 3, "bits": 8, "low": -128, "high": 127, "width": 24}
    given_ = {"shape": [1, 1, DIM], "low": -(1 << 17), "high": (1 << 17) - 1, **PADDED, **sink}
    (build / "rtl").mkdir()
    content = {"format": "spikeclip-fpga/streams", "schema": 1, "source": source, "sink": given_}
    (build / "rtl/streams.json").write_text(json.dumps(content))
    image = folder / "a.xclbin"
    image.write_text(f"xclbin2 {UUID}")
    return pack(build, folder / "tiny-u250", overlay=Overlay(xclbin=image))


def to_beats(values: np.ndarray, fields: int, bits: int, beat_bytes: int) -> bytes:
    """Pack integers one by one, with rubbish in the bits that are padding: what FINN's output DMA writes."""
    out = bytearray()
    for beat in values.reshape(-1, fields):
        word = int(RNG.integers(0, 1 << 32)) << (fields * bits)
        for at, value in enumerate(beat):
            word |= (int(value) & ((1 << bits) - 1)) << (at * bits)
        out += (word & ((1 << 8 * beat_bytes) - 1)).to_bytes(beat_bytes, "little")
    return bytes(out)


@pytest.fixture(scope="module")
def golden() -> GoldenAccelerator:
    return GoldenAccelerator(network.load(NETWORK))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("xrt"))


def card_of(golden: GoldenAccelerator, fields: int, bits: int, width: int, **settings: Any) -> Card:
    def fabric(memory: np.ndarray, frames: int) -> bytes:
        signed = memory[: frames * 3072].view(np.int8).astype(np.int64).reshape(frames, 32, 32, 3)
        return to_beats(golden.embed((signed + 128).astype(np.uint8)), fields, bits, width // 8)

    return Card(fabric, **settings)


@pytest.fixture
def card(golden: GoldenAccelerator, monkeypatch: pytest.MonkeyPatch) -> Card:
    made = card_of(golden, **PADDED)
    monkeypatch.setitem(sys.modules, "pyxrt", made.module())
    return made


@pytest.fixture
def opened(bundle: Bundle, card: Card, tmp_path: Path) -> Callable[..., XrtAccelerator]:
    return lambda **settings: XrtAccelerator(bundle, lock_folder=tmp_path, **settings)


def nothing_held(card: Card) -> bool:
    gc.collect()
    return not card.open_units and card.live == 0


@pytest.mark.parametrize(("fields", "bits", "width"), [(3, 18, 56), (4, 18, 72), (1, 18, 24)])
def test_embeddings_are_golden(
    fields: int,
    bits: int,
    width: int,
    golden: GoldenAccelerator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    images: Callable[..., np.ndarray],
) -> None:
    made = card_of(golden, fields, bits, width)
    monkeypatch.setitem(sys.modules, "pyxrt", made.module())
    some = images(5)
    with XrtAccelerator(
        make_bundle(tmp_path, fields=fields, bits=bits, width=width), batch=2, lock_folder=tmp_path
    ) as accelerator:
        found = accelerator.embed(some)
        assert accelerator.embed(some[:0]).shape == (0, DIM)
        np.testing.assert_array_equal(accelerator.embed(some[3:4]), found[3:4])
    np.testing.assert_array_equal(found, golden.embed(some))
    assert found.dtype == np.int64 and made.loads == [UUID] and nothing_held(made)


def test_it_is_a_backend_that_needs_a_bundle(bundle: Bundle, card: Card) -> None:
    accelerator = open_accelerator("xrt", bundle)
    assert accelerator.name == "xrt" and accelerator.embed_dim == DIM
    accelerator.close()  # type: ignore[attr-defined]
    with pytest.raises(AcceleratorError, match="expected a bundle"):
        open_accelerator("xrt", bundle.network_file)


def test_names_of_finns_own_releases_are_found_too(
    golden: GoldenAccelerator, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = card_of(golden, **PADDED, units={"A": "odma0", "B": "idma0"})
    monkeypatch.setitem(sys.modules, "pyxrt", made.module())
    some = RNG.integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    with XrtAccelerator(bundle, lock_folder=tmp_path) as accelerator:
        np.testing.assert_array_equal(accelerator.embed(some), golden.embed(some))


def test_without_xrt_or_image_it_says_what_to_do(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyxrt", None)
    with pytest.raises(BoardError, match="comes with XRT"):
        XrtAccelerator(bundle, lock_folder=tmp_path)
    zynq = pack(make_build(tmp_path / "build"), tmp_path / "tiny-w4-pynq-z2")
    with pytest.raises(BoardError, match=r"no \.xclbin.*Vitis"):
        XrtAccelerator(zynq, lock_folder=tmp_path)


def test_images_of_another_kind_are_refused_and_the_card_kept(
    opened: Callable[..., XrtAccelerator], golden: GoldenAccelerator
) -> None:
    some = RNG.integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    with opened() as accelerator:
        for wrong in (some[0], some.astype(np.int8), some[:, :16]):
            with pytest.raises(AcceleratorError, match=r"expected uint8 \(N, 32, 32, 3\)"):
                accelerator.embed(wrong)
        np.testing.assert_array_equal(accelerator.embed(some), golden.embed(some))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (State.ERT_CMD_STATE_TIMEOUT, BoardTimeoutError, "within 5 s.*reset"),
        (State.ERT_CMD_STATE_SUBMITTED, BoardTimeoutError, "expected 1 frames"),
        (State.ERT_CMD_STATE_ERROR, BoardError, "ERT_CMD_STATE_ERROR.*reset"),
    ],
)
def test_a_run_that_fails_gives_the_card_back(
    fault: State, error: type[BoardError], words: str, opened: Callable[..., XrtAccelerator], card: Card
) -> None:
    some = np.zeros((1, 32, 32, 3), np.uint8)
    accelerator = opened()
    card.fault = fault
    with pytest.raises(error, match=words) as caught:
        accelerator.embed(some)
    assert "\n" not in str(caught.value)
    with pytest.raises(BoardError, match="given back"):
        accelerator.embed(some)
    del caught
    assert nothing_held(card)
    card.fault = None
    with opened() as again:
        assert again.embed(some).shape == (1, DIM)


def test_a_card_with_another_image_is_refused(opened: Callable[..., XrtAccelerator], card: Card) -> None:
    card.held = "0ther"
    with pytest.raises(BoardError, match=f"holds xclbin 0ther, expected {UUID}"):
        opened()
    card.held = None
    opened().close()


def test_missing_units_and_cards_are_named(opened: Callable[..., XrtAccelerator], card: Card) -> None:
    card.units = {"Part_0": "idma_0", "vadd": "vadd_1"}
    with pytest.raises(BoardError, match=r"odma_0 or odma0 in kernels Part_0, vadd"):
        opened()
    with pytest.raises(BoardError, match=r"card 7: Could not open device"):
        opened(index=7)
    with pytest.raises(BoardError, match=r"batch: expected 1 to \d+ frames, got 0"):
        opened(batch=0)


def test_a_second_program_is_told_who_has_the_card(
    opened: Callable[..., XrtAccelerator], card: Card, bundle: Bundle, tmp_path: Path
) -> None:
    with opened():
        with pytest.raises(BoardBusyError, match="this process"):
            opened()
        # Elsewhere's lock is another, but XRT itself does not share compute units.
        (tmp_path / "other").mkdir()
        with pytest.raises(BoardError, match="Device or resource busy"):
            XrtAccelerator(bundle, lock_folder=tmp_path / "other")
        assert card.open_units == {"idma_0", "odma_0"}
    assert nothing_held(card)


def test_a_bundle_whose_layout_is_missing_or_anothers_is_refused(card: Card, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="sink: expected 384 signed"):
        XrtAccelerator(make_bundle(tmp_path / "shape", shape=[1, 1, 96]), lock_folder=tmp_path)
    with pytest.raises(ResultsError, match="holds no 4 fields of 18"):
        XrtAccelerator(make_bundle(tmp_path / "width", fields=4), lock_folder=tmp_path)
    without = make_bundle(tmp_path / "without")
    (without.folder / "streams.json").unlink()
    del without.manifest["files"]["streams.json"]
    with pytest.raises(BoardError, match=r"no streams\.json"):
        XrtAccelerator(without, lock_folder=tmp_path)
    build = make_build(tmp_path / "build", board="u250")
    image = tmp_path / "a.xclbin"
    image.write_text("xclbin2 x")
    with pytest.raises(BundleError, match=r"streams\.json: no such file"):
        pack(build, tmp_path / "u250", overlay=Overlay(xclbin=image))


@given(st.integers(1, 8), st.integers(1, 56), st.integers(0, 3), st.integers(0, 1 << 30))
def test_any_layout_is_unpacked(fields: int, bits: int, spare: int, seed: int) -> None:
    beat_bytes = -(-fields * bits // 8) + spare
    layout = PackedResults(2 * fields, fields, bits, beat_bytes)
    values = np.random.default_rng(seed).integers(-(1 << (bits - 1)), 1 << (bits - 1), (3, 2 * fields))
    raw = np.frombuffer(to_beats(values, fields, bits, beat_bytes), np.uint8).reshape(3, layout.frame_bytes)
    found = np.empty((3, 2 * fields), np.int64)
    layout.unpack(raw, found)
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(("fields", "bits"), [(1, 18), (2, 18), (4, 18), (8, 17), (3, 5)])
def test_the_layout_is_that_of_finns_drivers(fields: int, bits: int) -> None:
    for name in ("finn_plus_driver.packing", "finn.util.data_packing"):
        try:
            packing = importlib.import_module(name)
            break
        except ImportError:
            continue
    else:
        pytest.skip("neither finn-plus-driver nor finn-plus here")
    from qonnx.core.datatype import DataType

    values = RNG.integers(-(1 << (bits - 1)), 1 << (bits - 1), (2, 24))
    packed = packing.finnpy_to_packed_bytearray(
        values.reshape(2, -1, fields).astype(np.float32),
        DataType[f"INT{bits}"],
        reverse_inner=True,
        reverse_endian=True,
    )
    layout = PackedResults(24, fields, bits, packed.shape[-1])
    found = np.empty((2, 24), np.int64)
    layout.unpack(packed.astype(np.uint8).reshape(2, -1), found)
    np.testing.assert_array_equal(found, values)
