"""The outbox worker publishes after the commit, without pauses while there is something."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from cqrs_ddd_core.adapters.memory import (
    InMemoryDatabase,
    InMemoryMessageBus,
    InMemoryMessageConsumer,
    InMemoryMessagePublisher,
    InMemoryOutboxStorage,
    InMemoryRepository,
    InMemoryUnitOfWork,
)
from cqrs_ddd_core.cqrs.command import Command
from cqrs_ddd_core.cqrs.mediator import Mediator
from cqrs_ddd_core.cqrs.registry import HandlerRegistry
from cqrs_ddd_core.middleware import TriggerMiddleware
from cqrs_ddd_core.outbox import OutboxService, OutboxWorker
from cqrs_ddd_core.testing.publisher import Received
from cqrs_ddd_core.testing.samples import SampleOrder, new_message, place_order

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_NEVER = 3600.0


class PlaceOrder(Command[str]):
    order_id: str


class Application:
    """An outbox whose worker polls so seldom that only triggers and work can wake it."""

    def __init__(self) -> None:
        database, self.bus = InMemoryDatabase(), InMemoryMessageBus()
        self.storage = InMemoryOutboxStorage(database)
        self.repository = InMemoryRepository(SampleOrder, database)
        self.received = Received()
        self.service = OutboxService(self.storage, InMemoryMessagePublisher(self.bus))
        self.worker = OutboxWorker(self.service, batch_size=50, poll_interval=_NEVER)
        registry = HandlerRegistry()
        registry.register_command_handler(PlaceOrder, self.place)
        self.mediator = Mediator(
            registry,
            uow_factory=lambda: InMemoryUnitOfWork(database),
            outbox=self.storage,
            middlewares=[TriggerMiddleware(self.worker)],
        )

    async def place(self, command: PlaceOrder) -> str:
        await self.repository.save(place_order(command.order_id))
        return command.order_id


@asynccontextmanager
async def running() -> AsyncIterator[Application]:
    application = Application()
    consumer = InMemoryMessageConsumer(application.bus)
    await consumer.subscribe(["SampleOrderPlaced"], application.received, consumer="billing")
    await consumer.start()
    await application.worker.start()
    try:
        yield application
    finally:
        await application.worker.stop()
        await consumer.stop()


async def test_an_event_is_published_as_soon_as_its_command_has_committed() -> None:
    async with running() as application:
        await application.mediator.send(PlaceOrder(order_id="o-1"))
        [message] = await application.received.wait_for(1)
    assert (message.message_type, message.stream) == ("SampleOrderPlaced", "SampleOrder-o-1")


async def test_published_events_carry_the_ids_of_their_command() -> None:
    """C-11: correlation and causation are in the outbox already."""
    async with running() as application:
        command = PlaceOrder(order_id="o-1")
        await application.mediator.send(command)
        [message] = await application.received.wait_for(1)
    assert message.causation_id == str(command.command_id)
    assert message.correlation_id is not None


async def test_continuous_triggers_do_not_slow_it_down() -> None:
    """C-12: no wait collects triggers; each batch follows the one before."""
    async with running() as application, asyncio.timeout(60):
        for _ in range(40):
            await application.storage.save_messages(
                [new_message(f"Order-{number}") for number in range(50)]
            )
            application.worker.trigger()
            await asyncio.sleep(0)
        await application.received.wait_for(2000)
    assert application.worker.status.processed == 2000


async def test_a_stopped_worker_leaves_its_partitions_to_others() -> None:
    """G10: nothing is left leased."""
    async with running() as application:
        pass
    leases = await application.storage.lease_partitions("another", seconds=60)
    assert len(leases) == application.storage.partitions
