"""A supply whose power is known at every moment, and a sensor of it with the faults of real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from spikeclip_fpga.host.power import PowerSource, Reading, VirtualClock


@dataclass
class Board:
    """Draws idle_w, or active_w while it works; counts what it really used."""

    clock: VirtualClock
    idle_w: float = 1.6
    active_w: float = 2.1
    image_s: float = 0.002
    drift_w_per_s: float = 0.0
    working: bool = False

    def power_w(self) -> float:
        base = self.active_w if self.working else self.idle_w
        return base + self.drift_w_per_s * self.clock.now()

    def run_batch(self, images: int = 50) -> int:
        self.working = True
        self.clock.sleep(images * self.image_s)
        self.working = False
        return images


class SyntheticSource(PowerSource):
    """Reads a board with noise (white, or AR(1) of a correlation per reading) and an optional step."""

    def __init__(
        self,
        board: Board,
        *,
        noise_w: float = 0.0,
        correlation: float = 0.0,
        rate_hz: float = 50.0,
        step_w: float | None = None,
        read_s: float = 0.0,
        seed: int = 0,
        fault: Callable[[int, float], float] | None = None,
    ) -> None:
        self.name, self.boundary, self.rate_hz = "synthetic", "all the board draws", rate_hz
        self.resolution_w = step_w
        self._board, self._noise_w, self._correlation = board, noise_w, correlation
        self._rng, self._state, self._read_s, self._fault = np.random.default_rng(seed), 0.0, read_s, fault
        self.count = 0

    def read(self) -> Reading:
        if self._read_s:
            self._board.clock.sleep(self._read_s)
        innovation = float(self._rng.normal()) * np.sqrt(1 - self._correlation**2)
        self._state = self._correlation * self._state + innovation
        watts = self._board.power_w() + self._noise_w * self._state
        self.count += 1
        if self._fault is not None:
            watts = self._fault(self.count, watts)
        elif self.resolution_w:
            watts = round(watts / self.resolution_w) * self.resolution_w
        return Reading(watts)


@dataclass
class Bench:
    """A board, its clock, and sources of it."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    board: Board = field(init=False)

    def __post_init__(self) -> None:
        self.board = Board(self.clock)

    def source(self, **settings: object) -> SyntheticSource:
        return SyntheticSource(self.board, **settings)  # type: ignore[arg-type]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def new_bench() -> type[Bench]:
    """For tests that need many."""
    return Bench
