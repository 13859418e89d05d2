"""It is current in its block and its task, and used once."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory, get_current_uow
from cqrs_ddd_core.primitives.exceptions import UnitOfWorkError
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import new_events, new_stream
from cqrs_ddd_core.testing.unit_of_work._suite import (
    NOTHING,
    UnitOfWorkSubject,
    UnitOfWorkSuite,
    Work,
)

__all__ = ["LifeTests"]


class LifeTests(UnitOfWorkSuite):
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
        inner, outer = Work(subject), new_stream()
        async with subject.unit_of_work() as first:
            async with rolled_back(subject.unit_of_work) as second:
                assert get_current_uow() is second
                await inner.write()
            assert get_current_uow() is first
            await subject.event_store.append(outer, new_events(1))
        assert await inner.traces() == NOTHING
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
