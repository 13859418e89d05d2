"""RabbitMQ: confirmed publishing, ordered consuming, and an end for every message."""

from __future__ import annotations

from cqrs_ddd_infrastructure_messaging.rabbitmq.connection import RabbitMQConnection
from cqrs_ddd_infrastructure_messaging.rabbitmq.consumer import RabbitMQConsumer
from cqrs_ddd_infrastructure_messaging.rabbitmq.dead_letters import RabbitMQDeadLetters
from cqrs_ddd_infrastructure_messaging.rabbitmq.description import describe_topology
from cqrs_ddd_infrastructure_messaging.rabbitmq.health import (
    ConsumerLiveness,
    RabbitMQHealth,
    RabbitMQStatus,
)
from cqrs_ddd_infrastructure_messaging.rabbitmq.link import RabbitMQLink
from cqrs_ddd_infrastructure_messaging.rabbitmq.publisher import RabbitMQPublisher
from cqrs_ddd_infrastructure_messaging.rabbitmq.settings import RabbitMQSettings
from cqrs_ddd_infrastructure_messaging.rabbitmq.topology import RabbitMQTopology

__all__ = [
    "ConsumerLiveness",
    "RabbitMQConnection",
    "RabbitMQConsumer",
    "RabbitMQDeadLetters",
    "RabbitMQHealth",
    "RabbitMQLink",
    "RabbitMQPublisher",
    "RabbitMQSettings",
    "RabbitMQStatus",
    "RabbitMQTopology",
    "describe_topology",
]
