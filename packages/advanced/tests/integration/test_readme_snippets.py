"""What users were shown runs as it was written, given the names it assumes."""

from __future__ import annotations

import ast
import inspect
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import pytest

from cqrs_ddd_advanced_core import (
    EventSourcedAggregateMixin,
    EventSourcedLoader,
    EventSourcedMediator,
    EventSourcedMediatorFactory,
    EventSourcedPersistenceOrchestrator,
    EventSourcedRepository,
)
from cqrs_ddd_advanced_core.adapters.memory import (
    InMemoryProjectionStore,
    InMemorySnapshotStore,
    InMemoryUndoHistory,
)
from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
from cqrs_ddd_advanced_core.ports.projection_store import RowChange
from cqrs_ddd_advanced_core.projections import (
    FunctionProjector,
    ProjectionRows,
    ProjectorRegistry,
)
from cqrs_ddd_advanced_core.queries import QueryRepository
from cqrs_ddd_advanced_core.undo import UndoExecutorRegistry, UndoService
from cqrs_ddd_core import AggregateRoot, Command, DomainEvent, HandlerRegistry, Mediator, StreamId
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryRepository,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.ports.event_store import NewEvent
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.exceptions import OptimisticConcurrencyError
from cqrs_ddd_core.primitives.id_generator import new_id

PAGE = Path(__file__).parents[1] / "snippets" / "documented.md"
FENCE_OR_HEADING = re.compile(r"^```python\n(.*?)^```|^## (.*?)$", re.MULTILINE | re.DOTALL)

#: Sagas and scheduling do not exist yet: whoever builds them takes their snippets off this list.
#: Of the first one, the parts that exist run below.
NOT_YET = {
    "Basic Setup with Event Sourcing",
    "2. Sagas (Process Managers)",
    "5. Command Scheduling",
    "Complete E-Commerce System",
    "Adding Sagas to Existing System",
    "2. Bootstrap All Infrastructure at Startup",
    "3. Use Declarative Sagas",
    "4. Test with In-Memory Implementations",
}

Names: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class OrderRow:
    id: str
    customer_id: str
    status: str
    total: Decimal
    created_at: datetime


def read_snippets() -> Iterator[tuple[str, str]]:
    """Yield the code by heading; a second block under a heading is called "heading (2)"."""
    heading, seen = "", Counter[str]()
    for match in FENCE_OR_HEADING.finditer(PAGE.read_text(encoding="utf-8")):
        code, found = match.groups()
        heading = found or heading
        if code is not None:
            seen[heading] += 1
            yield f"{heading} ({seen[heading]})" if seen[heading] > 1 else heading, code


SNIPPETS = dict(read_snippets())


async def run(code: str, names: Names) -> None:
    names["__name__"] = "snippet"
    compiled = compile(code, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, names)  # noqa: S307 - the page beside the tests
    if inspect.iscoroutine(result):
        await result


# --- the shop that the snippets take for granted ----------------------------------------------


class OrderCreated(DomainEvent):
    customer_id: str


class PreferencesChanged(DomainEvent):
    theme: str


class Order(EventSourcedAggregateMixin, AggregateRoot[str]):
    customer_id: str

    def apply_order_created(self, event: OrderCreated) -> None:
        self.customer_id = event.customer_id


class Preferences(AggregateRoot[str]):
    aggregate_type = "UserPreferences"


class CreateOrder(Command[str]):
    order_id: str = "order_123"
    customer_id: str


class ChangePreferences(Command[None]):
    theme: str = "dark"


class Shop:
    def __init__(self) -> None:
        self.database = InMemoryDatabase()
        self.event_store = InMemoryEventStore(self.database)
        self.orders = EventSourcedRepository(self.event_store, Order)
        self.preferences = InMemoryRepository(Preferences, self.database)
        self.registry = HandlerRegistry()
        self.registry.register_command_handler(CreateOrder, self.create_order)
        self.registry.register_command_handler(ChangePreferences, self.change_preferences)

    async def create_order(self, command: CreateOrder) -> str:
        order = Order.blank(command.order_id)
        order.raise_event(OrderCreated(customer_id=command.customer_id))
        await self.orders.save(order)
        return order.id

    async def change_preferences(self, command: ChangePreferences) -> None:
        preferences = Preferences(id="cust-123")
        preferences.raise_event(PreferencesChanged(theme=command.theme))
        await self.preferences.save(preferences)

    def names(self) -> Names:
        return {
            "Any": Any,
            "AggregateRoot": AggregateRoot,
            "CreateOrder": CreateOrder,
            "Decimal": Decimal,
            "EventSourcedLoader": EventSourcedLoader,
            "EventSourcedMediator": EventSourcedMediator,
            "EventSourcedMediatorFactory": EventSourcedMediatorFactory,
            "EventSourcedPersistenceOrchestrator": EventSourcedPersistenceOrchestrator,
            "Order": Order,
            "event_registry": EventTypeRegistry([OrderCreated]),
            "event_store": self.event_store,
            "handler_registry": self.registry,
            "session": InMemorySnapshotStore(self.database),
            "uow_factory": partial(InMemoryUnitOfWork, self.database),
        }

    def factory(self) -> EventSourcedMediatorFactory:
        uow_factory = partial(InMemoryUnitOfWork, self.database)
        return EventSourcedMediatorFactory(self.event_store, uow_factory, self.registry)

    async def stored(self) -> list[str]:
        return [event.event_type async for event in self.event_store.read_all()]


