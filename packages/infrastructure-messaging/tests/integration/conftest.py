"""Databases in which the effects of messages are kept, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryInbox,
    InMemoryOutboxStorage,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.event_store import ANY, IEventStore, StreamId
from cqrs_ddd_core.ports.inbox import IInbox
from cqrs_ddd_core.ports.outbox import IOutboxStorage, OutboxMessage
from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
from cqrs_ddd_core.testing.samples import new_event
from cqrs_ddd_infrastructure_messaging.idempotency import IdempotentConsumer
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyInbox,
    SQLAlchemyOutboxStorage,
    SQLAlchemyUnitOfWork,
    create_engine,
)
from tools.services.tables import make_tables


@dataclass
class Stores:
    """What a service keeps in its own database."""

    inbox: IInbox
    unit_of_work: UnitOfWorkFactory
    event_store: IEventStore
    outbox: IOutboxStorage

    async def apply(self, message: OutboxMessage) -> None:
        """Have an effect: an event that names the message and its cause, in its stream."""
        stream = StreamId("Effect", message.stream)
        event = new_event(
            metadata={"message": str(message.message_id), "tenant": message.tenant_id},
            causation_id=get_context().causation_id,
            correlation_id=get_context().correlation_id,
        )
        await self.event_store.append(stream, [event], expected_version=ANY)

    async def effects(self) -> Counter[str]:
        """Return how often each message had its effect."""
        return Counter([one async for one in self._effects()])

    async def effects_in_order(self, stream: str) -> list[str]:
        """Return the messages that had an effect in a stream."""
        stored = await self.event_store.get_events(StreamId("Effect", stream))
        return [event.metadata["message"] for event in stored]

    def consumer(self, handler: Any = None, **options: Any) -> IdempotentConsumer:
        """Return a consumer whose handler has effects here."""
        return IdempotentConsumer(
            handler or self.apply,
            consumer="suite",
            inbox=self.inbox,
            uow_factory=self.unit_of_work,
            **options,
        )

    @staticmethod
    def once(messages: Iterable[OutboxMessage]) -> Counter[str]:
        """Return that each message had its effect once."""
        return Counter({str(message.message_id): 1 for message in messages})

    async def _effects(self) -> AsyncIterator[str]:
        async for event in self.event_store.read_all():
            yield event.metadata["message"]


@asynccontextmanager
async def _on_sql(url: str) -> AsyncIterator[Stores]:
    engine = create_engine(url)
    try:
        await make_tables(engine)
        yield Stores(
            SQLAlchemyInbox(engine),
            lambda: SQLAlchemyUnitOfWork(engine),
            SQLAlchemyEventStore(engine),
            SQLAlchemyOutboxStorage(engine),
        )
    finally:
        await engine.dispose()


def _in_memory() -> Stores:
    database = InMemoryDatabase()
    return Stores(
        InMemoryInbox(database),
        lambda: InMemoryUnitOfWork(database),
        InMemoryEventStore(database),
        InMemoryOutboxStorage(database),
    )


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    """Each database in turn, empty."""
    if request.param == "memory":
        yield _in_memory()
        return
    url = f"sqlite:///{tmp_path}/test.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_database")
    async with _on_sql(url) as found:
        yield found


@pytest.fixture
async def postgres_stores(postgres_database: str) -> AsyncIterator[Stores]:
    async with _on_sql(postgres_database) as found:
        yield found
