"""A cancelled task leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_core.testing.cancellation import completes_despite_cancellation_at
from cqrs_ddd_core.testing.samples import new_events, new_stream
from cqrs_ddd_core.testing.unit_of_work._suite import (
    ALL,
    NOTHING,
    UnitOfWorkSubject,
    UnitOfWorkSuite,
    Work,
)

__all__ = ["CancellationTests"]


class CancellationTests(UnitOfWorkSuite):
    async def test_cancellation_at_any_await_leaves_all_or_nothing(
        self, subject: UnitOfWorkSubject
    ) -> None:
        """G10: what follows finds no lock, no open transaction and no half of anything."""

        async def run(work: Work) -> None:
            async with subject.unit_of_work():
                await work.write()

        for suspension in range(1, self.max_suspensions):
            work = Work(subject)
            async with asyncio.timeout(30):
                is_complete = await completes_despite_cancellation_at(suspension, run(work))
                assert await work.traces() in (ALL, NOTHING)
                again = Work(subject)
                await run(again)
                assert await again.traces() == ALL
            if is_complete:
                assert await work.traces() == ALL
                return
        pytest.fail(f"a unit of work with more than {self.max_suspensions} awaits")

    async def test_a_cancelled_task_rolls_back(self, subject: UnitOfWorkSubject) -> None:
        work, written = Work(subject), asyncio.Event()

        async def run() -> None:
            async with subject.unit_of_work():
                await work.write()
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(run())
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await work.traces() == NOTHING

    async def test_waiters_that_are_cancelled_leave_the_line(
        self, subject: UnitOfWorkSubject
    ) -> None:
        cancelled, last = [Work(subject) for _ in range(5)], Work(subject)

        async def run(work: Work) -> None:
            async with subject.unit_of_work():
                await work.write()

        async with subject.unit_of_work():
            await subject.event_store.append(new_stream(), new_events(1))
            tasks = [asyncio.create_task(run(work)) for work in cancelled]
            for _ in range(5):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await run(last)
        assert await last.traces() == ALL
        for work in cancelled:
            assert await subject.event_store.get_stream_version(work.stream) in (0, 2)
