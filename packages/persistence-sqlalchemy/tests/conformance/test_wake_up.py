"""Wake-ups through PostgreSQL keep what their port says, and outlive their connection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from cqrs_ddd_core.adapters.memory import InMemoryWakeUp
from cqrs_ddd_core.outbox import OutboxService, OutboxWorker
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.ports.wake_up import EVENTS_TOPIC, OUTBOX_TOPIC
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_core.testing import WakeUpConformance, WakeUpSubject
from cqrs_ddd_core.testing.conformance import rolled_back
from cqrs_ddd_core.testing.samples import new_event, new_message, new_stream
from cqrs_ddd_core.testing.wake_up import Calls
from cqrs_ddd_persistence_sqlalchemy import (
    PostgresWakeUp,
    SQLAlchemyEventStore,
    SQLAlchemyOutboxStorage,
    SQLAlchemyUnitOfWork,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


class _Publisher(IMessagePublisher):
    def __init__(self, published: Calls) -> None:
        self._published = published

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        self._published()
        return [None] * len(messages)


class TestPostgresWakeUp(WakeUpConformance):
    @pytest.fixture
    def subject(self, postgres_engine: AsyncEngine) -> WakeUpSubject:
        return WakeUpSubject(
            PostgresWakeUp(postgres_engine),
            PostgresWakeUp(postgres_engine),
            lambda: SQLAlchemyUnitOfWork(postgres_engine),
        )


async def test_sqlite_is_refused(sqlite_engine: AsyncEngine) -> None:
    with pytest.raises(ConfigurationError, match="InMemoryWakeUp"):
        PostgresWakeUp(sqlite_engine)


async def test_a_lost_connection_wakes_everybody_when_it_is_back(
    postgres_engine: AsyncEngine,
) -> None:
    """X-1: whatever was announced meanwhile is found."""
    calls = Calls()
    wake_up = PostgresWakeUp(postgres_engine, backoff=ExponentialBackoff(initial=0.01))
    wake_up.listen("orders", calls)
    await wake_up.start()
    try:
        for _ in range(3):
            await calls.wait()
            async with postgres_engine.begin() as connection:
                await connection.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        await calls.wait()
    finally:
        await wake_up.stop()


async def test_its_connection_is_none_of_the_pool(postgres_engine: AsyncEngine) -> None:
    wake_up, calls = PostgresWakeUp(postgres_engine), Calls()
    wake_up.listen("orders", calls)
    await wake_up.start()
    await calls.wait()
    assert postgres_engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await wake_up.stop()


async def test_a_message_saved_elsewhere_is_published_without_waiting_for_the_poll(
    postgres_engine: AsyncEngine,
) -> None:
    near, far, published = PostgresWakeUp(postgres_engine), PostgresWakeUp(postgres_engine), Calls()
    relay = OutboxWorker(
        OutboxService(SQLAlchemyOutboxStorage(postgres_engine), _Publisher(published)),
        poll_interval=3600.0,
    )
    far.listen(OUTBOX_TOPIC, relay.trigger)
    listens = Calls()
    far.listen(OUTBOX_TOPIC, listens)
    await near.start()
    await far.start()
    await relay.start()
    await listens.wait()
    storage = SQLAlchemyOutboxStorage(postgres_engine, wake_up=near)
    async with asyncio.timeout(30):
        while not published.count:
            async with SQLAlchemyUnitOfWork(postgres_engine):
                await storage.save_messages([new_message()])
            await asyncio.sleep(0.05)
    await relay.stop()
    await near.stop()
    await far.stop()


async def test_new_events_are_announced_after_their_commit(engine: AsyncEngine) -> None:
    wake_up, calls = InMemoryWakeUp(), Calls()
    wake_up.listen(EVENTS_TOPIC, calls)
    store = SQLAlchemyEventStore(engine, wake_up=wake_up)
    async with SQLAlchemyUnitOfWork(engine):
        await store.append(new_stream(), [new_event()])
        assert calls.count == 0
    assert calls.count == 1
    async with rolled_back(lambda: SQLAlchemyUnitOfWork(engine)):
        await store.append(new_stream(), [new_event()])
    assert calls.count == 1
    await store.append(new_stream(), [new_event()])
    assert calls.count == 2
    await store.append(new_stream(), [])
    assert calls.count == 2


async def test_an_event_appended_elsewhere_is_heard_of(postgres_engine: AsyncEngine) -> None:
    near, far, heard = PostgresWakeUp(postgres_engine), PostgresWakeUp(postgres_engine), Calls()
    far.listen(EVENTS_TOPIC, heard)
    await near.start()
    await far.start()
    await heard.wait()
    known, store = heard.count, SQLAlchemyEventStore(postgres_engine, wake_up=near)
    async with asyncio.timeout(30):
        while heard.count == known:
            async with SQLAlchemyUnitOfWork(postgres_engine):
                await store.append(new_stream(), [new_event()])
            await asyncio.sleep(0.05)
    await near.stop()
    await far.stop()
