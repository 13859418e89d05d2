"""The wiring: which handler serves which message, and where everything is kept."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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
from record_store.customer import Customer, CustomerJoined
from record_store.purchase import Purchase, PurchaseRecorded
from record_store.queries import GetRevenueByMonth, GetTopCustomers, GetTotals, Reports
from record_store.record_purchase import RecordPurchase, RecordPurchaseHandler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["open_store"]


@asynccontextmanager
async def open_store(database_url: str) -> AsyncIterator[Mediator]:
    """Bring the tables up to date and yield the mediator that works on them."""
    engine = create_engine(database_url)
    _make_folder(engine.url)
    try:
        await upgrade(engine)
        async with engine.begin() as connection:
            await connection.run_sync(read_models.metadata.create_all)
        yield _mediator(engine)
    finally:
        await engine.dispose()


def _make_folder(url: URL) -> None:
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _mediator(engine: AsyncEngine) -> Mediator:
    return Mediator(
        _handlers(engine),
        partial(SQLAlchemyUnitOfWork, engine),
        middlewares=[RetryMiddleware(), IdempotencyMiddleware(SQLAlchemyInbox(engine))],
        event_store=SQLAlchemyEventStore(engine),
        outbox=SQLAlchemyOutboxStorage(engine),
    )


def _handlers(engine: AsyncEngine) -> HandlerRegistry:
    registry = HandlerRegistry()
    registry.register_command_handler(
        RecordPurchase,
        RecordPurchaseHandler(
            SQLAlchemyRepository(Customer, engine),
            SQLAlchemyRepository(Purchase, engine),
            SystemClock(),
        ),
    )
    registry.register_event_handler(CustomerJoined, read_models.add_customer)
    registry.register_event_handler(PurchaseRecorded, read_models.add_to_customer)
    registry.register_event_handler(PurchaseRecorded, read_models.add_to_month)
    reports = Reports(engine)
    registry.register_query_handler(GetTopCustomers, reports.top_customers)
    registry.register_query_handler(GetRevenueByMonth, reports.revenue_by_month)
    registry.register_query_handler(GetTotals, reports.totals)
    return registry
