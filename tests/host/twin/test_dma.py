"""The DMA's registers, as PG021 describes them for direct mode, without pynq or a server in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from spikeclip_fpga.host.twin import dma as d
from spikeclip_fpga.host.twin.faults import Fault, Faults
from spikeclip_fpga.host.twin.memory import ContiguousMemory
from spikeclip_fpga.host.twin.pipeline import Pipeline, Timing

SHAPE, ELEMENTS = (2, 2, 3), 5
FRAME, RESULT = 12, 4 * ELEMENTS


def embed(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.int64).sum(1)[:, None] * np.arange(-2, 3)


class Bench:
    """A DMA with memory for four frames in and out."""

    def __init__(self, behind: Callable[[np.ndarray], np.ndarray] = embed) -> None:
        self.memory, self.faults, self.changed = ContiguousMemory(), Faults(), threading.Condition()
        self.pipeline = Pipeline(behind, SHAPE, ELEMENTS)
        self.dma = d.Dma(self.memory, self.pipeline, Timing(100, 30), self.faults, self.changed, clk_mhz=lambda: 50.0)
        self.images = np.random.default_rng(0).integers(0, 256, (4, *SHAPE)).astype(np.uint8)
        names = [self.memory.allocate(size) for size in (4 * FRAME, 4 * RESULT)]
        self.source, self.target = (self.memory.address(name) for name in names)
        self.memory.reach(self.source, 4 * FRAME)[:] = (self.images ^ 0x80).ravel()

    def read(self, offset: int) -> int:
        with self.changed:
            return self.dma.read(offset)

    def write(self, offset: int, value: int) -> None:
        with self.changed:
            self.dma.write(offset, value)

    def run(self) -> None:
        for channel in (d.MM2S, d.S2MM):
            self.write(channel + d.CR, d.RUN)

    def send(self, size: int, address: int | None = None) -> None:
        self.write(d.MM2S + d.ADDRESS, self.source if address is None else address)
        self.write(d.MM2S + d.LENGTH, size)

    def receive(self, size: int, address: int | None = None) -> None:
        self.write(d.S2MM + d.ADDRESS, self.target if address is None else address)
        self.write(d.S2MM + d.LENGTH, size)

    def status(self, channel: int) -> int:
        return self.read(channel + d.SR)

    def settles(self, channel: int) -> bool:
        """Return whether a channel comes to rest; False after a time in which it always would."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if self.status(channel) & (d.IDLE | d.HALTED):
                return True
            time.sleep(0.001)
        return False

    def results(self) -> np.ndarray:
        return self.memory.reach(self.target, 4 * RESULT).view("<i4").reshape(4, ELEMENTS)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.dma.close()


def test_reset_state_is_halted() -> None:
    bench = Bench()
    assert bench.read(d.MM2S + d.CR) == bench.read(d.S2MM + d.CR) == 0x1_0002
    assert bench.status(d.MM2S) == bench.status(d.S2MM) == d.HALTED
    bench.dma.close()


def test_running_is_neither_halted_nor_idle_before_the_first_transfer(bench: Bench) -> None:
    bench.run()
    assert bench.status(d.MM2S) == bench.status(d.S2MM) == 0


def test_a_batch_goes_through_and_both_channels_tell(bench: Bench) -> None:
    bench.run()
    bench.receive(4 * RESULT)
    bench.send(4 * FRAME)
    assert bench.settles(d.S2MM) and bench.settles(d.MM2S)
    np.testing.assert_array_equal(bench.results(), embed(bench.images))
    assert bench.status(d.MM2S) == bench.status(d.S2MM) == d.IDLE | d.IOC_IRQ
    bench.write(d.S2MM + d.SR, d.IOC_IRQ)  # write 1 to clear
    assert bench.status(d.S2MM) == d.IDLE
    assert bench.pipeline.frames == 4
    assert bench.dma.simulated_s == pytest.approx((100 + 3 * 30) / 50e6)


def test_length_reads_back_what_was_received(bench: Bench) -> None:
    bench.run()
    bench.receive(4 * RESULT)
    bench.send(2 * FRAME)
    assert bench.settles(d.S2MM)
    assert bench.read(d.S2MM + d.LENGTH) == 2 * RESULT
    np.testing.assert_array_equal(bench.results()[:2], embed(bench.images[:2]))
    assert not bench.results()[2:].any()


def test_length_does_nothing_while_halted(bench: Bench) -> None:
    bench.send(4 * FRAME)
    assert bench.status(d.MM2S) == d.HALTED and bench.pipeline.frames == 0
    bench.run()
    time.sleep(0.05)
    assert bench.status(d.MM2S) == 0


