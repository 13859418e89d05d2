"""What every unit of work must do, together with the stores of its database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest

from cqrs_ddd_core.ports.event_store import IEventStore, StreamId
from cqrs_ddd_core.ports.inbox import IInbox
from cqrs_ddd_core.ports.outbox import IOutboxStorage
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork, UnitOfWorkState
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory, get_current_uow
from cqrs_ddd_core.primitives.exceptions import (
    UnitOfWorkError,
    UnrecordedEventsError,
    UnsavedChangesError,
)
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.cancellation import completes_despite_cancellation_at
from cqrs_ddd_core.testing.conformance import Conformance, Veto, elsewhere, rolled_back
from cqrs_ddd_core.testing.samples import new_events, new_message, new_stream, place_order

if TYPE_CHECKING:
    from uuid import UUID

    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["UnitOfWorkConformance", "UnitOfWorkSubject"]


@dataclass(frozen=True)
class UnitOfWorkSubject:
    """Units of work of one empty database, and the stores that join them."""

    unit_of_work: UnitOfWorkFactory
    event_store: IEventStore
    outbox: IOutboxStorage
    inbox: IInbox


class UnitOfWorkConformance(Conformance):
    """All or nothing, hooks, nesting, tasks and cancellation."""

    #: How many awaits of a writing unit of work are cancelled at most.
    max_suspensions: ClassVar[int] = 400

    @pytest.fixture
    def subject(self) -> UnitOfWorkSubject:
        raise NotImplementedError("yield a UnitOfWorkSubject of an empty database")

    @pytest.fixture
    def unit_of_work(self, subject: UnitOfWorkSubject) -> UnitOfWorkFactory:
        return subject.unit_of_work

    # -- all or nothing -----------------------------------------------------------------------

    async def test_leaving_the_block_commits_everything(self, subject: UnitOfWorkSubject) -> None:
        """G1."""
        work = _Work(subject)
        async with subject.unit_of_work() as uow:
            await work.write()
        assert uow.state is UnitOfWorkState.COMMITTED
        assert await work.traces() == _ALL

    async def test_an_exception_rolls_everything_back(self, subject: UnitOfWorkSubject) -> None:
        """S-9, A-6: events, outbox message and inbox mark vanish together."""
        work = _Work(subject)
        async with rolled_back(subject.unit_of_work) as uow:
            await work.write()
        assert uow.state is UnitOfWorkState.ROLLED_BACK
        assert await work.traces() == _NOTHING

    async def test_a_rollback_by_hand_undoes_everything(self, subject: UnitOfWorkSubject) -> None:
        work = _Work(subject)
        async with subject.unit_of_work() as uow:
            await work.write()
            await uow.rollback()
        assert uow.state is UnitOfWorkState.ROLLED_BACK
        assert await work.traces() == _NOTHING

    async def test_a_commit_by_hand_is_final(self, subject: UnitOfWorkSubject) -> None:
        work = _Work(subject)
        async with rolled_back(subject.unit_of_work) as uow:
            await work.write()
            await uow.commit()
        assert uow.state is UnitOfWorkState.COMMITTED
        assert await work.traces() == _ALL

    @pytest.mark.needs("concurrent_transactions")
    async def test_others_see_nothing_before_the_commit(self, subject: UnitOfWorkSubject) -> None:
        work = _Work(subject)
        async with subject.unit_of_work():
            await work.write()
            assert await elsewhere(subject.event_store.get_stream_version(work.stream)) == 0
            assert await elsewhere(subject.outbox.count_pending()) == 0
        assert await work.traces() == _ALL

    async def test_many_at_once_stay_apart(self, subject: UnitOfWorkSubject) -> None:
        works = [_Work(subject) for _ in range(12)]

        async def run(number: int, work: _Work) -> None:
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

    # -- its life -----------------------------------------------------------------------------

    async def test_it_is_current_inside_its_block_only(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        assert get_current_uow() is None
        async with unit_of_work() as uow:
            assert get_current_uow() is uow
        assert get_current_uow() is None

    async def test_a_failed_block_leaves_no_current_one(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        async with rolled_back(unit_of_work):
            pass
        assert get_current_uow() is None

    async def test_it_is_used_once(self, unit_of_work: UnitOfWorkFactory) -> None:
        async with unit_of_work() as uow:
            pass
        with pytest.raises(UnitOfWorkError):
            async with uow:
                pass

    @pytest.mark.parametrize("end", ["commit", "rollback"])
    async def test_it_refuses_writes_after_its_end(
        self, subject: UnitOfWorkSubject, end: str
    ) -> None:
        stream = new_stream()
        async with subject.unit_of_work() as uow:
            await (uow.commit() if end == "commit" else uow.rollback())
            with pytest.raises(UnitOfWorkError):
                await subject.event_store.append(stream, new_events(1))
        assert await subject.event_store.get_stream_version(stream) == 0

    async def test_the_outer_one_is_current_again_after_an_inner_one(
        self, subject: UnitOfWorkSubject
    ) -> None:
        inner, outer = _Work(subject), new_stream()
        async with subject.unit_of_work() as first:
            async with rolled_back(subject.unit_of_work) as second:
                assert get_current_uow() is second
                await inner.write()
            assert get_current_uow() is first
            await subject.event_store.append(outer, new_events(1))
        assert await inner.traces() == _NOTHING
        assert await subject.event_store.get_stream_version(outer) == 1

    async def test_a_task_started_inside_has_no_current_one(
        self, subject: UnitOfWorkSubject
    ) -> None:
        """C-2: it outlives the unit of work, and what it does is committed on its own."""
        stream, ended = new_stream(), asyncio.Event()

        async def outlive() -> UnitOfWork | None:
            current = get_current_uow()
            await ended.wait()
            await subject.event_store.append(stream, new_events(1))
            return current

        async with rolled_back(subject.unit_of_work):
            task = asyncio.create_task(outlive())
            await asyncio.sleep(0)
        ended.set()
        assert await task is None
        assert await subject.event_store.get_stream_version(stream) == 1

    # -- hooks --------------------------------------------------------------------------------

    async def test_hooks_run_after_the_commit_in_order(self, subject: UnitOfWorkSubject) -> None:
        work, seen = _Work(subject), list[object]()

        async def look() -> None:
            seen.append(await subject.event_store.get_stream_version(work.stream))
            seen.append(get_current_uow())

        async def note() -> None:
            seen.append("second")

        async with subject.unit_of_work() as uow:
            uow.on_commit(look)
            uow.on_commit(note)
            await work.write()
            assert seen == []
        assert seen == [2, None, "second"]

    async def test_a_failing_hook_changes_nothing(
        self, subject: UnitOfWorkSubject, caplog: pytest.LogCaptureFixture
    ) -> None:
        work, seen = _Work(subject), list[str]()

        async def fail() -> None:
            raise Veto

        async def note() -> None:
            seen.append("ran")

        async with subject.unit_of_work() as uow:
            uow.on_commit(fail)
            uow.on_commit(note)
            await work.write()
        assert seen == ["ran"]
        assert await work.traces() == _ALL
        assert any(record.exc_info for record in caplog.records)

    async def test_hooks_of_a_rolled_back_one_never_run(self, subject: UnitOfWorkSubject) -> None:
        seen = list[str]()

        async def note() -> None:
            seen.append("ran")

        async with rolled_back(subject.unit_of_work) as uow:
            uow.on_commit(note)
        assert seen == []

    async def test_what_is_written_before_the_commit_belongs_to_it(
        self, subject: UnitOfWorkSubject
    ) -> None:
        work = _Work(subject)

        async def write(_: UnitOfWork) -> None:
            await work.write()

        async with subject.unit_of_work() as uow:
            uow.before_commit(write)
        assert await work.traces() == _ALL

    async def test_an_exception_before_the_commit_rolls_back(
        self, subject: UnitOfWorkSubject
    ) -> None:
        work = _Work(subject)

        async def veto(_: UnitOfWork) -> None:
            raise Veto

        uow = subject.unit_of_work()
        uow.before_commit(veto)
        with pytest.raises(Veto):
            async with uow:
                await work.write()
        assert uow.state is UnitOfWorkState.ROLLED_BACK
        assert await work.traces() == _NOTHING

    async def test_events_that_were_never_saved_refuse_the_commit(
        self, subject: UnitOfWorkSubject
    ) -> None:
        work, order = _Work(subject), place_order()
        uow = subject.unit_of_work()
        uow.track(order)
        with pytest.raises(UnsavedChangesError):
            async with uow:
                await work.write()
        assert await work.traces() == _NOTHING

    async def test_events_are_forgotten_by_the_aggregate_after_the_commit_only(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        order = place_order()
        async with rolled_back(unit_of_work) as uow:
            uow.save_events(order)
        assert len(order.get_uncommitted_events()) == 1
        async with unit_of_work() as uow:
            uow.save_events(order)
            uow.take_events()
        assert order.get_uncommitted_events() == []

    async def test_the_current_one_is_found_by_its_type(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        async with unit_of_work() as uow:
            assert UnitOfWork.current() is uow
            assert type(uow).current() is uow
        with pytest.raises(UnitOfWorkError, match="run it in a command"):
            UnitOfWork.current()

    async def test_events_nobody_records_refuse_the_commit(
        self, subject: UnitOfWorkSubject
    ) -> None:
        work, order = _Work(subject), place_order()
        uow = subject.unit_of_work()
        uow.add_events([event for _, event in order.raised_events()])
        with pytest.raises(UnrecordedEventsError, match="SampleOrderPlaced"):
            async with uow:
                await work.write()
        assert await work.traces() == _NOTHING
        assert len(order.get_uncommitted_events()) == 1

    async def test_the_first_recorder_takes_the_events_after_every_other_hook(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        late, taken = place_order(), list[str]()

        async def add_late(uow: UnitOfWork) -> None:
            uow.save_events(late)

        async def record(uow: UnitOfWork) -> list[DomainEvent]:
            events = uow.take_events()
            taken.extend(event.event_type for event in events)
            return events

        async def never(_uow: UnitOfWork) -> list[DomainEvent]:
            raise AssertionError

        async with unit_of_work() as uow:
            uow.record_with(record)
            uow.record_with(never)
            uow.before_commit(add_late)
        assert taken == [event.event_type for event in uow.recorded_events] == ["SampleOrderPlaced"]

    async def test_a_unit_of_work_that_must_not_commit_rolls_back_and_says_why(
        self, subject: UnitOfWorkSubject
    ) -> None:
        work = _Work(subject)
        uow = subject.unit_of_work()
        uow.refuse_commit("half of it failed")
        with pytest.raises(UnitOfWorkError, match="half of it failed"):
            async with uow:
                await work.write()
        assert await work.traces() == _NOTHING

    # -- cancellation -------------------------------------------------------------------------

    async def test_cancellation_at_any_await_leaves_all_or_nothing(
        self, subject: UnitOfWorkSubject
    ) -> None:
        """G10: what follows finds no lock, no open transaction and no half of anything."""

        async def run(work: _Work) -> None:
            async with subject.unit_of_work():
                await work.write()

        for suspension in range(1, self.max_suspensions):
            work = _Work(subject)
            async with asyncio.timeout(30):
                is_complete = await completes_despite_cancellation_at(suspension, run(work))
                assert await work.traces() in (_ALL, _NOTHING)
                again = _Work(subject)
                await run(again)
                assert await again.traces() == _ALL
            if is_complete:
                assert await work.traces() == _ALL
                return
        pytest.fail(f"a unit of work with more than {self.max_suspensions} awaits")

    async def test_a_cancelled_task_rolls_back(self, subject: UnitOfWorkSubject) -> None:
        work, written = _Work(subject), asyncio.Event()

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
        assert await work.traces() == _NOTHING

    async def test_waiters_that_are_cancelled_leave_the_line(
        self, subject: UnitOfWorkSubject
    ) -> None:
        cancelled, last = [_Work(subject) for _ in range(5)], _Work(subject)

        async def run(work: _Work) -> None:
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
        assert await last.traces() == _ALL
        for work in cancelled:
            assert await subject.event_store.get_stream_version(work.stream) in (0, 2)


#: Version of the stream, whether the outbox has the message, whether the inbox has the mark.
_ALL = (2, True, True)
_NOTHING = (0, False, False)


class _Work:
    """One write to each store, and what is left of it afterwards."""

    def __init__(self, subject: UnitOfWorkSubject) -> None:
        self._subject = subject
        self.stream: StreamId = new_stream()
        self._message_id: UUID = new_id()

    async def write(self) -> None:
        assert await self._subject.inbox.receive("worker", self._message_id) is None
        await self._subject.event_store.append(self.stream, new_events(2))
        message = new_message(str(self.stream), message_id=self._message_id)
        await self._subject.outbox.save_messages([message])

    async def traces(self) -> tuple[int, bool, bool]:
        version = await self._subject.event_store.get_stream_version(self.stream)
        return version, await self._is_in_outbox(), await self._is_in_inbox()

    async def _is_in_outbox(self) -> bool:
        outbox = self._subject.outbox
        leases = await outbox.lease_partitions("traces", seconds=60)
        claimed = await outbox.claim_pending(leases, limit=10_000)
        await outbox.release_partitions("traces")
        return any(item.message.message_id == self._message_id for item in claimed)

    async def _is_in_inbox(self) -> bool:
        async with self._subject.unit_of_work() as uow:
            known = await self._subject.inbox.receive("worker", self._message_id)
            await uow.rollback()
        return known is not None
