"""NATS JetStream: acknowledged publishing, ordered consuming, and an end for every message."""

from __future__ import annotations

from cqrs_ddd_infrastructure_messaging.nats.connection import NATSConnection
from cqrs_ddd_infrastructure_messaging.nats.consumer import NATSConsumer
from cqrs_ddd_infrastructure_messaging.nats.dead_letters import NATSDeadLetters
from cqrs_ddd_infrastructure_messaging.nats.link import NATSLink
from cqrs_ddd_infrastructure_messaging.nats.publisher import NATSPublisher
from cqrs_ddd_infrastructure_messaging.nats.settings import NATSSettings
from cqrs_ddd_infrastructure_messaging.nats.topology import NATSTopology

__all__ = [
    "NATSConnection",
    "NATSConsumer",
    "NATSDeadLetters",
    "NATSLink",
    "NATSPublisher",
    "NATSSettings",
    "NATSTopology",
]
