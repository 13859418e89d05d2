"""All or nothing."""

from __future__ import annotations

import asyncio

from cqrs_ddd_core.ports.unit_of_work import UnitOfWorkState
from cqrs_ddd_core.testing.conformance import Veto, elsewhere, needs, rolled_back
from cqrs_ddd_core.testing.samples import new_stream
from cqrs_ddd_core.testing.unit_of_work._suite import (
    ALL,
    NOTHING,
    UnitOfWorkSubject,
    UnitOfWorkSuite,
    Work,
)

__all__ = ["AtomicityTests"]


class AtomicityTests(UnitOfWorkSuite):
    async def test_leaving_the_block_commits_everything(self, subject: UnitOfWorkSubject) -> None:
        """G1."""
        work = Work(subject)
        async with subject.unit_of_work() as uow:
            await work.write()
        assert uow.state is UnitOfWorkState.COMMITTED
        assert await work.traces() == ALL

    async def test_an_exception_rolls_everything_back(self, subject: UnitOfWorkSubject) -> None:
        """S-9, A-6: events, outbox message and inbox mark vanish together."""
        work = Work(subject)
        async with rolled_back(subject.unit_of_work) as uow:
            await work.write()
        assert uow.state is UnitOfWorkState.ROLLED_BACK
        assert await work.traces() == NOTHING

    async def test_a_rollback_by_hand_undoes_everything(self, subject: UnitOfWorkSubject) -> None:
        work = Work(subject)
        async with subject.unit_of_work() as uow:
            await work.write()
            await uow.rollback()
        assert uow.state is UnitOfWorkState.ROLLED_BACK
        assert await work.traces() == NOTHING

    async def test_a_commit_by_hand_is_final(self, subject: UnitOfWorkSubject) -> None:
        work = Work(subject)
        async with rolled_back(subject.unit_of_work) as uow:
            await work.write()
            await uow.commit()
        assert uow.state is UnitOfWorkState.COMMITTED
        assert await work.traces() == ALL

    @needs("concurrent_transactions")
    async def test_others_see_nothing_before_the_commit(self, subject: UnitOfWorkSubject) -> None:
        work = Work(subject)
        async with subject.unit_of_work():
            await work.write()
            assert await elsewhere(subject.event_store.get_stream_version(work.stream)) == 0
            assert await elsewhere(subject.outbox.count_pending()) == 0
        assert await work.traces() == ALL

    async def test_many_at_once_stay_apart(self, subject: UnitOfWorkSubject) -> None:
        works = [Work(subject) for _ in range(12)]

        async def run(number: int, work: Work) -> None:
            async with subject.unit_of_work():
                await work.write()
                await asyncio.sleep(0)
                if number % 2:
                    raise Veto

        outcomes = await asyncio.gather(
            *(run(number, work) for number, work in enumerate(works)), return_exceptions=True
        )
        assert [isinstance(outcome, Veto) for outcome in outcomes] == [False, True] * 6
        for number, work in enumerate(works):
            found = await subject.event_store.get_stream_version(work.stream)
            assert found == (0 if number % 2 else 2)
        assert await subject.outbox.count_pending() == 6

    async def test_one_without_writes_commits(self, subject: UnitOfWorkSubject) -> None:
        async with subject.unit_of_work():
            pass
        async with subject.unit_of_work() as uow:
            assert await subject.event_store.get_stream_version(new_stream()) == 0
        assert uow.state is UnitOfWorkState.COMMITTED
