"""Message brokers for cqrs-ddd, RabbitMQ first."""

from __future__ import annotations

from cqrs_ddd_infrastructure_messaging.envelope import MessageEnvelope, to_envelope
from cqrs_ddd_infrastructure_messaging.exceptions import MalformedMessageError, TopicError
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
    "EncodedMessage",
    "EnvelopeSerializer",
    "MalformedMessageError",
    "MessageEnvelope",
    "MessageLimits",
    "TopicError",
    "TopicRouter",
    "check_pattern",
    "check_topic",
    "route_to",
    "to_envelope",
    "topic_matches",
]
