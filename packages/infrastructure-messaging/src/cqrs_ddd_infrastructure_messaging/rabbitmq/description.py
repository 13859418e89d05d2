"""The topology in the words of AsyncAPI, for ``asyncapi_document``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cqrs_ddd_infrastructure_messaging.asyncapi import ConsumerDescription, TopologyDescription
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import RabbitMQTopology

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cqrs_ddd_infrastructure_messaging.rabbitmq.settings import RabbitMQSettings

__all__ = ["describe_topology"]

# https://github.com/asyncapi/bindings/blob/master/amqp/README.md
_VERSION = "0.3.0"
_PERSISTENT = 2


def describe_topology(
    settings: RabbitMQSettings | None = None,
    *,
    servers: Mapping[str, Mapping[str, Any]] | None = None,
    vhost: str = "/",
    publishes: Collection[str] | None = None,
    consumers: Mapping[str, Collection[str]] | None = None,
    partitions: Mapping[str, int] | None = None,
) -> TopologyDescription:
    """Return how an application uses RabbitMQ, with exchange and queues as AsyncAPI bindings.

    Args:
        settings: The same as publishers and consumers have.
        servers: AsyncAPI server objects by name, without credentials.
        vhost: Where the exchanges are.
        publishes: Type names it publishes; all that are registered when not given.
        consumers: The type names each consumer name receives.
        partitions: Over how many queues the streams of a consumer are spread, where they are.

    Raises:
        ConfigurationError: A consumer has no usable name, or too many partitions.
    """
    topology = RabbitMQTopology(settings)
    spread = partitions or {}
    exchange = {"name": topology.exchange, "type": "topic", "durable": True, "vhost": vhost}
    return TopologyDescription(
        servers=servers or {},
        publishes=publishes,
        consumers={
            name: ConsumerDescription(
                message_types=types,
                bindings=_amqp(
                    ack=True,
                    **{"x-queues": list(topology.queues(name, partitions=spread.get(name, 0)))},
                    **{"x-dead-letter-queue": topology.dead_queue(name)},
                ),
            )
            for name, types in (consumers or {}).items()
        },
        channel_bindings=_amqp(exchange=exchange, **{"is": "routingKey"}),
        publish_bindings=_amqp(deliveryMode=_PERSISTENT, mandatory=True),
    )


def _amqp(**binding: Any) -> dict[str, Any]:
    return {"amqp": {**binding, "bindingVersion": _VERSION}}
