"""Messages of a dead queue, read as dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from cqrs_ddd_infrastructure_messaging.dead_letter import DeadLetter, DeathReason
from cqrs_ddd_infrastructure_messaging.rabbitmq._copies import DEATH
from cqrs_ddd_infrastructure_messaging.rabbitmq._delivery import headers_of

if TYPE_CHECKING:
    from aio_pika.abc import AbstractIncomingMessage

__all__ = ["home_of", "to_letter"]

# Letters the broker made have no id of their own: it is made of what they are.
_NAMESPACE = UUID("6f0f0f0e-6c0b-5d0c-9a51-3c1f9c9b7a51")


def to_letter(incoming: AbstractIncomingMessage, consumer: str) -> DeadLetter:
    """Return the dead letter that a message of a dead queue is."""
    texts = {name: value for name, value in headers_of(incoming).items() if isinstance(value, str)}
    about = {name.removeprefix(DEATH): texts.pop(name) for name in _of_death(texts)}
    broker = _brokers_note(incoming)
    if broker is not None or "id" not in about:
        about = _made_by_the_broker(incoming, broker or {})
    return DeadLetter(
        letter_id=UUID(about["id"]),
        message_id=_message_id(texts),
        consumer=consumer,
        reason=DeathReason(about["reason"]),
        error=about["error"],
        attempts=int(about["attempts"]),
        died_at=datetime.fromisoformat(about["at"]),
        body=incoming.body,
        headers=texts,
    )


def home_of(incoming: AbstractIncomingMessage) -> str | None:
    """Return the queue in which a message died, if it says so."""
    broker = _brokers_note(incoming)
    name = incoming.headers.get(f"{DEATH}queue") if broker is None else broker.get("queue")
    return name if isinstance(name, str) else None


def _of_death(texts: Mapping[str, str]) -> list[str]:
    return [name for name in texts if name.startswith(DEATH)]


def _brokers_note(incoming: AbstractIncomingMessage) -> Mapping[str, object] | None:
    """Return what the broker says of its own last dead-lettering; our copies have nothing."""
    deaths = incoming.headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], Mapping):
        return deaths[0]
    return None


def _made_by_the_broker(
    incoming: AbstractIncomingMessage, note: Mapping[str, object]
) -> dict[str, str]:
    at = note.get("time")
    if not isinstance(at, datetime):
        at = datetime.fromtimestamp(0, UTC)
    content = f"{incoming.message_id}/{at}/{blake2b(incoming.body).hexdigest()}"
    return {
        "id": str(uuid5(_NAMESPACE, content)),
        "reason": DeathReason.BROKER.value,
        "error": f"RabbitMQ: {note.get('reason', 'unknown')}",
        "attempts": str(note.get("count", 1)),
        "at": at.isoformat(),
    }


def _message_id(texts: Mapping[str, str]) -> UUID | None:
    try:
        return UUID(texts.get("ce-id", ""))
    except ValueError:
        return None
