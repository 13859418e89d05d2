"""A relay as a process: it publishes until SIGTERM, unless it is told to die or stall."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence

from cqrs_ddd_core.ports.outbox import OutboxMessage
from cqrs_ddd_core.ports.publisher import IMessagePublisher, PublishOutcome
from cqrs_ddd_core.primitives.retry import ExponentialBackoff
from cqrs_ddd_infrastructure_messaging import EnvelopeSerializer, OutboxRelay, TopicRouter
from cqrs_ddd_infrastructure_messaging.rabbitmq import (
    RabbitMQConnection,
    RabbitMQPublisher,
    RabbitMQSettings,
)
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyOutboxStorage, create_engine


class Fatal(IMessagePublisher):
    """Sends itself a signal when the broker has confirmed a batch and nobody knows it yet."""

    def __init__(self, publisher: IMessagePublisher, number: signal.Signals) -> None:
        self._publisher = publisher
        self._number: signal.Signals | None = number

    async def publish(self, messages: Sequence[OutboxMessage]) -> Sequence[PublishOutcome]:
        outcomes = await self._publisher.publish(messages)
        number, self._number = self._number, None
        if number is not None:
            print("confirmed", len(messages), flush=True)
            os.kill(os.getpid(), number)
        return outcomes


async def main() -> None:
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.WARNING)
    engine = create_engine(options["database"])
    connection = RabbitMQConnection(options["broker"])
    publisher: IMessagePublisher = RabbitMQPublisher(
        connection,
        router=TopicRouter("test"),
        serializer=EnvelopeSerializer(source="/test"),
        settings=RabbitMQSettings(prefix=options["prefix"]),
    )
    if options.get("signal"):
        publisher = Fatal(publisher, signal.Signals[options["signal"]])
    relay = OutboxRelay(
        SQLAlchemyOutboxStorage(engine),
        publisher,
        batch_size=options["batch_size"],
        lease_seconds=options["lease_seconds"],
        poll_interval=0.05,
        backoff=ExponentialBackoff(initial=0.05, maximum=0.5),
    )
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    await relay.start()
    print("started", flush=True)
    await terminated.wait()
    await relay.stop()
    await connection.close()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
