"""A database that is away: nobody gives a message up for that."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from cqrs_ddd_core.ports.event_store import ANY, StreamId
from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.testing.samples import new_event, new_message
from cqrs_ddd_infrastructure_messaging.idempotency import IdempotentConsumer
from cqrs_ddd_infrastructure_messaging.memory import InMemoryTransport
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyInbox,
    SQLAlchemyUnitOfWork,
    create_engine,
    create_schema,
)
from tools.services.proxy import TcpProxy


@pytest.mark.parametrize("outage", ["refused", "cut", "silent"])
async def test_an_outage_uses_up_no_tries(postgres_database: str, outage: str) -> None:
    """G9, F10, F12: the ladder has two tries, and each message meets many failures."""
    messages = [new_message(f"Order-{number % 5}") for number in range(30)]
    transport = InMemoryTransport(retry=RetryLadder(delays=(0.01,)))
    async with TcpProxy(postgres_database) as proxy:
        engine = create_engine(proxy.url, connect_args={"command_timeout": 0.2, "timeout": 0.2})
        store = SQLAlchemyEventStore(engine)
        stream = StreamId("Effect", "all")
        await create_schema(engine)

        async def have_effect(message: OutboxMessage) -> None:
            event = new_event(metadata={"message": str(message.message_id)})
            await store.append(stream, [event], expected_version=ANY)

        once = IdempotentConsumer(
            have_effect,
            consumer="suite",
            inbox=SQLAlchemyInbox(engine),
            uow_factory=lambda: SQLAlchemyUnitOfWork(engine),
        )
        consumer = transport.new_consumer()
        await consumer.subscribe(["SampleOrderPlaced"], once, consumer="suite")
        if outage == "refused":
            await proxy.refuse()
        elif outage == "silent":
            proxy.blackhole(up=True, down=True)
        else:
            proxy.cut_after(down=1_000)
        await consumer.start()
        await transport.publisher.publish(messages)
        await asyncio.sleep(1.0)
        await proxy.heal()
        await transport.drain()
        await consumer.stop()
        effects = Counter([one.metadata["message"] for one in await store.get_events(stream)])
        await engine.dispose()
    assert effects == Counter(str(one.message_id) for one in messages)
    assert not await transport.dead_letters.list("suite")
