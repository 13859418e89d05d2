"""A process that publishes what the outbox holds, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from cqrs_ddd_infrastructure_messaging import EnvelopeSerializer, OutboxRelay, TopicRouter
from cqrs_ddd_infrastructure_messaging.rabbitmq import (
    RabbitMQConnection,
    RabbitMQPublisher,
    RabbitMQSettings,
)
from cqrs_ddd_persistence_sqlalchemy import SQLAlchemyOutboxStorage, create_engine, upgrade

if TYPE_CHECKING:
    from argparse import Namespace

#: Seconds until another relay takes over what one that was killed had leased.
LEASE = 4.0


def main() -> int:
    """Run the program until SIGTERM or Ctrl-C."""
    parser = ArgumentParser("record_store.relay", description=__doc__)
    parser.add_argument("--database-url", required=True, help="where the record store keeps all")
    parser.add_argument("--broker-url", required=True, help="amqp://user:password@host:5672/")
    parser.add_argument("--prefix", default="cqrs", help="first part of the broker's names")
    logging.basicConfig(level=logging.WARNING, format="relay: %(message)s")
    asyncio.run(_relay(parser.parse_args()))
    return 0


async def _relay(options: Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    engine = create_engine(options.database_url)
    try:
        await upgrade(engine)
        async with RabbitMQConnection(options.broker_url, name="record store") as broker:
            publisher = RabbitMQPublisher(
                broker,
                router=TopicRouter("store"),
                serializer=EnvelopeSerializer(source="/record-store"),
                settings=RabbitMQSettings(prefix=options.prefix),
            )
            outbox = SQLAlchemyOutboxStorage(engine)
            relay = OutboxRelay(outbox, publisher, poll_interval=0.2, lease_seconds=LEASE)
            await relay.start()
            # The garbage collector need not look at what stays anyway.
            gc.collect()
            gc.freeze()
            print("ready", flush=True)
            await stop.wait()
            await relay.stop()
            await publisher.close()
    finally:
        await engine.dispose()


if __name__ == "__main__":
    sys.exit(main())