@pytest.fixture
def shop() -> Shop:
    return Shop()


# --- what has to come of each snippet --------------------------------------------------------


async def stores_the_order_it_sends(shop: Shop, names: Names) -> None:
    await run_named(names)
    assert isinstance(names["mediator"], EventSourcedMediator)
    assert await shop.stored() == ["OrderCreated"]


async def makes_a_mediator(shop: Shop, names: Names) -> None:
    await run_named(names)
    assert isinstance(names["mediator"], EventSourcedMediator)
    await names["mediator"].send(CreateOrder(customer_id="cust-123"))
    assert await shop.stored() == ["OrderCreated"]


async def keeps_preferences_out(shop: Shop, names: Names) -> None:
    await makes_a_mediator(shop, names)
    await names["mediator"].send(ChangePreferences())
    assert await shop.stored() == ["OrderCreated"]


async def tells_a_factory(shop: Shop, names: Names) -> None:
    factory = names["factory"] = shop.factory()
    await run_named(names)
    for command in (CreateOrder(customer_id="cust-123"), ChangePreferences()):
        await factory.create().send(command)
    assert await shop.stored() == ["OrderCreated"]


async def decorates_an_aggregate(shop: Shop, names: Names) -> None:
    await run_named(names)
    factory = shop.factory()
    factory.register_event_sourced_type("Order")
    await factory.create().send(ChangePreferences())
    assert names["UserPreferences"].aggregate_type == "UserPreferences"
    assert await shop.stored() == []


async def makes_a_plain_mediator(shop: Shop, names: Names) -> None:
    await run_named(names)
    assert type(names["mediator"]) is Mediator


async def imports(shop: Shop, names: Names) -> None:
    before = set(names)
    await run_named(names)
    assert len(set(names) - before) >= 1


async def merges(shop: Shop, names: Names) -> None:
    await run_named(names)
    assert names["merged"] == {
        "customer": {"name": "John", "email": "john@example.com"},
        "items": [{"id": 1, "qty": 3}],
    }


async def loads_from_a_snapshot(shop: Shop, names: Names) -> None:
    await shop.create_order(CreateOrder(customer_id="cust_456"))
    await run_named(names)
    assert names["strategy"].frequency == 100
    assert names["order"].customer_id == "cust_456"


async def reads_old_events(shop: Shop, names: Names) -> None:
    class OrderCreated(DomainEvent):
        schema_version: ClassVar[int] = 2

        amount: Decimal
        currency: str

    class Order(EventSourcedAggregateMixin, AggregateRoot[str]):
        total: str

        def apply_order_created(self, event: OrderCreated) -> None:
            self.total = f"{event.amount} {event.currency}"

    names |= {"Order": Order, "event_registry": EventTypeRegistry([OrderCreated])}
    old = NewEvent(new_id(), "OrderCreated", b'{"amount":9.99}', utc_now())
    await shop.event_store.append(StreamId("Order", "order_123"), [old])

    await run_named(names)
    assert (await names["loader"].load("order_123")).total == "9.99 EUR"


async def undoes_and_redoes(shop: Shop, names: Names) -> None:
    class AddItemToOrder(Command[None]):
        order_id: str
        item: str
        price: Decimal

    class RemoveItem(Command[None]):
        item: str

    items: list[list[str]] = [[]]
    registry, executors = HandlerRegistry(), UndoExecutorRegistry()

    async def add(command: AddItemToOrder) -> None:
        items.append([*items[-1], command.item])

    async def remove(command: RemoveItem) -> None:
        items.append([item for item in items[-1] if item != command.item])

    def take_out(command: AddItemToOrder) -> RemoveItem:
        return RemoveItem(item=command.item)

    registry.register_command_handler(AddItemToOrder, add)
    registry.register_command_handler(RemoveItem, remove)
    executors.undo(AddItemToOrder)(take_out)
    mediator = Mediator(registry, partial(InMemoryUnitOfWork, shop.database))
    service = UndoService(mediator, InMemoryUndoHistory(shop.database), executors)
    await run_named(names | {"undo_service": service, "AddItemToOrder": AddItemToOrder})
    assert items == [[], ["Widget"], [], ["Widget"]]


