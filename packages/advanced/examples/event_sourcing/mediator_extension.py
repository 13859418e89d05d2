"""Three ways to a mediator that stores events: an orchestrator, the factory, and the decorator.

Run it: ``python packages/advanced/examples/event_sourcing/mediator_extension.py``
"""

from __future__ import annotations

import asyncio
from typing import Any

from cqrs_ddd_advanced_core import (
    EventSourcedAggregateMixin,
    EventSourcedMediator,
    EventSourcedMediatorFactory,
    EventSourcedPersistenceOrchestrator,
    EventSourcedRepository,
    non_event_sourced,
)
from cqrs_ddd_core import AggregateRoot, Command, DomainEvent, HandlerRegistry
from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryEventStore,
    InMemoryRepository,
    InMemoryUnitOfWork,
)


class OrderCreated(DomainEvent):
    customer_id: str


class PreferencesChanged(DomainEvent):
    settings: dict[str, Any]


class Order(EventSourcedAggregateMixin, AggregateRoot[str]):
    customer_id: str = ""
    status: str = "new"

    def create(self, customer_id: str) -> None:
        self.raise_event(OrderCreated(customer_id=customer_id))

    def apply_order_created(self, event: OrderCreated) -> None:
        self.customer_id = event.customer_id
        self.status = "pending"


@non_event_sourced
class UserPreferences(AggregateRoot[str]):
    settings: dict[str, Any]

    def change(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.raise_event(PreferencesChanged(settings=settings))


class CreateOrder(Command[str]):
    order_id: str
    customer_id: str


class ChangePreferences(Command[None]):
    user_id: str
    settings: dict[str, Any]


class Shop:
    """The parts that all three examples share; nothing here knows which mediator runs it."""

    def __init__(self) -> None:
        self.database = InMemoryDatabase()
        self.event_store = InMemoryEventStore(self.database)
        self.orders = EventSourcedRepository(self.event_store, Order)
        self.preferences = InMemoryRepository(UserPreferences, self.database)
        self.handler_registry = HandlerRegistry()
        self.handler_registry.register_command_handler(CreateOrder, self.create_order)
        self.handler_registry.register_command_handler(ChangePreferences, self.change_preferences)

    def unit_of_work(self) -> InMemoryUnitOfWork:
        return InMemoryUnitOfWork(self.database)

    async def create_order(self, command: CreateOrder) -> str:
        order = Order(id=command.order_id)
        order.create(command.customer_id)
        await self.orders.save(order)
        return order.id

    async def change_preferences(self, command: ChangePreferences) -> None:
        preferences = await self.preferences.get_by_id(command.user_id)
        preferences = preferences or UserPreferences(id=command.user_id, settings={})
        preferences.change(command.settings)
        await self.preferences.save(preferences)

    async def stored_events(self) -> list[str]:
        return [event.event_type async for event in self.event_store.read_all()]


async def basic_usage() -> list[str]:
    """Give the mediator an orchestrator that knows the types."""
    shop = Shop()
    orchestrator = EventSourcedPersistenceOrchestrator(default_event_store=shop.event_store)
    orchestrator.register_event_sourced_type("Order")
    mediator = EventSourcedMediator(
        registry=shop.handler_registry,
        uow_factory=shop.unit_of_work,
        event_persistence_orchestrator=orchestrator,
    )
    await mediator.send(CreateOrder(order_id="order-1", customer_id="ada"))
    order = await shop.orders.get("order-1")
    print(f"1. {order.id} of {order.customer_id} is {order.status} at version {order.version}")
    return await shop.stored_events()


async def factory_usage() -> list[str]:
    """Let the factory make orchestrator and mediator."""
    shop = Shop()
    factory = EventSourcedMediatorFactory(
        event_store=shop.event_store,
        uow_factory=shop.unit_of_work,
        handler_registry=shop.handler_registry,
    )
    factory.register_event_sourced_type("Order")
    factory.register_non_event_sourced_type("UserPreferences")
    mediator = factory.create()
    await mediator.send(CreateOrder(order_id="order-2", customer_id="grace"))
    await mediator.send(ChangePreferences(user_id="grace", settings={"theme": "dark"}))
    stored = await shop.stored_events()
    print(f"2. stored: {', '.join(stored)}")
    return stored


async def decorator_usage() -> list[str]:
    """Say at the class that its events are not stored; its state is, and handlers hear of it."""
    shop = Shop()
    heard: list[DomainEvent] = []

    @shop.handler_registry.event_handler
    async def listen(event: PreferencesChanged) -> None:
        heard.append(event)

    factory = EventSourcedMediatorFactory(
        shop.event_store, shop.unit_of_work, shop.handler_registry
    )
    factory.register_event_sourced_type("Order")
    mediator = factory.create()
    await mediator.send(ChangePreferences(user_id="ada", settings={"theme": "light"}))
    stored = await shop.stored_events()
    print(f"3. heard of {len(heard)} change, stored {len(stored)} events")
    return stored


async def main() -> None:
    assert await basic_usage() == ["OrderCreated"]
    assert await factory_usage() == ["OrderCreated"]
    assert await decorator_usage() == []


if __name__ == "__main__":
    asyncio.run(main())
