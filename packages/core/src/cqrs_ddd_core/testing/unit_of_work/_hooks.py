"""What runs before and after the commit, and what refuses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.ports.unit_of_work import UnitOfWork, UnitOfWorkState
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory, get_current_uow
from cqrs_ddd_core.primitives.exceptions import (
    UnitOfWorkError,
    UnrecordedEventsError,
    UnsavedChangesError,
)
from cqrs_ddd_core.testing.conformance import Veto, rolled_back
from cqrs_ddd_core.testing.samples import place_order
from cqrs_ddd_core.testing.unit_of_work._suite import (
    ALL,
    NOTHING,
    UnitOfWorkSubject,
    UnitOfWorkSuite,
    Work,
)

if TYPE_CHECKING:
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["HookTests"]


class HookTests(UnitOfWorkSuite):
    async def test_hooks_run_after_the_commit_in_order(self, subject: UnitOfWorkSubject) -> None:
        work, seen = Work(subject), list[object]()

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
        work, seen = Work(subject), list[str]()

        async def fail() -> None:
            raise Veto

        async def note() -> None:
            seen.append("ran")

        async with subject.unit_of_work() as uow:
            uow.on_commit(fail)
            uow.on_commit(note)
            await work.write()
        assert seen == ["ran"]
        assert await work.traces() == ALL
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
        work = Work(subject)

        async def write(_: UnitOfWork) -> None:
            await work.write()

        async with subject.unit_of_work() as uow:
            uow.before_commit(write)
        assert await work.traces() == ALL

    async def test_an_exception_before_the_commit_rolls_back(
        self, subject: UnitOfWorkSubject
    ) -> None:
        work = Work(subject)

        async def veto(_: UnitOfWork) -> None:
            raise Veto

        uow = subject.unit_of_work()
        uow.before_commit(veto)
        with pytest.raises(Veto):
            async with uow:
                await work.write()
        assert uow.state is UnitOfWorkState.ROLLED_BACK
        assert await work.traces() == NOTHING

    async def test_events_that_were_never_saved_refuse_the_commit(
        self, subject: UnitOfWorkSubject
    ) -> None:
        work, order = Work(subject), place_order()
        uow = subject.unit_of_work()
        uow.track(order)
        with pytest.raises(UnsavedChangesError):
            async with uow:
                await work.write()
        assert await work.traces() == NOTHING

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
        work, order = Work(subject), place_order()
        uow = subject.unit_of_work()
        uow.add_events([event for _, event in order.raised_events()])
        with pytest.raises(UnrecordedEventsError, match="SampleOrderPlaced"):
            async with uow:
                await work.write()
        assert await work.traces() == NOTHING
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
        work = Work(subject)
        uow = subject.unit_of_work()
        uow.refuse_commit("half of it failed")
        with pytest.raises(UnitOfWorkError, match="half of it failed"):
            async with uow:
                await work.write()
        assert await work.traces() == NOTHING