async def merges_a_lost_race(shop: Shop, names: Names) -> None:
    class UpdateOrder(Command[None]):
        order_id: str
        changes: dict[str, Any]

    class Order(AggregateRoot[str]):
        status: str = "new"
        note: str = ""

        def update(self, changes: dict[str, Any]) -> None:
            for name, value in changes.items():
                setattr(self, name, value)

    class LosesOnce(InMemoryRepository[Order]):
        has_lost = True

        async def save(self, entity: Order) -> None:
            if not self.has_lost:
                self.has_lost = True
                raise OptimisticConcurrencyError(StreamId("Order", entity.id), 1, 2)
            await super().save(entity)

    names |= {"UpdateOrder": UpdateOrder, "Order": Order}
    await run_named(names)
    repo = LosesOnce(Order, shop.database)
    await repo.save(Order(id="o", note="keep"))
    repo.has_lost = False
    registry = HandlerRegistry()
    registry.register_command_handler(UpdateOrder, names["UpdateOrderHandler"](repo))
    mediator = Mediator(registry, partial(InMemoryUnitOfWork, shop.database))
    await mediator.send(UpdateOrder(order_id="o", changes={"status": "paid"}))
    order = await repo.get("o")
    assert (repo.has_lost, order.status, order.note) == (True, "paid", "keep")


async def queries_the_orders_it_asks_for(shop: Shop, names: Names) -> None:
    store, schema = InMemoryProjectionStore(shop.database), ProjectionSchema.of(OrderRow, key="id")
    await store.ensure(schema)
    rows = [
        OrderRow("early", "cust_123", "pending", Decimal(200), utc_now() - timedelta(days=1)),
        OrderRow("late", "cust_123", "confirmed", Decimal("100.01"), utc_now()),
        OrderRow("small", "cust_123", "pending", Decimal(100), utc_now()),
        OrderRow("other", "cust_456", "pending", Decimal(200), utc_now()),
        OrderRow("gone", "cust_123", "cancelled", Decimal(200), utc_now()),
    ]
    changes = [RowChange((row.id,), 1, 1, sets=_without_key(row)) for row in rows]
    async with store.unit_of_work():
        await store.apply(schema, changes)
    names["order_projection"] = QueryRepository(store, schema, OrderRow)
    await run_named(names)
    assert [order.id for order in names["orders"]] == ["late", "early"]


def _without_key(row: OrderRow) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name != "id"}


async def run_named(names: Names) -> None:
    await run(names["code"], names)


EXPECTED: dict[str, Callable[[Shop, Names], Awaitable[None]]] = {
    "1. Event Sourcing": stores_the_order_it_sends,
    "3. Projections": queries_the_orders_it_asks_for,
    "4. Conflict Resolution": merges,
    "6. Undo/Redo Service": undoes_and_redoes,
    "7. Advanced CQRS Handlers": merges_a_lost_race,
    "8. Snapshots": loads_from_a_snapshot,
    "9. Upcasting": reads_old_events,
    "From Core Mediator to EventSourcedMediator": makes_a_plain_mediator,
    "From Core Mediator to EventSourcedMediator (2)": makes_a_mediator,
    "From Core Mediator to EventSourcedMediator (3)": imports,
    "From Core Mediator to EventSourcedMediator (4)": makes_a_mediator,
    "1. Use Event Sourcing for Critical Aggregates": tells_a_factory,
    "EventSourcedMediator": makes_a_mediator,
    "EventSourcedMediatorFactory": keeps_preferences_out,
    "@non_event_sourced Decorator": decorates_an_aggregate,
    "2. Package Exports": imports,
    "Example 1: Direct EventSourcedMediator Usage": stores_the_order_it_sends,
    "Example 2: Using EventSourcedMediatorFactory": stores_the_order_it_sends,
    "Example 3: Decorator-Based Registration": keeps_preferences_out,
}


@pytest.mark.parametrize("heading", EXPECTED)
async def test_a_snippet_runs_as_written(heading: str, shop: Shop) -> None:
    await EXPECTED[heading](shop, shop.names() | {"code": SNIPPETS[heading]})


async def test_the_setup_runs_but_for_its_sagas(shop: Shop) -> None:
    setup = SNIPPETS["Basic Setup with Event Sourcing"]
    before, _, rest = setup.partition("# 2. Bootstrap sagas")
    _, _, projections = rest.partition("# 3. Start projection worker")
    lines = (before + projections).splitlines()
    exists = [line for line in lines if "_core.sagas" not in line]
    assert len(lines) - len(exists) == 1
    counted: list[str] = []

    def count(event: OrderCreated, _: ProjectionRows) -> None:
        counted.append(event.customer_id)

    registry = ProjectorRegistry([FunctionProjector("orders", {OrderCreated: count}, tables=())])
    names = shop.names() | {"code": "\n".join(exists), "projector_registry": registry}
    await makes_a_mediator(shop, names)
    worker = names["projection_worker"]
    await worker.run_once()
    await worker.stop()
    assert counted == ["cust-123"]


def test_every_snippet_runs_or_is_said_not_to() -> None:
    assert set(EXPECTED) | NOT_YET == set(SNIPPETS)
    assert set(EXPECTED) & NOT_YET == set()


#: Only defines a function, which nothing calls.
ONLY_DEFINES = {"2. Bootstrap All Infrastructure at Startup"}


@pytest.mark.parametrize("heading", sorted(NOT_YET - ONLY_DEFINES))
async def test_a_snippet_that_is_said_not_to_run_does_not(heading: str, shop: Shop) -> None:
    with pytest.raises((ImportError, NameError)):
        await run(SNIPPETS[heading], shop.names())