def test_a_partial_frame_never_completes_and_shifts_what_follows(bench: Bench) -> None:
    bench.run()
    bench.receive(4 * RESULT)
    bench.send(2 * FRAME - 4)
    assert bench.settles(d.MM2S)
    time.sleep(0.1)
    assert not bench.status(d.S2MM) & (d.IDLE | d.HALTED)
    assert bench.pipeline.state & 1
    bench.send(FRAME)
    time.sleep(0.1)
    assert not bench.status(d.S2MM) & d.IDLE  # out of step for good, until the fabric is configured anew


def test_results_wait_for_a_late_receiver(bench: Bench) -> None:
    bench.run()
    bench.send(4 * FRAME)
    assert bench.settles(d.MM2S)
    assert bench.pipeline.state == 2
    bench.receive(4 * RESULT)
    assert bench.settles(d.S2MM)
    np.testing.assert_array_equal(bench.results(), embed(bench.images))


def test_a_second_batch_stalls_until_the_first_is_taken(bench: Bench) -> None:
    bench.run()
    bench.send(4 * FRAME)
    assert bench.settles(d.MM2S)
    bench.send(4 * FRAME)
    time.sleep(0.1)
    assert not bench.status(d.MM2S) & d.IDLE
    for _ in range(2):
        bench.receive(4 * RESULT)
        assert bench.settles(d.S2MM)
    assert bench.settles(d.MM2S) and bench.pipeline.frames == 8


@pytest.mark.parametrize("direction", ["MM2S", "S2MM"])
def test_an_address_outside_of_memory_is_a_decode_error(bench: Bench, direction: str) -> None:
    bench.run()
    bench.receive(4 * RESULT, address=0x100 if direction == "S2MM" else None)
    bench.send(4 * FRAME, address=0x100 if direction == "MM2S" else None)
    channel = {"MM2S": d.MM2S, "S2MM": d.S2MM}[direction]
    assert bench.settles(channel)
    assert bench.status(channel) == d.HALTED | d.DECODE_ERROR | d.ERROR_IRQ
    bench.write(channel + d.CR, d.RUN)
    assert bench.status(channel) & d.HALTED  # an error stays until a reset
    bench.write(d.MM2S + d.CR, d.RESET)
    bench.run()
    assert bench.status(channel) == 0


def test_a_transfer_beyond_its_buffer_is_a_decode_error(bench: Bench) -> None:
    bench.run()
    bench.send(4 * FRAME + 1)
    assert bench.settles(d.MM2S) and bench.status(d.MM2S) & d.DECODE_ERROR


def test_more_results_than_length_is_an_internal_error(bench: Bench) -> None:
    bench.run()
    bench.receive(4 * RESULT - 1)
    bench.send(4 * FRAME)
    assert bench.settles(d.S2MM)
    assert bench.status(d.S2MM) == d.HALTED | d.INT_ERROR | d.ERROR_IRQ


def test_injected_slave_error_comes_once(bench: Bench) -> None:
    bench.faults.inject(Fault.TRANSFER_ERROR)
    for expected in (d.HALTED | d.SLAVE_ERROR | d.ERROR_IRQ, d.IDLE | d.IOC_IRQ):
        bench.write(d.MM2S + d.CR, d.RESET)
        bench.run()
        bench.receive(4 * RESULT)
        bench.send(4 * FRAME)
        assert bench.settles(d.MM2S)
        assert bench.status(d.MM2S) == expected


def test_a_stuck_transfer_ends_with_a_reset_only(bench: Bench) -> None:
    bench.faults.inject(Fault.STUCK_DMA)
    bench.run()
    bench.receive(4 * RESULT)
    bench.send(4 * FRAME)
    time.sleep(0.1)
    bench.write(d.MM2S + d.CR, 0)
    assert bench.status(d.MM2S) == 0  # asked to stop, it waits for its transfer
    bench.write(d.S2MM + d.CR, d.RESET)  # of either channel resets both
    assert bench.status(d.MM2S) == bench.status(d.S2MM) == d.HALTED
    bench.run()
    bench.receive(4 * RESULT)
    bench.send(4 * FRAME)
    assert bench.settles(d.S2MM)
    np.testing.assert_array_equal(bench.results(), embed(bench.images))


def test_a_failing_accelerator_is_an_error_and_no_hang() -> None:
    def fails(images: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("of a test")

    bench = Bench(fails)
    bench.run()
    bench.send(4 * FRAME)
    assert bench.settles(d.MM2S) and bench.status(d.MM2S) & d.INT_ERROR
    assert isinstance(bench.dma.failure, ZeroDivisionError)
    bench.dma.close()


def test_embeddings_that_do_not_fit_the_stream_are_an_error() -> None:
    bench = Bench(lambda images: np.full((len(images), ELEMENTS), 1 << 31))
    bench.run()
    bench.send(FRAME)
    assert bench.settles(d.MM2S) and "32 bits" in str(bench.dma.failure)
    bench.dma.close()
