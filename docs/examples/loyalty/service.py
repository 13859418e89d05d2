"""The wiring: what arrives, what it does, and where that is kept."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from cqrs_ddd_core import EventDispatcher, EventTypeRegistry
from cqrs_ddd_core.cqrs import EventSerializer
from cqrs_ddd_infrastructure_messaging import IdempotentConsumer, handle_events
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyInbox,
    SQLAlchemyUnitOfWork,
    create_engine,
    upgrade,
)
from loyalty import accounts
from loyalty.purchase_announced import PurchaseAnnounced

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["CONSUMER", "MESSAGE_TYPES", "open_service"]

#: Name under which this service receives messages and remembers them.
CONSUMER = "loyalty"
MESSAGE_TYPES = (PurchaseAnnounced.event_type,)


@asynccontextmanager
async def open_service(database_url: str) -> AsyncIterator[IdempotentConsumer]:
    """Bring the tables up to date and yield what handles messages, each with one effect.

    Points and the mark that their message was handled commit together.
    """
    engine = create_engine(database_url)
    dispatcher = EventDispatcher()
    dispatcher.register(PurchaseAnnounced, accounts.earn)
    serializer = EventSerializer(EventTypeRegistry([PurchaseAnnounced]))
    try:
        await upgrade(engine)
        async with engine.begin() as connection:
            await connection.run_sync(accounts.metadata.create_all)
        yield IdempotentConsumer(
            handle_events(dispatcher, serializer),
            consumer=CONSUMER,
            inbox=SQLAlchemyInbox(engine),
            uow_factory=partial(SQLAlchemyUnitOfWork, engine),
        )
    finally:
        await engine.dispose()
