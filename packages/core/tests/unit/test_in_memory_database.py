"""Units of work in memory: several databases, foreign ones, waiting and giving up."""

from __future__ import annotations

import asyncio

import pytest

from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryInbox,
    InMemoryRepository,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, TransientPersistenceError
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_core.testing.conformance import elsewhere, rolled_back
from cqrs_ddd_core.testing.samples import SampleOrder, new_events, new_order, new_stream


class ForeignUnitOfWork(UnitOfWork):
    """A unit of work of some other database."""

    async def _commit(self) -> None:
        pass

    async def _rollback(self) -> None:
        pass


async def test_adapters_made_without_a_database_share_a_unit_of_work_made_without_one() -> None:
    store, repository = InMemoryEventStore(), InMemoryRepository(SampleOrder)
    stream = new_stream()
    async with rolled_back(InMemoryUnitOfWork):
        await store.append(stream, new_events(1))
        await repository.save(new_order("o-1"))
    assert await store.get_stream_version(stream) == 0
    assert not await repository.exists("o-1")
    async with InMemoryUnitOfWork():
        await store.append(stream, new_events(1))
        await repository.save(new_order("o-1"))
    assert await store.get_stream_version(stream) == 1
    assert await repository.exists("o-1")


async def test_two_stores_made_without_a_database_have_nothing_in_common() -> None:
    stream = new_stream()
    await InMemoryEventStore().append(stream, new_events(1))
    assert await InMemoryEventStore().get_stream_version(stream) == 0


async def test_a_unit_of_work_of_one_database_refuses_writes_to_another() -> None:
    store, stream = InMemoryEventStore(InMemoryDatabase()), new_stream()
    async with InMemoryUnitOfWork(InMemoryDatabase()):
        assert await store.get_stream_version(stream) == 0
        with pytest.raises(ConfigurationError, match="same InMemoryDatabase"):
            await store.append(stream, new_events(1))
    assert await store.get_stream_version(stream) == 0


async def test_a_unit_of_work_of_another_kind_refuses_writes() -> None:
    store, stream = InMemoryEventStore(), new_stream()
    async with ForeignUnitOfWork():
        assert await store.get_events(stream) == []
        with pytest.raises(ConfigurationError, match="ForeignUnitOfWork"):
            await store.append(stream, new_events(1))
        with pytest.raises(ConfigurationError):
            await InMemoryInbox().receive("billing", new_id())


async def test_a_writer_that_waits_too_long_is_refused_and_can_try_again() -> None:
    database = InMemoryDatabase(lock_timeout=0.01)
    store, stream = InMemoryEventStore(database), new_stream()

    async with InMemoryUnitOfWork(database):
        await store.append(stream, new_events(1))
        with pytest.raises(TransientPersistenceError, match=r"0\.01 s"):
            await elsewhere(store.append(stream, new_events(1)))
    await store.append(stream, new_events(1))
    assert await store.get_stream_version(stream) == 2


async def test_two_units_of_work_that_wait_for_each_other_do_not_hang() -> None:
    one = InMemoryEventStore(InMemoryDatabase(lock_timeout=0.05))
    two = InMemoryEventStore(InMemoryDatabase(lock_timeout=0.05))

    async def write(first: InMemoryEventStore, second: InMemoryEventStore) -> None:
        async with InMemoryUnitOfWork():
            await first.append(new_stream(), new_events(1))
            await asyncio.sleep(0.01)
            await second.append(new_stream(), new_events(1))

    outcomes = await asyncio.gather(write(one, two), write(two, one), return_exceptions=True)
    assert any(isinstance(outcome, TransientPersistenceError) for outcome in outcomes)
    await write(one, two)


async def test_a_race_of_read_and_write_shows_in_memory() -> None:
    """Two commands that read one version and write the next are not simply run one by one."""
    repository = InMemoryRepository(SampleOrder)
    await repository.save(new_order("o-1"))

    async def change() -> None:
        async with InMemoryUnitOfWork():
            order = await repository.get("o-1")
            await repository.save(order)

    outcomes = await asyncio.gather(change(), change(), return_exceptions=True)
    assert sum(outcome is not None for outcome in outcomes) == 1


async def test_rolled_back_events_leave_a_hole_in_the_positions() -> None:
    store = InMemoryEventStore()
    await store.append(new_stream(), new_events(1))
    async with rolled_back(InMemoryUnitOfWork):
        await store.append(new_stream(), new_events(3))
    await store.append(new_stream(), new_events(1))
    assert [event.position async for event in store.read_all()] == [1, 5]


async def test_a_unit_of_work_that_was_only_read_holds_nobody_up() -> None:
    database = InMemoryDatabase(lock_timeout=0.01)
    store, stream = InMemoryEventStore(database), new_stream()
    async with InMemoryUnitOfWork(database):
        await store.get_events(stream)
        await elsewhere(store.append(stream, new_events(1)))
    assert await store.get_latest_position() == 1
