"""The polling loop runs while there is work, waits otherwise, and survives errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from cqrs_ddd_core.background import PollingLoop, WorkerState
from cqrs_ddd_core.primitives.clock import FixedClock
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff

_NEVER = 3600.0


class Work:
    """Does what is queued, one unit per run, and can be told to fail."""

    def __init__(self, queued: int = 0) -> None:
        self.queued = queued
        self.runs = 0
        self.failures: list[Exception] = []
        self._changed = asyncio.Condition()

    async def __call__(self) -> int:
        async with self._changed:
            self.runs += 1
            self._changed.notify_all()
        if self.failures:
            raise self.failures.pop(0)
        if self.queued == 0:
            return 0
        self.queued -= 1
        return 1

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._changed:
            await self._changed.wait_for(condition)


@asynccontextmanager
async def running(loop: PollingLoop) -> AsyncIterator[PollingLoop]:
    await loop.start()
    try:
        yield loop
    finally:
        await loop.stop()


async def test_it_goes_on_at_once_while_there_is_work() -> None:
    work = Work(queued=50)
    async with running(PollingLoop(work, poll_interval=_NEVER)):
        await work.wait_until(lambda: work.runs == 51)
    assert work.queued == 0


async def test_a_trigger_wakes_it() -> None:
    work = Work()
    async with running(PollingLoop(work, poll_interval=_NEVER)) as loop:
        await work.wait_until(lambda: work.runs == 1)
        work.queued = 1
        loop.trigger()
        await work.wait_until(lambda: work.runs == 3)


async def test_a_trigger_during_a_run_is_not_lost() -> None:
    started, may_end, second = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> int:
        if started.is_set():
            second.set()
        started.set()
        await may_end.wait()
        return 0

    async with running(PollingLoop(work, poll_interval=_NEVER)) as loop:
        await started.wait()
        loop.trigger()
        may_end.set()
        async with asyncio.timeout(10):
            await second.wait()


async def test_it_looks_again_without_being_woken() -> None:
    work = Work()
    async with running(PollingLoop(work, poll_interval=0.001)):
        await work.wait_until(lambda: work.runs >= 3)


async def test_work_that_never_waits_lets_others_run() -> None:
    async def work() -> int:
        return 1

    async with asyncio.timeout(10), running(PollingLoop(work)):
        for _ in range(10):
            await asyncio.sleep(0)


async def test_an_error_is_logged_and_counted_and_the_loop_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = Work(queued=1)
    work.failures = [OSError("gone"), OSError("still gone")]
    backoff = ExponentialBackoff(initial=0.001, maximum=0.001)
    async with running(PollingLoop(work, poll_interval=_NEVER, backoff=backoff)) as loop:
        await work.wait_until(lambda: work.runs == 4)
    status = loop.status
    assert (status.runs, status.processed, status.failures) == (4, 1, 2)
    assert (status.consecutive_failures, status.last_error) == (0, "OSError: still gone")
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


async def test_triggers_do_not_shorten_the_wait_after_an_error() -> None:
    work = Work()
    work.failures = [OSError("gone")]
    backoff = ExponentialBackoff(initial=_NEVER, maximum=_NEVER, jitter=0)
    async with running(PollingLoop(work, backoff=backoff)) as loop:
        await work.wait_until(lambda: work.runs == 1)
        for _ in range(20):
            loop.trigger()
            await asyncio.sleep(0)
        assert work.runs == 1
        assert loop.status.state is WorkerState.FAILING


async def test_its_status_tells_how_it_is() -> None:
    clock, work = FixedClock(), Work()
    loop = PollingLoop(work, poll_interval=_NEVER, clock=clock)
    before = loop.status
    async with running(loop):
        await work.wait_until(lambda: work.runs == 1)
        await asyncio.sleep(0)
        meanwhile = loop.status
    states = [status.state for status in (before, meanwhile, loop.status)]
    assert states == [WorkerState.STOPPED, WorkerState.RUNNING, WorkerState.STOPPED]
    assert (before.last_success_at, meanwhile.last_success_at) == (None, clock.now())


async def test_stopping_waits_for_the_run_under_way() -> None:
    """G10."""
    started, may_end, ended = asyncio.Event(), asyncio.Event(), list[str]()

    async def work() -> int:
        started.set()
        await may_end.wait()
        ended.append("ended")
        return 1

    loop = PollingLoop(work)
    await loop.start()
    await started.wait()
    stopping = [asyncio.create_task(loop.stop()) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert loop.status.state is WorkerState.STOPPING
    assert not any(task.done() for task in stopping)
    may_end.set()
    await asyncio.gather(*stopping)
    assert ended == ["ended"]


async def test_a_run_that_takes_too_long_is_cancelled() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return 0

    loop = PollingLoop(work, stop_timeout=0.01)
    await loop.start()
    await started.wait()
    await loop.stop()
    assert cancelled.is_set()
    assert loop.status.state is WorkerState.STOPPED


async def test_it_stops_at_once_while_it_waits() -> None:
    for failures in ([], [OSError("gone")]):
        work = Work()
        work.failures = list(failures)
        backoff = ExponentialBackoff(initial=_NEVER, maximum=_NEVER)
        loop = PollingLoop(work, poll_interval=_NEVER, backoff=backoff)
        await loop.start()
        await work.wait_until(lambda work=work: work.runs == 1)  # type: ignore[misc]
        async with asyncio.timeout(10):
            await loop.stop()


async def test_it_can_be_started_twice_and_again() -> None:
    work = Work(queued=2)
    loop = PollingLoop(work, poll_interval=_NEVER)
    await loop.start()
    await loop.start()
    await work.wait_until(lambda: work.runs == 3)
    await loop.stop()
    await loop.stop()
    work.queued = 1
    async with running(loop):
        await work.wait_until(lambda: work.runs == 5)


async def test_a_run_by_hand_does_not_overlap_with_the_loop() -> None:
    inside, most = 0, 0

    async def work() -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1
        return 1

    async with running(PollingLoop(work)) as loop:
        await asyncio.gather(*(loop.run_once() for _ in range(5)))
    assert most == 1


async def test_a_run_by_hand_raises_and_counts_what_the_work_raised() -> None:
    work = Work()
    work.failures = [OSError("gone")]
    loop = PollingLoop(work)
    with pytest.raises(OSError, match="gone"):
        await loop.run_once()
    assert loop.status.failures == 1
    assert await loop.run_once() == 0


@pytest.mark.parametrize("wrong", [{"poll_interval": 0.0}, {"jitter": 1.0}, {"jitter": -0.1}])
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        PollingLoop(Work(), **wrong)  # type: ignore[arg-type]
