"""What the page is told: the same labels as the command line, one image at a time on the accelerator."""

from __future__ import annotations

import base64
import io
import struct
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image

from spikeclip_fpga.host.accelerator import AcceleratorError, GoldenAccelerator
from spikeclip_fpga.host.bundle import Bundle
from spikeclip_fpga.host.classify import classify
from spikeclip_fpga.host.images import read_rgb, resized
from spikeclip_fpga.host.kinds import backend_kind
from spikeclip_fpga.host.power import EnergyReport
from spikeclip_fpga.host.serve import ReopeningAccelerator, RequestError, Service
from spikeclip_fpga.host.serve.service import MAX_LABEL_LENGTH, MAX_LABELS, MAX_PIXELS
from spikeclip_fpga.quantize.labelset import LabelError

from .conftest import DIM, embed_labels, picture

SOFTWARE = backend_kind("golden", built=False)


def refused(service: Service, status: int, body: bytes, media_type: str, names: Sequence[str], *words: str) -> None:
    with pytest.raises(RequestError) as caught:
        service.classify(body, media_type, names)
    assert caught.value.status == status, caught.value
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "size"), [("PNG", (32, 32)), ("JPEG", (200, 90)), ("WEBP", (7, 300)), ("BMP", (1, 1))]
)
def test_same_answer_as_classify(
    service: Service, bundle: Bundle, golden: GoldenAccelerator, kind: str, size: tuple[int, int]
) -> None:
    body = picture(3, size, kind)
    answer = service.classify(body, f"image/{kind.lower()}", [])
    image = resized(read_rgb(io.BytesIO(body), "x")[0])
    expected = classify(golden, image[None], bundle.labels, top=5)[0]
    assert [row["label"] for row in answer["top"]] == [match.label for match in expected]
    assert [row["score"] for row in answer["top"]] == [round(match.score, 6) for match in expected]
    seen = base64.b64decode(answer["seen"].removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(seen))), image)
    parts = answer["latency_ms"]
    assert parts["total"] >= parts["accelerator"] > 0


def test_some_of_the_bundles_labels_need_no_tower(service: Service, bundle: Bundle) -> None:
    body = picture(1)
    every = {row["label"]: row["score"] for row in service.classify(body, "image/png", bundle.labels.names[:5])["top"]}
    two = service.classify(body, "image/png", ["dress", " trouser ", "dress", ""])["top"]
    assert {row["label"] for row in two} == {"dress", "trouser"}
    assert all(every[row["label"]] == row["score"] for row in two)


def test_other_labels_are_embedded_once(bundle: Bundle, golden: GoldenAccelerator) -> None:
    asked: list[str] = []

    def tower(names: Sequence[str]) -> np.ndarray:
        asked.extend(names)
        return embed_labels(names)

    service = Service(bundle, golden, SOFTWARE, embed_labels=tower)
    for names in (["red hat", "dress"], ["red  hat", "blue hat"], ["blue hat", "red hat"]):
        labels = service.labels(names)
        assert labels.names == tuple(" ".join(name.split()) for name in names)
        for name, row in zip(labels.names, labels.embeddings, strict=True):
            expected = dict(zip(bundle.labels.names, bundle.labels.embeddings, strict=True)).get(name)
            np.testing.assert_array_equal(row, embed_labels([name])[0] if expected is None else expected)
    assert asked == ["red hat", "blue hat"]
    assert service.state()["other_labels"]["possible"] is True


def test_labels_that_cannot_be(service: Service) -> None:
    body = picture(1)
    refused(service, 400, body, "image/png", ["red hat"], "red hat", "no text tower here")
    refused(service, 400, body, "image/png", [str(i) for i in range(MAX_LABELS + 1)], str(MAX_LABELS))
    refused(service, 400, body, "image/png", ["x" * (MAX_LABEL_LENGTH + 1)], str(MAX_LABEL_LENGTH))
    refused(service, 400, body, "image/png", ["bell\a"], "printable")


def test_a_tower_of_another_dimension(bundle: Bundle, golden: GoldenAccelerator) -> None:
    service = Service(bundle, golden, SOFTWARE, embed_labels=lambda names: np.ones((len(names), 8), np.float32))
    refused(service, 500, picture(1), "image/png", ["red hat"], "384", "8")


def test_images_that_cannot_be(service: Service) -> None:
    good = picture(1)
    refused(service, 415, good, "", [], "content type")
    refused(service, 415, good, "text/html", [], "text/html", "image/png")
    refused(service, 415, good, "image/svg+xml", [], "image/svg+xml")
    refused(service, 415, good, "image/jpeg", [], "but it is PNG")
    refused(service, 422, b"", "image/png", [], "not a readable image")
    refused(service, 422, good[:60], "image/png", [], "not a readable image")
    refused(service, 422, b"<svg onload=alert(1)>", "image/png", [], "not a readable image")
    assert service.classify(good, "image/PNG; charset=x", [])["top"]


