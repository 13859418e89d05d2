"""The one envelope in which messages travel: the attributes of CloudEvents 1.0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["MessageEnvelope", "to_envelope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEnvelope:
    """A message as it travels between processes, with what only the way adds to it.

    The attributes of CloudEvents 1.0 are there under their own names; its extensions are the
    message's other fields and headers.

    Attributes:
        message: What is sent.
        source: Who sent it, as a URI reference such as ``/orders``.
        dataschema: Where the payload's JSON Schema is found, if the sender says so.
        attempt: Which delivery this is to its consumer, counted from 1 by the transport.
    """

    message: OutboxMessage
    source: str
    dataschema: str | None = None
    attempt: int = 1

    @property
    def id(self) -> UUID:
        """The receiver's idempotency key."""
        return self.message.message_id

    @property
    def type(self) -> str:
        """Registered type name of the event or command."""
        return self.message.message_type

    @property
    def time(self) -> datetime:
        """When it happened, aware UTC."""
        return self.message.occurred_at

    @property
    def subject(self) -> str:
        """The stream whose messages stay in order, such as ``Order-o1``."""
        return self.message.stream

    @property
    def data(self) -> bytes:
        """The payload, a JSON object as UTF-8 bytes, exactly as it was stored."""
        return self.message.payload

    @property
    def traceparent(self) -> str | None:
        """W3C trace context of the work that sent it."""
        return self._header("traceparent")

    @property
    def tracestate(self) -> str | None:
        """What tracing systems added to it."""
        return self._header("tracestate")

    @property
    def reply_to(self) -> str | None:
        """Where the answer to a command is expected."""
        return self._header("reply_to")

    def to_message(self) -> OutboxMessage:
        """Return the message, equal to what the sender had."""
        return self.message

    def _header(self, name: str) -> str | None:
        value = self.message.headers.get(name)
        return value if isinstance(value, str) else None


def to_envelope(
    message: OutboxMessage, *, source: str, dataschema: str | None = None
) -> MessageEnvelope:
    """Put a message into its envelope; every transport sends what this makes (X-8).

    Args:
        message: From the outbox. Core's tracing left ``traceparent`` in its headers, and who
            expects an answer to a command leaves ``reply_to`` there.
        source: Who sends it, as a URI reference.
        dataschema: Where its JSON Schema is found.
    """
    return MessageEnvelope(message=message, source=source, dataschema=dataschema)
