"""The one envelope in which messages travel: the attributes of CloudEvents 1.0."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cqrs_ddd_core.ports.outbox import MessageKind, OutboxMessage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

__all__ = ["MessageEnvelope", "to_envelope"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEnvelope:
    """A message as it travels between processes.

    The first seven attributes are those of CloudEvents 1.0 under their names there; the others
    are its extensions.

    Attributes:
        id: The receiver's idempotency key.
        source: Who sent it, as a URI reference such as ``/orders``.
        type: Registered type name of the event or command.
        time: When it happened, aware UTC.
        subject: The stream whose messages stay in order, such as ``Order-o1``.
        data: The payload, a JSON object as UTF-8 bytes, exactly as it was stored.
        dataschema: Where the payload's JSON Schema is found, if the sender says so.
        kind: Event or command.
        schema_version: Version of the payload's shape.
        traceparent: W3C trace context of the work that sent it.
        tracestate: What tracing systems added to it.
        reply_to: Where the answer to a command is expected.
        attempt: Which delivery this is to its consumer, counted from 1 by the transport.
        headers: The message's other headers, with JSON values.
    """

    id: UUID
    source: str
    type: str
    time: datetime
    subject: str
    data: bytes = field(repr=False)
    dataschema: str | None = None
    kind: MessageKind = MessageKind.EVENT
    schema_version: int = 1
    correlation_id: str | None = None
    causation_id: str | None = None
    tenant_id: str = ""
    traceparent: str | None = None
    tracestate: str | None = None
    reply_to: str | None = None
    attempt: int = 1
    headers: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_message(self) -> OutboxMessage:
        """Return the message that was put into the envelope, equal to what the sender had."""
        promoted = {
            "traceparent": self.traceparent,
            "tracestate": self.tracestate,
            "reply_to": self.reply_to,
        }
        known = {name: value for name, value in promoted.items() if value is not None}
        return OutboxMessage(
            message_id=self.id,
            kind=self.kind,
            message_type=self.type,
            payload=self.data,
            stream=self.subject,
            occurred_at=self.time,
            schema_version=self.schema_version,
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
            tenant_id=self.tenant_id,
            headers={**self.headers, **known},
        )


def to_envelope(
    message: OutboxMessage, *, source: str, dataschema: str | None = None
) -> MessageEnvelope:
    """Put a message into its envelope; every transport sends what this makes (X-8).

    ``traceparent``, ``tracestate`` and ``reply_to`` are taken out of the message's headers, where
    core's tracing and the senders of commands leave them.

    Args:
        message: From the outbox.
        source: Who sends it, as a URI reference.
        dataschema: Where its JSON Schema is found.
    """
    headers = dict(message.headers)
    return MessageEnvelope(
        id=message.message_id,
        source=source,
        type=message.message_type,
        time=message.occurred_at,
        subject=message.stream,
        data=message.payload,
        dataschema=dataschema,
        kind=message.kind,
        schema_version=message.schema_version,
        correlation_id=message.correlation_id,
        causation_id=message.causation_id,
        tenant_id=message.tenant_id,
        traceparent=_take(headers, "traceparent"),
        tracestate=_take(headers, "tracestate"),
        reply_to=_take(headers, "reply_to"),
        headers=headers,
    )


def _take(headers: dict[str, Any], name: str) -> str | None:
    """Take a header out, if it is the text it should be."""
    return headers.pop(name) if isinstance(headers.get(name), str) else None
