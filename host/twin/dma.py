"""AXI DMA 7.1 in direct register mode, after PG021: registers of both channels, and an engine that moves data.

What software can see is modelled: halted, idle, interrupt on complete, the three errors (which halt the channel),
soft reset (of both channels), LENGTH as start and as the count received. Not modelled: bursts and alignment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .faults import Fault, Faults
from .memory import ContiguousMemory, DecodeError
from .pipeline import Pipeline, Timing

MM2S, S2MM = 0x00, 0x30
CR, SR, ADDRESS, ADDRESS_MSB, LENGTH = 0x00, 0x04, 0x18, 0x1C, 0x28
RUN, RESET = 0x1, 0x4
HALTED, IDLE, INT_ERROR, SLAVE_ERROR, DECODE_ERROR, IOC_IRQ, ERROR_IRQ = 0x1, 0x2, 0x10, 0x20, 0x40, 0x1000, 0x4000
_CR_RESET = 0x1_0002  # IRQThreshold 1, and a bit that always reads 1
_IRQS, _ERRORS = 0x7000, 0x70
_LENGTH_MASK = (1 << 26) - 1


class _Channel:
    def __init__(self) -> None:
        self.control, self.status, self.address, self.length = _CR_RESET, HALTED, 0, 0
        self.active = False
        self.received = 0


class Dma:
    """Both channels, their registers, and the thread that serves them.

    clk_mhz: asked when a batch starts. realtime: whether a batch takes at least its simulated time.
    simulated_s: the sum of all batches' simulated times. failure: what the accelerator raised.
    changed: guards everything, notified on every change.
    """

    def __init__(
        self,
        memory: ContiguousMemory,
        pipeline: Pipeline,
        timing: Timing,
        faults: Faults,
        changed: threading.Condition,
        clk_mhz: Callable[[], float],
        realtime: bool = False,
    ) -> None:
        self._memory, self._pipeline, self._timing, self._faults = memory, pipeline, timing, faults
        self._changed, self._clk_mhz, self._realtime = changed, clk_mhz, realtime
        self._channels = {MM2S: _Channel(), S2MM: _Channel()}
        self._epoch, self._stuck, self._closed = 0, False, False
        self.simulated_s, self.transfers = 0.0, 0
        self.failure: Exception | None = None
        self._engine = threading.Thread(target=self._run, name="twin-dma", daemon=True)
        self._engine.start()

    def close(self) -> None:
        """End the engine."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._engine.join(timeout=10)

    def reset(self) -> None:
        """Soft reset: both channels to their reset state; what is under way is dropped. The accelerator keeps its."""
        self._channels = {MM2S: _Channel(), S2MM: _Channel()}
        self._epoch += 1
        self._stuck, self.failure = False, None
        self._changed.notify_all()

    def read(self, offset: int) -> int:
        """Return a register; what is not implemented reads 0."""
        channel, register = self._locate(offset)
        if channel is None:
            return 0
        fields = {CR: channel.control, SR: channel.status, LENGTH: channel.length}
        fields |= {ADDRESS: channel.address & 0xFFFF_FFFF, ADDRESS_MSB: channel.address >> 32}
        return fields.get(register, 0)

    def write(self, offset: int, value: int) -> None:
        """Write a register; what is not implemented is passed over, as on the bus."""
        channel, register = self._locate(offset)
        if channel is None:
            return
        if register == CR:
            self._control(channel, value)
        elif register == SR:
            channel.status &= ~(value & _IRQS)
        elif register == ADDRESS:
            channel.address = channel.address >> 32 << 32 | value
        elif register == ADDRESS_MSB:
            channel.address = value << 32 | channel.address & 0xFFFF_FFFF
        elif register == LENGTH:
            self._start(channel, value & _LENGTH_MASK)
        self._changed.notify_all()

    def _locate(self, offset: int) -> tuple[_Channel | None, int]:
        base = S2MM if offset >= S2MM else MM2S
        register = offset - base
        return (self._channels[base] if register <= LENGTH else None), register

    def _control(self, channel: _Channel, value: int) -> None:
        if value & RESET:
            self.reset()
            return
        if channel.status & _ERRORS:
            return  # only a reset brings a channel back after an error
        channel.control = value | 0x2
        if value & RUN:
            channel.status &= ~HALTED
        elif not channel.active:  # a transfer under way is completed before the channel halts
            channel.status = channel.status & ~IDLE | HALTED

    def _start(self, channel: _Channel, length: int) -> None:
        """Start a transfer, unless the channel is halted, busy, or the length is 0: then nothing happens."""
        if channel.status & HALTED or channel.active or length == 0:
            return
        channel.length, channel.active, channel.received = length, True, 0
        channel.status &= ~IDLE

    @property
    def busy(self) -> bool:
        """Return whether a transfer is under way."""
        return any(channel.active for channel in self._channels.values())

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                if not (self._feed() or self._drain()):
                    self._changed.wait()

    def _feed(self) -> bool:
        """Serve the channel to the accelerator; return whether anything happened. Computes without the lock."""
        channel, receiving = self._channels[MM2S], self._channels[S2MM].active
        # More than one result that nobody takes, and the pipeline stands still.
        if not channel.active or self._stuck or (self._pipeline.waiting > 1 and not receiving):
            return False
        if self._pipeline.waiting and receiving:
            return False
        if self._faults.strikes(Fault.STUCK_DMA):
            self._stuck = True
            return True
        if self._faults.strikes(Fault.TRANSFER_ERROR):
            self._fail(channel, SLAVE_ERROR)
            return True
        try:
            data = self._memory.reach(channel.address, channel.length).tobytes()
        except DecodeError:
            self._fail(channel, DECODE_ERROR)
            return True
        if self._faults.strikes(Fault.SHORT_BUFFER):
            data = data[:-4]
        epoch, started, failure = self._epoch, time.monotonic(), None
        self._changed.release()
        try:
            batch = self._pipeline.run(data)
            seconds = self._timing.cycles(len(batch.results)) / (self._clk_mhz() * 1e6)
            if self._realtime:
                time.sleep(max(0.0, started + seconds - time.monotonic()))
        except Exception as error:  # whatever is behind: on a board it would be a dead accelerator
            failure = error
        finally:
            self._changed.acquire()
        if epoch != self._epoch:
            return True  # reset meanwhile: what was under way is dropped
        if failure is not None:
            self.failure = failure
            self._fail(channel, INT_ERROR)
            return True
        self._pipeline.accept(batch)
        self.simulated_s += seconds
        self.transfers += 1
        self._complete(channel)
        return True

    def _drain(self) -> bool:
        """Serve the channel to memory; return whether anything happened."""
        channel = self._channels[S2MM]
        if not channel.active or not self._pipeline.waiting:
            return False
        taken = self._pipeline.pull()
        assert taken is not None
        data, last = taken
        if channel.received + len(data) > channel.length:
            self._fail(channel, INT_ERROR)
            return True
        try:
            target = self._memory.reach(channel.address + channel.received, len(data))
        except DecodeError:
            self._fail(channel, DECODE_ERROR)
            return True
        target[:] = memoryview(data)
        channel.received += len(data)
        if last:
            channel.length = channel.received
            self._complete(channel)
        return True

    def _complete(self, channel: _Channel) -> None:
        channel.active = False
        channel.status |= IDLE | IOC_IRQ
        if not channel.control & RUN:
            channel.status = channel.status & ~IDLE | HALTED
        self._changed.notify_all()

    def _fail(self, channel: _Channel, error: int) -> None:
        channel.active = False
        channel.control &= ~RUN
        channel.status = channel.status & ~IDLE | HALTED | error | ERROR_IRQ
        self._changed.notify_all()
