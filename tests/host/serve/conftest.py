"""A bundle, pictures, and a running page for the tests of the page."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spikeclip_fpga.host.accelerator import GoldenAccelerator
from spikeclip_fpga.host.bundle import Bundle
from spikeclip_fpga.host.kinds import backend_kind
from spikeclip_fpga.host.power import EnergyReport, PowerSource, Reading, VirtualClock, measure
from spikeclip_fpga.host.serve import PageServer, Service

from ..bundles import make_build, pack

DIM = 384
Start = Callable[..., AbstractContextManager[PageServer]]


def picture(seed: int, size: tuple[int, int] = (32, 32), kind: str = "PNG") -> bytes:
    """Return an image file of smooth shapes."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def embed_labels(names: Sequence[str]) -> np.ndarray:
    """Return a unit vector for each text, the same for the same text: a text tower without meaning."""
    rows = np.stack([np.random.default_rng(list(name.encode())).normal(size=DIM) for name in names])
    unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("served")
    return pack(make_build(folder / "build"), folder / "tiny-w4-pynq-z2")


class Supply(PowerSource):
    """2.1 W with some noise."""

    name, boundary, rate_hz = "ina226", "5 V input of the board", 50.0

    def __init__(self) -> None:
        self._noise = np.random.default_rng(0)

    def read(self) -> Reading:
        return Reading(2.1 + float(self._noise.normal(0, 0.01)))


@pytest.fixture(scope="session")
def measured() -> EnergyReport:
    """A measurement of 4.2 mJ an image, in no time."""
    clock = VirtualClock()

    def batch() -> int:
        clock.sleep(0.1)
        return 50

    return measure(Supply(), batch, clock=clock)


@pytest.fixture(scope="session")
def golden(bundle: Bundle) -> GoldenAccelerator:
    return GoldenAccelerator(bundle.network)


@pytest.fixture
def service(bundle: Bundle, golden: GoldenAccelerator) -> Service:
    return Service(bundle, golden, backend_kind("golden", built=False), no_tower="no text tower here")


@pytest.fixture
def start(service: Service) -> Start:
    """Return a function that serves the page while a test runs."""

    @contextlib.contextmanager
    def run(served: Service | None = None, host: str = "127.0.0.1", token: str | None = None) -> Iterator[Any]:
        with PageServer(served or service, host, 0, token) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()

    return run
