"""The one loop that every worker is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from random import random
from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.background_worker import IBackgroundWorker
from cqrs_ddd_core.primitives.clock import IClock, SystemClock
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["PollingLoop", "WorkerState", "WorkerStatus"]

_logger = logging.getLogger(__name__)


class WorkerState(StrEnum):
    """What a worker is doing."""

    STOPPED = "stopped"
    #: Working, or waiting for work.
    RUNNING = "running"
    #: Its last run raised; it goes on after a wait.
    FAILING = "failing"
    #: Finishing what is under way.
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """How a worker is.

    Attributes:
        runs: How often it looked for work.
        processed: How much it has done.
        failures: How many runs raised.
        consecutive_failures: How many of the last runs raised; 0 after a run that did not.
        last_error: What the last run that raised said.
        last_success_at: When a run last ended without raising, aware UTC.
    """

    state: WorkerState = WorkerState.STOPPED
    runs: int = 0
    processed: int = 0
    failures: int = 0
    consecutive_failures: int = 0
    last_error: str | None = None
    last_success_at: datetime | None = None


class PollingLoop(IBackgroundWorker):
    """Does something again and again: at once while there is work, else when woken or in a while.

    An error of one run is logged and counted, and the loop goes on after growing waits. Runs
    never overlap. ``stop`` lets the run under way finish (G10) and cancels it only when it takes
    too long.

    Args:
        work: Does what is due and returns how much that was; 0 when there was nothing.
        name: Name of the task and in the log.
        poll_interval: Seconds until it looks again when nobody wakes it.
        jitter: Share of the interval that chance takes away or adds, so that many workers do
            not look all at once.
        backoff: How long to wait after errors, in seconds.
        stop_timeout: Seconds a run may take to finish after ``stop``.
        clock: Tells when a run ended.
        chance: Returns numbers from 0 to 1.
    """

    def __init__(
        self,
        work: Callable[[], Awaitable[int]],
        *,
        name: str = "worker",
        poll_interval: float = 1.0,
        jitter: float = 0.1,
        backoff: ExponentialBackoff | None = None,
        stop_timeout: float = 30.0,
        clock: IClock | None = None,
        chance: Callable[[], float] = random,
    ) -> None:
        if poll_interval <= 0 or not 0 <= jitter < 1:
            msg = f"{name} needs poll_interval > 0 and 0 <= jitter < 1"
            raise ConfigurationError(msg)
        self._work = work
        self._name = name
        self._poll_interval = poll_interval
        self._jitter = jitter
        self._backoff = backoff or ExponentialBackoff(initial=min(poll_interval, 1.0))
        self._stop_timeout = stop_timeout
        self._clock = clock or SystemClock()
        self._chance = chance
        self._status = WorkerStatus()
        self._task: asyncio.Task[None] | None = None
        self._one_run = asyncio.Lock()
        self._wake_up = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def status(self) -> WorkerStatus:
        """How it is at this moment, for health checks and metrics."""
        return replace(self._status, state=self._state())

    async def start(self) -> None:
        if self._task is None or self._task.done():
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        task = self._task
        if task is None:
            return
        self._stopping.set()
        self._wake_up.set()
        _, late = await asyncio.wait([task], timeout=self._stop_timeout)
        if late:
            _logger.warning("%s did not finish in %g s: cancelled", self._name, self._stop_timeout)
            task.cancel()
            await asyncio.wait([task])
        self._task = None

    def trigger(self) -> None:
        self._wake_up.set()

    async def run_once(self) -> int:
        """Do what is due now, once a run under way has ended, and return how much was done.

        Raises:
            Exception: What the work raised; it is counted as well.
        """
        async with self._one_run:
            try:
                done = await self._work()
            except Exception as error:
                self._note_failure(error)
                raise
            self._note_success(done)
            return done

    async def _run(self) -> None:
        while not self._stopping.is_set():
            # Before the work: whoever triggers from now on has something this run may not see.
            self._wake_up.clear()
            try:
                done = await self.run_once()
            except Exception:
                _logger.exception("%s failed; it goes on", self._name)
                # Not cut short by triggers, for they do not heal what is wrong.
                await _wait(self._stopping, self._backoff.delay(self._status.consecutive_failures))
            else:
                await self._pause(done)

    async def _pause(self, done: int) -> None:
        if done:
            # Others get their turn even when the work never waits for anything.
            await asyncio.sleep(0)
        else:
            swing = self._jitter * (2 * self._chance() - 1)
            await _wait(self._wake_up, self._poll_interval * (1 + swing))

    def _note_success(self, done: int) -> None:
        status = self._status
        self._status = replace(
            status,
            runs=status.runs + 1,
            processed=status.processed + done,
            consecutive_failures=0,
            last_success_at=self._clock.now(),
        )

    def _note_failure(self, error: Exception) -> None:
        status = self._status
        self._status = replace(
            status,
            runs=status.runs + 1,
            failures=status.failures + 1,
            consecutive_failures=status.consecutive_failures + 1,
            last_error=f"{type(error).__name__}: {error}",
        )

    def _state(self) -> WorkerState:
        if self._task is None or self._task.done():
            return WorkerState.STOPPED
        if self._stopping.is_set():
            return WorkerState.STOPPING
        return WorkerState.FAILING if self._status.consecutive_failures else WorkerState.RUNNING


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait until the event is set, or for so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
