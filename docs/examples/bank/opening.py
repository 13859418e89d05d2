"""The wiring: where the bank keeps its events, and what it does with them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bank.account import Account, MoneyDeposited
from bank.commands import handlers
from bank.schema_change import upcasters
from bank.undoing import SendItBack
from cqrs_ddd_advanced_core import EventSourcedMediatorFactory, EventSourcedRepository
from cqrs_ddd_advanced_core.adapters.memory import InMemorySnapshotStore, InMemoryUndoHistory
from cqrs_ddd_advanced_core.conflict import EventConflictPolicy
from cqrs_ddd_advanced_core.event_sourcing import EventReplayService
from cqrs_ddd_advanced_core.snapshots import EveryNEventsStrategy, SnapshotStore
from cqrs_ddd_advanced_core.undo import UndoExecutorRegistry, UndoService
from cqrs_ddd_core.adapters.memory import InMemoryDatabase, InMemoryEventStore, InMemoryUnitOfWork
from cqrs_ddd_core.middleware import RetryMiddleware
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemySnapshotStore,
    SQLAlchemyUndoHistory,
    SQLAlchemyUnitOfWork,
    create_engine,
    upgrade,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cqrs_ddd_advanced_core.ports import ISnapshotStore, IUndoHistory
    from cqrs_ddd_core import IEventStore, Mediator
    from cqrs_ddd_core.ports.unit_of_work_scope import UnitOfWorkFactory
    from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry
    from cqrs_ddd_core.primitives import IClock

__all__ = ["Bank", "open_bank"]


@dataclass(frozen=True)
class Adapters:
    """What is different from database to database."""

    events: IEventStore
    snapshots: ISnapshotStore
    undo_history: IUndoHistory
    unit_of_work: UnitOfWorkFactory


@dataclass(frozen=True)
class Bank:
    """What the story works with."""

    events: IEventStore
    mediator: Mediator
    accounts: EventSourcedRepository[Account]
    snapshots: SnapshotStore
    past: EventReplayService
    undoing: UndoService
    upcasters: IUpcasterRegistry


@asynccontextmanager
async def open_bank(database_url: str, clock: IClock) -> AsyncIterator[Bank]:
    """Yield a bank on SQLite or PostgreSQL, or in memory without a URL."""
    if not database_url:
        yield _bank(_in_memory(), clock)
        return
    engine = create_engine(database_url)
    try:
        await upgrade(engine)
        yield _bank(
            Adapters(
                SQLAlchemyEventStore(engine),
                SQLAlchemySnapshotStore(engine),
                SQLAlchemyUndoHistory(engine),
                partial(SQLAlchemyUnitOfWork, engine),
            ),
            clock,
        )
    finally:
        await engine.dispose()


def _in_memory() -> Adapters:
    database = InMemoryDatabase()
    return Adapters(
        InMemoryEventStore(database),
        InMemorySnapshotStore(database),
        InMemoryUndoHistory(database),
        partial(InMemoryUnitOfWork, database),
    )


def _bank(adapters: Adapters, clock: IClock) -> Bank:
    older = upcasters()
    snapshots = SnapshotStore(adapters.snapshots, EveryNEventsStrategy(10), clock=clock)
    accounts = EventSourcedRepository(
        adapters.events,
        Account,
        snapshot_store=snapshots,
        upcaster_registry=older,
        # Whoever pays in first: the balance is the same, and no rule could refuse the other.
        conflict_policy=EventConflictPolicy().commutes(MoneyDeposited, MoneyDeposited),
    )
    factory = EventSourcedMediatorFactory(
        adapters.events,
        adapters.unit_of_work,
        handlers(accounts, clock),
        middlewares=[RetryMiddleware()],
    )
    factory.register_event_sourced_type(Account.aggregate_type)
    mediator = factory.create()
    undo_executors = UndoExecutorRegistry()
    undo_executors.register(SendItBack(accounts))
    return Bank(
        adapters.events,
        mediator,
        accounts,
        snapshots,
        EventReplayService(adapters.events, upcaster_registry=older),
        UndoService(mediator, adapters.undo_history, undo_executors, clock=clock),
        older,
    )
