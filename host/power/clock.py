"""Time and something that runs beside the caller; real, or virtual for replays, simulated boards and tests.

A background job is a generator that yields the time at which it wants to go on. So the very same sampling loop
runs in a thread under RealClock and, deterministically and without waiting, under VirtualClock.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from typing import Protocol


class Job(Protocol):
    """A background job that can be stopped."""

    def stop(self, timeout_s: float) -> bool:
        """Stop the job; return whether it ended within ``timeout_s`` seconds."""
        ...


class Clock(Protocol):
    """Monotonic seconds, sleeping, and background jobs."""

    def now(self) -> float:
        """Return seconds since some fixed moment."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return ``seconds`` later."""
        ...

    def spawn(self, job: Iterator[float]) -> Job:
        """Run ``job`` beside the caller, each step at the time the step before yielded."""
        ...


class _Thread:
    def __init__(self, job: Iterator[float]) -> None:
        self._job, self._stopped = job, threading.Event()
        self._thread = threading.Thread(target=self._run, name="power-sampler", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for due in self._job:
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                return

    def stop(self, timeout_s: float) -> bool:
        self._stopped.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()


class RealClock:
    """The machine's monotonic clock; jobs are threads."""

    def now(self) -> float:
        """Return seconds of the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait ``seconds``."""
        time.sleep(max(0.0, seconds))

    def spawn(self, job: Iterator[float]) -> Job:
        """Run ``job`` in a daemon thread."""
        return _Thread(job)


class _VirtualJob:
    def __init__(self, job: Iterator[float], now_s: float) -> None:
        self.due: float = now_s
        self._job = job
        self.step(now_s)

    def step(self, now_s: float) -> None:
        self.due = next(self._job, math.inf)
        self.due = max(self.due, now_s)

    def stop(self, timeout_s: float) -> bool:
        self.due = math.inf
        return True


class VirtualClock:
    """Time that passes only in ``sleep``, which runs the jobs due on the way; no thread, no waiting.

    A job that sleeps itself (a sensor that takes time to answer) makes time pass for everyone.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now, self._jobs, self._inside = start_s, list[_VirtualJob](), False

    def now(self) -> float:
        """Return virtual seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass, running the jobs that fall due."""
        target = self._now + max(0.0, seconds)
        if not self._inside:
            self._inside = True
            try:
                self._run_until(target)
            finally:
                self._inside = False
        self._now = max(self._now, target)

    def _run_until(self, target: float) -> None:
        while self._jobs:
            job = min(self._jobs, key=lambda each: each.due)
            if job.due > target:
                return
            self._now = max(self._now, job.due)
            job.step(self._now)
            if job.due == math.inf:
                self._jobs.remove(job)

    def spawn(self, job: Iterator[float]) -> Job:
        """Run ``job`` whenever virtual time passes its due times."""
        self._jobs.append(_VirtualJob(job, self._now))
        return self._jobs[-1]
