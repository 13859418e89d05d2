"""The wiring: which handler serves which message, and where everything is kept."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cqrs_ddd_advanced_core.event_sourcing import (
    EventSourcedMediatorFactory,
    EventSourcedRepository,
)
from cqrs_ddd_core import HandlerRegistry, Mediator
from cqrs_ddd_core.middleware import IdempotencyMiddleware, RetryMiddleware
from cqrs_ddd_core.primitives import SystemClock
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyInbox,
    SQLAlchemyOutboxStorage,
    SQLAlchemyRepository,
    SQLAlchemyUnitOfWork,
    create_engine,
    upgrade,
)
from record_store import read_models
from record_store.announcements import Announcements
from record_store.customer import Customer, CustomerJoined
from record_store.purchase import Purchase, PurchaseRecorded
from record_store.queries import GetRevenueByMonth, GetTopCustomers, GetTotals, Reports
from record_store.record_purchase import RecordPurchase, RecordPurchaseHandler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

    from cqrs_ddd_core.ports.middleware import IMiddleware

__all__ = ["open_store"]


@asynccontextmanager
async def open_store(
    database_url: str, *, event_sourced: bool = False, announce: bool = False
) -> AsyncIterator[Mediator]:
    """Bring the tables up to date and yield the mediator that works on them.

    Args:
        database_url: Of SQLite or PostgreSQL.
        event_sourced: Whether aggregates are kept as their events only, instead of as documents
            with their events beside them.
        announce: Whether the outbox gets announcements for other services, instead of the events.
    """
    engine = create_engine(database_url)
    _make_folder(engine.url)
    try:
        await upgrade(engine)
        async with engine.begin() as connection:
            await connection.run_sync(read_models.metadata.create_all)
        make = _event_sourced if event_sourced else _with_documents
        yield make(engine, announce=announce)
    finally:
        await engine.dispose()


def _make_folder(url: URL) -> None:
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _with_documents(engine: AsyncEngine, *, announce: bool) -> Mediator:
    handler = RecordPurchaseHandler(
        SQLAlchemyRepository(Customer, engine),
        SQLAlchemyRepository(Purchase, engine),
        SystemClock(),
    )
    return Mediator(
        _handlers(engine, handler, announce=announce),
        partial(SQLAlchemyUnitOfWork, engine),
        middlewares=_middlewares(engine),
        event_store=SQLAlchemyEventStore(engine),
        outbox=None if announce else SQLAlchemyOutboxStorage(engine),
    )


def _event_sourced(engine: AsyncEngine, *, announce: bool) -> Mediator:
    events = SQLAlchemyEventStore(engine)
    handler = RecordPurchaseHandler(
        EventSourcedRepository(events, Customer),
        EventSourcedRepository(events, Purchase),
        SystemClock(),
    )
    factory = EventSourcedMediatorFactory(
        events,
        partial(SQLAlchemyUnitOfWork, engine),
        _handlers(engine, handler, announce=announce),
        middlewares=_middlewares(engine),
        outbox=None if announce else SQLAlchemyOutboxStorage(engine),
    )
    for aggregate in (Customer, Purchase):
        factory.register_event_sourced_type(aggregate.aggregate_type)
    return factory.create()


def _middlewares(engine: AsyncEngine) -> list[IMiddleware]:
    return [RetryMiddleware(), IdempotencyMiddleware(SQLAlchemyInbox(engine))]


def _handlers(
    engine: AsyncEngine, record_purchase: RecordPurchaseHandler, *, announce: bool
) -> HandlerRegistry:
    registry = HandlerRegistry()
    registry.register_command_handler(RecordPurchase, record_purchase)
    registry.register_event_handler(CustomerJoined, read_models.add_customer)
    registry.register_event_handler(PurchaseRecorded, read_models.add_to_customer)
    registry.register_event_handler(PurchaseRecorded, read_models.add_to_month)
    if announce:
        announcements = Announcements(SQLAlchemyOutboxStorage(engine))
        registry.register_event_handler(PurchaseRecorded, announcements.announce)
    reports = Reports(engine)
    registry.register_query_handler(GetTopCustomers, reports.top_customers)
    registry.register_query_handler(GetRevenueByMonth, reports.revenue_by_month)
    registry.register_query_handler(GetTotals, reports.totals)
    return registry
