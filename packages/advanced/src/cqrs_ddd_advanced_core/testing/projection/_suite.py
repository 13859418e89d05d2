"""What is tested, and a shop whose purchases are projected."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest

from cqrs_ddd_advanced_core.ports.checkpoint_store import Checkpoint
from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionColumn, ProjectionSchema
from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore
from cqrs_ddd_advanced_core.projections import (
    AGGREGATE_ID,
    FunctionProjector,
    MappedProjector,
    ProjectionRows,
    ProjectionWorker,
    Projector,
    ProjectorRegistry,
    projects,
)
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer, serialize_event
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.domain.events import DomainEvent
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.ports.event_store import IEventStore, StreamId
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_core.testing.conformance import Conformance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from cqrs_ddd_advanced_core.projections.projector import EventHandler
    from cqrs_ddd_core.ports.event_store import StoredEvent

__all__ = [
    "BASKETS",
    "CUSTOMERS",
    "AsyncShopProjector",
    "Bought",
    "Broken",
    "Browsed",
    "Closed",
    "Poison",
    "ProjectionSubject",
    "ProjectionSuite",
    "Shop",
    "ShopProjector",
    "function_projector",
    "mapped_projector",
]


class Bought(DomainEvent):
    number: int
    customer: str
    amount: Decimal


class Closed(DomainEvent):
    pass


class Browsed(DomainEvent):
    """Nobody projects it."""


#: A row for each customer, whichever baskets the purchases are of.
CUSTOMERS: Final = ProjectionSchema(
    "customers",
    {
        "name": ProjectionColumn(str),
        "purchases": ProjectionColumn(int, default=0),
        "total": ProjectionColumn(Decimal, default=Decimal(0)),
    },
    ("name",),
)
#: A row for each basket, a stream of its own; gone when it is closed.
BASKETS: Final = ProjectionSchema(
    "baskets",
    {
        "id": ProjectionColumn(str),
        "last_number": ProjectionColumn(int, nullable=True),
        "purchases": ProjectionColumn(int, default=0),
    },
    ("id",),
)


class ShopProjector(Projector):
    """Plain functions."""

    name = "shop"
    tables: Sequence[ProjectionSchema] = (CUSTOMERS, BASKETS)

    @projects
    def bought(self, event: Bought, rows: ProjectionRows) -> None:
        rows.add("customers", event.customer, purchases=1, total=event.amount)
        rows.update(BASKETS, event.aggregate_id, last_number=event.number)
        rows.add(BASKETS, event.aggregate_id, purchases=1)

    @projects(Closed)
    def closed(self, event: Closed, rows: ProjectionRows) -> None:
        rows.delete("baskets", event.aggregate_id)


class AsyncShopProjector(Projector):
    """Coroutines that read what they write."""

    name = "shop"
    tables: Sequence[ProjectionSchema] = (CUSTOMERS, BASKETS)

    @projects(Bought)
    async def bought(self, event: Bought, rows: ProjectionRows) -> None:
        row = await rows.get("customers", event.customer) or {"purchases": 0, "total": Decimal(0)}
        row |= {"purchases": row["purchases"] + 1, "total": row["total"] + event.amount}
        rows.put("customers", {**row, "name": event.customer})
        basket = await rows.get("baskets", event.aggregate_id)
        purchases = 1 if basket is None else basket["purchases"] + 1
        new = {"id": event.aggregate_id, "last_number": event.number, "purchases": purchases}
        rows.put("baskets", new)

    @projects
    async def closed(self, event: Closed, rows: ProjectionRows) -> None:
        rows.delete("baskets", event.aggregate_id)


def function_projector() -> Projector:
    """Return the same as functions."""
    shop = ShopProjector()
    tables = (CUSTOMERS, BASKETS)
    return FunctionProjector("shop", {Bought: shop.bought, Closed: shop.closed}, tables=tables)


def mapped_projector() -> Projector:
    """Return the same as a declaration."""
    return (
        MappedProjector("shop", CUSTOMERS, BASKETS)
        .on(Bought, key="customer", adds={"purchases": 1, "total": "amount"})
        .on(
            Bought,
            table="baskets",
            key=AGGREGATE_ID,
            sets={"last_number": "number"},
            adds={"purchases": 1},
        )
        .on(Closed, table="baskets", key="aggregate_id", deletes=True)
    )


class Broken(Exception):  # noqa: N818 - not an error of the toolkit
    """What a handler raises."""


@dataclass
class Poison:
    """A projector that fails on some numbers, as often as it is told.

    Attributes:
        failures: How often it still fails, by the number of the purchase.
        error: What it raises.
        handled: The numbers it was given.
    """

    failures: dict[int, int]
    error: Exception = field(default_factory=lambda: Broken("it is broken"))
    handled: list[int] = field(default_factory=list)

    def projector(self, **attributes: Any) -> Projector:
        """Return the projector; attributes are those of ``Projector``."""
        shop = ShopProjector()

        def bought(event: Bought, rows: ProjectionRows) -> None:
            self.handled.append(event.number)
            shop.bought(event, rows)
            if self.failures.get(event.number):
                self.failures[event.number] -= 1
                raise self.error

        handlers: dict[type[DomainEvent], EventHandler] = {Bought: bought, Closed: shop.closed}
        return FunctionProjector("shop", handlers, tables=(CUSTOMERS, BASKETS), **attributes)


@dataclass(frozen=True)
class ProjectionSubject:
    """An empty projection store, and an empty event store of the same database."""

    store: IProjectionStore
    event_store: IEventStore


class Shop:
    """Appends purchases, lets workers project them, and knows what has to come out."""

    def __init__(self, subject: ProjectionSubject) -> None:
        self.store: IProjectionStore = subject.store
        self.event_store: IEventStore = subject.event_store
        self._number = 0

    async def buy(self, basket: str, count: int = 1, *, customer: str | None = None) -> int:
        """Append purchases; return the position of the last one."""
        events = []
        for _ in range(count):
            self._number += 1
            name = customer or f"customer {self._number % 3}"
            bought = Bought(number=self._number, customer=name, amount=Decimal("0.10"))
            events.append(serialize_event(bought))
        return (await self.event_store.append(StreamId("Basket", basket), events)).position

    async def append(self, basket: str, *events: DomainEvent) -> int:
        """Append other events; return the position of the last one."""
        new = [serialize_event(event) for event in events]
        return (await self.event_store.append(StreamId("Basket", basket), new)).position

    async def fill(self, baskets: int, each: int) -> None:
        """Append so many purchases to each of so many baskets, turn by turn."""
        for _ in range(each):
            for number in range(baskets):
                await self.buy(f"b-{number}")

    def worker(self, projector: Projector | None = None, **options: Any) -> ProjectionWorker:
        """Return a worker of the shop's projection that waits for nothing."""
        registry = ProjectorRegistry([projector or ShopProjector()], store=self.store)
        options = {"poll_interval": 0.01, "backoff": ExponentialBackoff(initial=0), **options}
        return ProjectionWorker(registry, self.event_store, **options)

    async def catch_up(self, projector: Projector | None = None, **options: Any) -> int:
        """Let a worker do all that is due and go away; return how much it did."""
        worker = self.worker(projector, **options)
        done = 0
        while True:
            failures = _failures(worker)
            count = await worker.run_once()
            done += count
            if not count and failures == _failures(worker):
                break
        await worker.stop()
        return done

    async def checkpoint(self) -> Checkpoint:
        """Return how far the only partition has come."""
        [checkpoint] = await self.store.checkpoints.get("shop")
        return checkpoint

    async def rows(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the customers and the baskets as they are projected."""
        customers = await self.store.query(CUSTOMERS, QueryOptions())
        baskets = await self.store.query(BASKETS, QueryOptions())
        return (
            {row["name"]: (row["purchases"], row["total"]) for row in customers},
            {row["id"]: (row["last_number"], row["purchases"]) for row in baskets},
        )

    async def fold(self, *, up_to: int = 2**62) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return what the rows have to be, computed without any of it."""
        serializer = EventSerializer(EventTypeRegistry([Bought, Closed, Browsed]))
        customers: dict[str, tuple[int, Decimal]] = {}
        baskets: dict[str, tuple[int, int]] = {}
        async for stored in self._events(up_to):
            event = serializer.deserialize(stored)
            if isinstance(event, Bought):
                purchases, total = customers.get(event.customer, (0, Decimal(0)))
                customers[event.customer] = (purchases + 1, total + event.amount)
                _, count = baskets.get(stored.aggregate_id, (0, 0))
                baskets[stored.aggregate_id] = (event.number, count + 1)
            elif isinstance(event, Closed):
                baskets.pop(stored.aggregate_id, None)
        return customers, baskets

    async def is_projected(self) -> None:
        """Wait until the rows are what they have to be."""
        async with asyncio.timeout(30):
            while await self.rows() != await self.fold():  # noqa: ASYNC110 - other tasks tell nobody
                await asyncio.sleep(0.01)

    async def _events(self, up_to: int) -> AsyncIterator[StoredEvent]:
        async for stored in self.event_store.read_all():
            if stored.position <= up_to:
                yield stored


def _failures(worker: ProjectionWorker) -> int:
    return sum(one.failures for one in worker.health.partitions)


class ProjectionSuite(Conformance):
    """The fixtures of the suite."""

    @pytest.fixture
    def subject(self) -> ProjectionSubject:
        raise NotImplementedError("yield a ProjectionSubject with empty stores")

    @pytest.fixture
    async def shop(self, subject: ProjectionSubject) -> AsyncIterator[Shop]:
        yield Shop(subject)
        for schema in (CUSTOMERS, BASKETS):
            await subject.store.drop(schema)
