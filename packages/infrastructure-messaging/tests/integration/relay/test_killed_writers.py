"""What a killed writer leaves is published whole or not at all."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from typing import Final

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from cqrs_ddd_core.adapters.memory import InMemoryMessageBus, InMemoryMessagePublisher
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_infrastructure_messaging import OutboxRelay
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyOutboxStorage

# Each order is a document, an event and a message of one unit of work.
PROGRAM: Final = """
import asyncio, sys
from cqrs_ddd_core import Command, HandlerRegistry, Mediator
from cqrs_ddd_core.testing.samples import SampleOrder, place_order
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore, SQLAlchemyOutboxStorage, SQLAlchemyRepository, SQLAlchemyUnitOfWork,
    create_engine,
)

class PlaceOrder(Command[None]):
    pass

async def main():
    engine = create_engine(sys.argv[1])
    repository = SQLAlchemyRepository(SampleOrder, engine)
    registry = HandlerRegistry()

    async def place(command):
        await repository.save(place_order(str(command.command_id)))

    registry.register_command_handler(PlaceOrder, place)
    mediator = Mediator(
        registry,
        lambda: SQLAlchemyUnitOfWork(engine),
        event_store=SQLAlchemyEventStore(engine),
        outbox=SQLAlchemyOutboxStorage(engine),
    )

    async def write():
        while True:
            await mediator.send(PlaceOrder())
            print(".", flush=True)

    await asyncio.gather(*(write() for _ in range(4)))

asyncio.run(main())
"""

_STREAMS: Final = (
    "SELECT aggregate_type || '-' || aggregate_id FROM cqrs_documents",
    "SELECT aggregate_type || '-' || aggregate_id FROM cqrs_events",
    "SELECT stream FROM cqrs_outbox",
)


@pytest.mark.parametrize(
    "kills", [1, pytest.param(8, marks=[pytest.mark.fault, pytest.mark.timeout(600)])]
)
async def test_f05_state_events_and_messages_are_of_the_same_transactions(
    postgres_engine: AsyncEngine, kills: int
) -> None:
    """F05, S-9: and all of them are published."""
    url = postgres_engine.url.render_as_string(hide_password=False)
    for number in range(kills):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, url, stdout=PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(60):
            for _ in range(20 + 7 * number):
                await process.stdout.readline()
        process.kill()
        await process.communicate()
    async with postgres_engine.connect() as connection:
        states, events, messages = [
            {row[0] for row in await connection.exec_driver_sql(statement)}
            for statement in _STREAMS
        ]
    assert states == events == messages
    bus = InMemoryMessageBus()
    queue = bus.bind("audit", ["SampleOrderPlaced"])
    publisher = InMemoryMessagePublisher(bus)
    relay = OutboxRelay(SQLAlchemyOutboxStorage(postgres_engine), publisher)
    while await relay.run_once():
        pass
    arrived: list[OutboxMessage] = [queue.get_nowait().message for _ in range(queue.qsize())]
    assert sorted(message.stream for message in arrived) == sorted(messages)
