"""Domain events to stored JSON and back, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from cqrs_ddd_core.domain.events import ENVELOPE_FIELDS, DomainEvent
from cqrs_ddd_core.ports.event_store import NewEvent, StoredEvent
from cqrs_ddd_core.primitives.exceptions import EventPayloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry

__all__ = ["EventSerializer", "serialize_event"]

_EXCLUDED = set(ENVELOPE_FIELDS)


def serialize_event(event: DomainEvent) -> NewEvent:
    """Turn an event into what an event store appends.

    Raises:
        EventPayloadError: A field holds something that JSON cannot.
    """
    try:
        payload = event.__pydantic_serializer__.to_json(event, exclude=_EXCLUDED)
    except PydanticSerializationError as error:
        reason = f"cannot be written as JSON: {error}"
        raise EventPayloadError(event.event_type, reason) from error
    return NewEvent(
        event.event_id,
        event.event_type,
        payload,
        event.occurred_at,
        event.schema_version,
        event.correlation_id,
        event.causation_id,
        event.metadata,
    )


class EventSerializer:
    """Reads stored events back as the classes in a registry.

    Args:
        registry: The closed list of event types that may be read.
    """

    def __init__(self, registry: EventTypeRegistry) -> None:
        self._registry = registry
        # Looked up once per type: this runs for every event of a replay.
        self._decoders: dict[str, Callable[..., Any]] = {}

    def deserialize(self, stored: StoredEvent) -> DomainEvent:
        """Return the domain event; fields its class no longer has are left out.

        Raises:
            UnknownEventTypeError: Its type is not registered.
            EventPayloadError: Its payload does not fit the class.
        """
        decode = self._decoders.get(stored.event_type) or self._decoder(stored.event_type)
        try:
            event: DomainEvent = decode(stored.payload_bytes, extra="ignore")
        except ValidationError as error:
            reason = f"does not fit its class: {error}"
            raise EventPayloadError(stored.event_type, reason) from error
        # The envelope comes from the row and needs no validation: written in place.
        fields = event.__dict__
        fields["event_id"] = stored.event_id
        fields["occurred_at"] = stored.occurred_at
        fields["aggregate_type"], fields["aggregate_id"] = stored.stream
        fields["correlation_id"] = stored.correlation_id
        fields["causation_id"] = stored.causation_id
        if stored.metadata:
            fields["metadata"] = dict(stored.metadata)
        return event

    def _decoder(self, event_type: str) -> Callable[..., Any]:
        decoder = self._registry.get(event_type).__pydantic_validator__.validate_json
        self._decoders[event_type] = decoder
        return decoder

    def deserialize_all(self, stored: Iterable[StoredEvent]) -> list[DomainEvent]:
        """Return the domain events in the order given.

        Raises:
            UnknownEventTypeError: Some type is not registered.
            EventPayloadError: Some payload does not fit its class.
        """
        deserialize = self.deserialize
        return [deserialize(event) for event in stored]
