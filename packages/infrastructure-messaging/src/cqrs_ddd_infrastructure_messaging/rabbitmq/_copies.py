"""Copies of received messages: on their way to another try, to the dead letters, or back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aio_pika import DeliveryMode, Message

from cqrs_ddd_core.primitives.clock import utc_now
from cqrs_ddd_core.primitives.id_generator import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aio_pika.abc import AbstractIncomingMessage

    from cqrs_ddd_infrastructure_messaging._handling import Death

__all__ = ["DEATH", "dead_copy", "replayed_copy", "retried_copy", "topic_of"]

_ATTEMPT = "ce-attempt"
_TOPIC = "cqrs-topic"

#: Prefix of the headers that say why a message died.
DEATH = "cqrs-dead-"

# What the broker wrote; it would read them again (CC and BCC are routed to, x-death may make it
# drop a message as going round in circles).
_BROKERS_OWN = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired")
_ROUTED_TO = ("CC", "BCC")

# Headers travel in one frame, which RabbitMQ limits to 131,072 bytes: one more header must fit.
_MANY_BYTES = 100_000
_LONGEST_KEPT = 1_000
_MOST_KEPT = 64


def retried_copy(incoming: AbstractIncomingMessage, *, attempt: int) -> Message:
    """Return the message as it is delivered for another try."""
    headers = _kept_headers(incoming)
    headers.setdefault(_TOPIC, topic_of(incoming))
    return _copy(incoming, incoming.body, {**headers, _ATTEMPT: str(attempt)})


def dead_copy(incoming: AbstractIncomingMessage, death: Death, *, queue: str) -> Message:
    """Return the message as a dead letter that says why it died; its body is untouched.

    Args:
        incoming: As it was delivered.
        death: Why it died.
        queue: Where it came from, and goes back to when it is replayed.
    """
    headers = {
        **_kept_headers(incoming),
        _TOPIC: topic_of(incoming),
        f"{DEATH}id": str(new_id()),
        f"{DEATH}consumer": death.consumer,
        f"{DEATH}reason": death.reason.value,
        f"{DEATH}error": _shortened(f"{type(death.error).__name__}: {death.error}"),
        f"{DEATH}attempts": str(death.attempts),
        f"{DEATH}at": utc_now().isoformat(),
        f"{DEATH}queue": queue,
    }
    return _copy(incoming, incoming.body, headers)


def replayed_copy(incoming: AbstractIncomingMessage, body: bytes | None) -> Message:
    """Return a dead letter as a message that was never tried, perhaps with another body."""
    kept = _kept_headers(incoming)
    headers = {
        name: value
        for name, value in kept.items()
        if name != _ATTEMPT and not name.startswith(DEATH)
    }
    return _copy(incoming, incoming.body if body is None else body, headers)


def topic_of(incoming: AbstractIncomingMessage) -> str:
    """Return the topic a message was published to, on whatever ways it came."""
    first = incoming.headers.get(_TOPIC)
    return first if isinstance(first, str) else incoming.routing_key or ""


def _kept_headers(incoming: AbstractIncomingMessage) -> dict[str, object]:
    headers: dict[str, object] = {
        name: value
        for name, value in incoming.headers.items()
        if name not in _ROUTED_TO and not name.startswith(_BROKERS_OWN)
    }
    return headers if _size_of(headers) < _MANY_BYTES else _cut(headers)


def _cut(headers: Mapping[str, object]) -> dict[str, object]:
    texts = [(name, value) for name, value in headers.items() if isinstance(value, str)]
    return {name: _shortened(value) for name, value in texts[:_MOST_KEPT]}


def _size_of(headers: Mapping[str, object]) -> int:
    return sum(len(name) + len(str(value)) for name, value in headers.items())


def _shortened(text: str) -> str:
    encoded = text.encode(errors="replace")[:_LONGEST_KEPT]
    return encoded.decode(errors="ignore")


def _copy(incoming: AbstractIncomingMessage, body: bytes, headers: Mapping[str, object]) -> Message:
    # Without user_id and expiration: the broker would refuse the one and act on the other.
    return Message(
        body,
        headers=dict(headers),  # type: ignore[arg-type]
        content_type=incoming.content_type,
        content_encoding=incoming.content_encoding,
        delivery_mode=DeliveryMode.PERSISTENT,
        correlation_id=incoming.correlation_id,
        reply_to=incoming.reply_to,
        message_id=incoming.message_id,
        timestamp=incoming.timestamp,
        type=incoming.type,
        app_id=incoming.app_id,
    )
