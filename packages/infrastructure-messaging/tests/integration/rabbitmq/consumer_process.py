"""A process that consumes once into a database, and dies where it is told to.

Arguments: the addresses of the broker and the database, the prefix, and a JSON object with
``partitions``, ``batch_size`` (0 for one by one) and ``die_after`` (dies between the commit and the
acknowledgement of so many messages, 0 for never).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from cqrs_ddd_core.ports.event_store import ANY, NewEvent, StreamId
from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.id_generator import new_id
from cqrs_ddd_infrastructure_messaging import EnvelopeSerializer, TopicRouter
from cqrs_ddd_infrastructure_messaging.idempotency import IdempotentConsumer
from cqrs_ddd_infrastructure_messaging.rabbitmq import (
    RabbitMQConnection,
    RabbitMQConsumer,
    RabbitMQSettings,
)
from cqrs_ddd_persistence_sqlalchemy import (
    SQLAlchemyEventStore,
    SQLAlchemyInbox,
    SQLAlchemyUnitOfWork,
    create_engine,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_core.ports.outbox import OutboxMessage

TYPE = "SampleOrderPlaced"


async def main(broker: str, database: str, prefix: str, options: str) -> None:
    chosen = json.loads(options)
    engine = create_engine(database)
    store = SQLAlchemyEventStore(engine)
    left = chosen["die_after"]

    async def apply(message: OutboxMessage) -> None:
        metadata = {"message": str(message.message_id)}
        event = NewEvent(new_id(), "Applied", b"{}", utc_now(), metadata=metadata)
        stream = StreamId("Effect", message.stream)
        await store.append(stream, [event], expected_version=ANY)

    def count(handled: int) -> None:
        nonlocal left
        left -= handled
        if chosen["die_after"] and left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    once = IdempotentConsumer(
        apply,
        consumer="suite",
        inbox=SQLAlchemyInbox(engine),
        uow_factory=partial(SQLAlchemyUnitOfWork, engine),
    )

    async def one(message: OutboxMessage) -> None:
        await once(message)
        count(1)

    async def many(messages: Sequence[OutboxMessage]) -> Sequence[Exception | None]:
        outcomes = await once.handle_batch(messages)
        count(len(messages))
        return outcomes

    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with RabbitMQConnection(broker) as connection:
        consumer = RabbitMQConsumer(
            connection,
            router=TopicRouter("test"),
            serializer=EnvelopeSerializer(source="/test"),
            settings=RabbitMQSettings(prefix=prefix),
            partitions=chosen["partitions"],
            concurrency=4,
        )
        if chosen["batch_size"]:
            size = chosen["batch_size"]
            await consumer.subscribe_batch([TYPE], many, consumer="suite", batch_size=size)
        else:
            await consumer.subscribe([TYPE], one, consumer="suite")
        await consumer.start()
        print("ready", flush=True)
        await stopping.wait()
        await consumer.stop()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