def test_a_bomb_is_refused_before_it_is_unpacked(service: Service) -> None:
    """A header that claims 30,000 x 30,000 pixels on a file of 100 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side in (30_000, 6_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        refused(service, 422, bomb, "image/png", [], "pixels" if side == 6_000 else "image")
    assert MAX_PIXELS < 6_000 * 6_000


class Watched:
    """An accelerator that notices when two threads are in it at once."""

    name, embed_dim = "watched", DIM

    def __init__(self) -> None:
        self.inside, self.most, self.calls = 0, 0, 0

    def embed(self, images: np.ndarray) -> np.ndarray:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.calls += 1
        threading.Event().wait(0.002)
        self.inside -= 1
        return images.reshape(len(images), -1)[:, :DIM].astype(np.int64) - 128


def test_many_threads_one_accelerator(bundle: Bundle) -> None:
    device = Watched()
    service = Service(bundle, device, SOFTWARE, embed_labels=embed_labels)
    alone = {i: service.classify(picture(i), "image/png", [])["top"] for i in range(8)}
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda i: service.classify(picture(i % 8), "image/png", [])["top"], range(64)))
        named = list(pool.map(lambda i: service.classify(picture(0), "image/png", [f"a{i % 5}"])["top"], range(20)))
    assert [alone[i % 8] for i in range(64)] == together
    assert [row[0]["label"] for row in named] == [f"a{i % 5}" for i in range(20)]
    assert device.most == 1 and device.calls == 8 + 64 + 20


def test_images_are_unpacked_one_at_a_time(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one takes 150 MB for a moment, and a PYNQ-Z2 has 512."""
    inside, most = 0, 0

    def read(source: BinaryIO, name: str, max_pixels: int) -> tuple[Image.Image, str]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threading.Event().wait(0.005)
        inside -= 1
        return read_rgb(source, name, max_pixels)

    monkeypatch.setattr("spikeclip_fpga.host.serve.service.read_rgb", read)
    service = Service(bundle, Watched(), SOFTWARE)
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda i: service.classify(picture(i), "image/png", []), range(16)))) == 16
    assert most == 1


class Faulty:
    """An accelerator that fails on demand; ``opened`` and ``closed`` are counted by the test."""

    name, embed_dim = "faulty", DIM
    fail = False
    opened = closed = 0

    def __init__(self) -> None:
        Faulty.opened += 1

    def embed(self, images: np.ndarray) -> np.ndarray:
        if Faulty.fail:
            raise AcceleratorError("DMA: no answer")
        return np.ones((len(images), DIM), np.int64)

    def close(self) -> None:
        Faulty.closed += 1


def test_after_a_fault_the_device_is_opened_again(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Faulty, "opened", 0)
    monkeypatch.setattr(Faulty, "closed", 0)
    device = ReopeningAccelerator(Faulty)
    service = Service(bundle, device, SOFTWARE)
    assert service.classify(picture(1), "image/png", [])["top"]
    monkeypatch.setattr(Faulty, "fail", True)
    for count in (1, 2):
        with pytest.raises(AcceleratorError):
            service.classify(picture(1), "image/png", [])
        assert (Faulty.opened, Faulty.closed) == (count, count)
    monkeypatch.setattr(Faulty, "fail", False)
    assert service.classify(picture(1), "image/png", [])["top"]
    device.close()
    device.close()
    assert (Faulty.opened, Faulty.closed) == (3, 3)


def test_labels_must_be_the_networks(bundle: Bundle) -> None:
    class Small(Watched):
        embed_dim = 8

    with pytest.raises(LabelError):
        Service(bundle, Small(), SOFTWARE)


def test_state_says_what_computes_and_what_is_not_measured(
    bundle: Bundle, golden: GoldenAccelerator, service: Service, measured: EnergyReport
) -> None:
    state = service.state()
    assert state["emulated"] is True and state["backend"]["kind"] == "software" and state["built"] is False
    assert state["accelerator"]["latency_us"] == pytest.approx(1e6 * 90_000 / 100e6)
    assert state["labels"] == list(bundle.labels.names)
    assert state["energy"] is None
    said = Service(bundle, golden, SOFTWARE, energy=measured).state()["energy"]
    total = measured.energy_total_mj
    assert (said["value_mj"], said["low95_mj"], said["high95_mj"]) == (total.value, total.low95, total.high95)
    assert said["value_mj"] == pytest.approx(4.2, rel=0.01)
    assert said["created"] == measured.created
    assert (said["sensor"], said["boundary"]) == ("ina226", "5 V input of the board")


@pytest.mark.parametrize(
    ("name", "built", "environment", "kind"),
    [
        ("golden", True, {}, "software"),
        ("fast", True, {}, "software"),
        ("rtl", True, {}, "simulation"),
        ("twin", True, {}, "emulation"),
        ("pynq", True, {}, "hardware"),
        ("pynq", True, {"PYNQ_REMOTE_DEVICES": "192.168.2.99"}, "hardware"),
        ("pynq", True, {"PYNQ_REMOTE_DEVICES": "127.0.0.3"}, "emulation"),
        ("pynq", False, {}, "emulation"),
        ("xrt", True, {}, "hardware"),
        ("xrt", True, {"XCL_EMULATION_MODE": "hw_emu"}, "emulation"),
        ("other", True, {}, "software"),
    ],
)
def test_only_a_bitstream_on_a_board_is_hardware(
    name: str, built: bool, environment: dict[str, str], kind: str
) -> None:
    found = backend_kind(name, built, environment)
    assert (found.kind, found.emulated) == (kind, kind != "hardware")
