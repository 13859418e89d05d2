"""A process that turns announced purchases into points, until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from argparse import ArgumentParser
from typing import TYPE_CHECKING

from cqrs_ddd_infrastructure_messaging import EnvelopeSerializer, TopicRouter
from cqrs_ddd_infrastructure_messaging.rabbitmq import (
    RabbitMQConnection,
    RabbitMQConsumer,
    RabbitMQSettings,
)
from loyalty.service import CONSUMER, MESSAGE_TYPES, open_service

if TYPE_CHECKING:
    from argparse import Namespace

#: Queues over which the customers are spread; each is served by one process at a time, in order.
PARTITIONS = 4


def main() -> int:
    """Run the program until SIGTERM or Ctrl-C."""
    parser = ArgumentParser("loyalty", description=__doc__)
    parser.add_argument("--database-url", required=True, help="where this service keeps all")
    parser.add_argument("--broker-url", required=True, help="amqp://user:password@host:5672/")
    parser.add_argument("--prefix", default="cqrs", help="first part of the broker's names")
    logging.basicConfig(level=logging.WARNING, format="loyalty: %(message)s")
    asyncio.run(_serve(parser.parse_args()))
    return 0


async def _serve(options: Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        open_service(options.database_url) as service,
        RabbitMQConnection(options.broker_url, name="loyalty") as broker,
    ):
        consumer = RabbitMQConsumer(
            broker,
            serializer=EnvelopeSerializer(source="/loyalty"),
            settings=RabbitMQSettings(prefix=options.prefix),
            router=TopicRouter("loyalty"),
            partitions=PARTITIONS,
        )
        await consumer.subscribe_batch(MESSAGE_TYPES, service.handle_batch, consumer=CONSUMER)
        await consumer.start()
        # The garbage collector need not look at what stays anyway.
        gc.collect()
        gc.freeze()
        print("ready", flush=True)
        await stop.wait()
        await consumer.stop()


if __name__ == "__main__":
    sys.exit(main())
