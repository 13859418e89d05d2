"""Message brokers for cqrs-ddd, RabbitMQ first."""

from __future__ import annotations

from cqrs_ddd_infrastructure_messaging.asyncapi import (
    ConsumerDescription,
    TopologyDescription,
    asyncapi_document,
    asyncapi_json,
)
from cqrs_ddd_infrastructure_messaging.buffering import BufferedPublisher, BufferStatistics
from cqrs_ddd_infrastructure_messaging.commands import CommandReceiver, RemoteCommandBus
from cqrs_ddd_infrastructure_messaging.envelope import MessageEnvelope, to_envelope
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError, TopicError
from cqrs_ddd_infrastructure_messaging.handlers import handle_commands, handle_events
from cqrs_ddd_infrastructure_messaging.idempotency import IdempotentConsumer, StreamOrder
from cqrs_ddd_infrastructure_messaging.local_commands import LocalCommandPublisher
from cqrs_ddd_infrastructure_messaging.parked import ParkedMessages
from cqrs_ddd_infrastructure_messaging.publishing import (
    InstrumentedPublisher,
    KindPublisher,
    PublisherMetrics,
)
from cqrs_ddd_infrastructure_messaging.relay import OutboxRelay, RelayHealth
from cqrs_ddd_infrastructure_messaging.retry import RetryLadder
from cqrs_ddd_infrastructure_messaging.routing import (
    TopicRouter,
    check_pattern,
    check_topic,
    route_to,
    topic_matches,
)
from cqrs_ddd_infrastructure_messaging.serialization import (
    EncodedMessage,
    EnvelopeSerializer,
    MessageLimits,
)

__all__ = [
    "BufferStatistics",
    "BufferedPublisher",
    "CommandReceiver",
    "ConsumerDescription",
    "EncodedMessage",
    "EnvelopeSerializer",
    "IdempotentConsumer",
    "InstrumentedPublisher",
    "KindPublisher",
    "LocalCommandPublisher",
    "MalformedMessageError",
    "MessageEnvelope",
    "MessageLimits",
    "OutboxRelay",
    "ParkedMessages",
    "PublisherMetrics",
    "RelayHealth",
    "RemoteCommandBus",
    "RetryLadder",
    "StreamOrder",
    "TopicError",
    "TopicRouter",
    "TopologyDescription",
    "asyncapi_document",
    "asyncapi_json",
    "check_pattern",
    "check_topic",
    "handle_commands",
    "handle_events",
    "route_to",
    "to_envelope",
    "topic_matches",
]
