"""The demo's own part of the broker: how much is in it, and its removal."""

from __future__ import annotations

from contextlib import suppress

import aio_pika
from aio_pika.exceptions import ChannelClosed

from cqrs_ddd_infrastructure_messaging.rabbitmq import RabbitMQSettings, RabbitMQTopology
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import Exchange, Queue

#: Consumer and partitions of the loyalty service.
CONSUMER, PARTITIONS = "loyalty", 4


class DemoBroker:
    """What lies under a prefix on a broker."""

    def __init__(self, url: str, prefix: str) -> None:
        """Look at names that begin with the prefix."""
        self._url = url
        topology = RabbitMQTopology(RabbitMQSettings(prefix=prefix))
        self._declared = topology.of_consumer(CONSUMER, [], partitions=PARTITIONS)

    async def waiting(self) -> int:
        """Return how many messages wait in all queues, those of the dead letters included."""
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel()
            count = 0
            for name in self._queues():
                queue = await channel.declare_queue(name, passive=True)
                count += queue.declaration_result.message_count or 0
            return count

    async def remove(self) -> None:
        """Delete the queues and exchanges."""
        async with await aio_pika.connect(self._url) as connection:
            for name in self._queues():
                with suppress(ChannelClosed):
                    await (await connection.channel()).queue_delete(name)
            for declared in self._declared:
                if isinstance(declared, Exchange):
                    with suppress(ChannelClosed):
                        await (await connection.channel()).exchange_delete(declared.name)

    def _queues(self) -> list[str]:
        return [declared.name for declared in self._declared if isinstance(declared, Queue)]
