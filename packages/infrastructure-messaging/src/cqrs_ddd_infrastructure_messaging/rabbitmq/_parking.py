"""Where messages go that could not be handled: to another try, or to the dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_infrastructure_messaging.rabbitmq._copies import dead_copy, retried_copy

if TYPE_CHECKING:
    from cqrs_ddd_infrastructure_messaging._handling import Death
    from cqrs_ddd_infrastructure_messaging.rabbitmq._delivery import Delivery
    from cqrs_ddd_infrastructure_messaging.rabbitmq._sending import ConfirmedSender
    from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import RabbitMQTopology

__all__ = ["Parking"]


class Parking:
    """Puts copies of a consumer's messages into its delay queues and its dead queue.

    When either method returns the copy is durable, and the message itself may be acknowledged.

    Args:
        sender: Sends the copies.
        topology: Names the queues.
        consumer: Whose messages.
    """

    def __init__(
        self, sender: ConfirmedSender, topology: RabbitMQTopology, *, consumer: str
    ) -> None:
        self._sender = sender
        self._topology = topology
        self._consumer = consumer

    async def put_off(self, delivery: Delivery, delay: float) -> None:
        """Have it delivered again through its queue in so many seconds, as the next try.

        Raises:
            MessagingError: It is not certain that it will be.
        """
        exchange = self._topology.retry_exchange(self._consumer, delay)
        copy = retried_copy(delivery.incoming, attempt=delivery.attempt + 1)
        await self._sender.send(copy, exchange=exchange, routing_key=delivery.queue)

    async def bury(self, delivery: Delivery, death: Death) -> None:
        """Make it a dead letter.

        Raises:
            MessagingError: It is not certain that it is one.
        """
        copy = dead_copy(delivery.incoming, death, queue=delivery.queue)
        await self._sender.send(copy, exchange=self._topology.dead, routing_key=self._consumer)
