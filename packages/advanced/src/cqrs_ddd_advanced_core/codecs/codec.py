"""One step of encoding, and the place a payload is encoded for."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import UUID

from pydantic_core import to_json

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.ports.event_store import StreamId
from cqrs_ddd_core.ports.outbox import MessageKind

if TYPE_CHECKING:
    from cqrs_ddd_core.ports.event_store import NewEvent, StoredEvent
    from cqrs_ddd_core.ports.outbox import OutboxMessage

__all__ = ["IPayloadCodec", "PayloadPlace"]


class PayloadPlace(NamedTuple):
    """Where a payload is stored; an encrypted one can be read in exactly this place.

    Attributes:
        kind: ``stream`` for an event in its stream; ``event`` or ``command`` for a message in
            the outbox.
        tenant_id: Whose it is.
        owner: The stream; its type and id where they are known.
        type_name: Registered type name of the event or command.
        schema_version: Version of the payload's shape.
        message_id: The event's id, or the message's.
    """

    kind: str
    tenant_id: str
    owner: tuple[str, ...]
    type_name: str
    schema_version: int
    message_id: UUID

    @classmethod
    def in_stream(cls, stream: StreamId, event: NewEvent | StoredEvent) -> PayloadPlace:
        """Return the place of an event in its stream, for the tenant of the current context."""
        tenant_id = get_context().tenant_id
        owner = stream.aggregate_type, stream.aggregate_id
        return cls(
            "stream", tenant_id, owner, event.event_type, event.schema_version, event.event_id
        )

    @classmethod
    def in_outbox(cls, message: OutboxMessage) -> PayloadPlace:
        """Return the place of a message in the outbox."""
        return cls(
            message.kind.value,
            message.tenant_id,
            (message.stream,),
            message.message_type,
            message.schema_version,
            message.message_id,
        )

    @property
    def is_event(self) -> bool:
        """Whether it is the payload of an event."""
        return self.kind != MessageKind.COMMAND.value

    @property
    def aggregate_id(self) -> str | None:
        """The id of the aggregate that raised the event, ``None`` when there is none."""
        if self.kind == "stream":
            return self.owner[1]
        # An event of no aggregate is a stream of its own in the outbox.
        if self.owner[0] == str(self.message_id):
            return None
        stream = StreamId.parse(self.owner[0])
        return None if stream is None else stream.aggregate_id or None

    def to_bytes(self) -> bytes:
        """Return what makes this place different from all others."""
        return to_json(
            [
                self.kind,
                self.tenant_id,
                self.owner,
                self.type_name,
                self.schema_version,
                self.message_id.hex,
            ]
        )

    def __str__(self) -> str:
        return f"the payload of {self.type_name} {self.message_id} in {'-'.join(self.owner)}"


class IPayloadCodec(Protocol):
    """Makes other bytes of a payload's bytes, and the same bytes of them again."""

    @property
    @abstractmethod
    def codec_id(self) -> str:
        """Stored with every payload: 1 to 32 of the characters a-z 0-9 -, the same for ever."""
        ...

    @property
    @abstractmethod
    def encrypts(self) -> bool:
        """Whether nobody without a key can read or forge the result; such a codec comes last."""
        ...

    @abstractmethod
    def encode(self, data: bytes, associated: bytes) -> bytes | None:
        """Return the encoded bytes, or ``None`` when these are better left as they are.

        Args:
            data: The payload, or what the codec before made of it.
            associated: Says where the payload is stored and how it is encoded. It is given again
                for decoding; a codec that encrypts has to bind its result to it.

        Raises:
            PayloadCodecError: It could not be decoded again.
        """
        ...

    @abstractmethod
    def decode(self, data: bytes, associated: bytes) -> bytes:
        """Return what was encoded, and never anything else.

        Raises:
            PayloadCodecError: It cannot be decoded.
        """
        ...
