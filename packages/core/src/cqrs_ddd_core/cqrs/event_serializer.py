"""Domain events to stored JSON and back, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid5

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from cqrs_ddd_core.domain.events import ENVELOPE_FIELDS, DomainEvent
from cqrs_ddd_core.ports.event_store import NewEvent, StoredEvent
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, EventPayloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
    from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry, UpcastPayload

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
    """Reads stored events back as the classes in a registry, older shapes through upcasters.

    Args:
        registry: The closed list of event types that may be read.
        upcaster_registry: How payloads of older shapes are read, where there are any.

    Raises:
        ConfigurationError: The upcasters of a registered type do not lead to the version its
            class has.
    """

    def __init__(
        self, registry: EventTypeRegistry, upcaster_registry: IUpcasterRegistry | None = None
    ) -> None:
        self._registry = registry
        self._upcasters = upcaster_registry
        # Looked up once per type and version: this runs for every event of a replay. None stands
        # for the version the class has.
        self._decoders: dict[tuple[str, int], Callable[..., Any] | None] = {}
        if upcaster_registry is not None:
            _check_versions(registry, upcaster_registry)

    def hydrate(self, stored: StoredEvent) -> Sequence[DomainEvent]:
        """Return what a stored event is read as today: one event, several, or none.

        Fields its class no longer has are left out. Of several, the first keeps the event id and
        the others have ids made from it, the same at every reading.

        Raises:
            UnknownEventTypeError: Its type is not registered.
            EventPayloadError: Its payload does not fit the class, or has another version than
                the class and no upcaster.
        """
        decode = self._decoder(stored.event_type, stored.schema_version)
        if decode is None:
            return self._upcast(stored)
        return (_read(decode, stored.payload_bytes, stored),)

    def hydrate_all(self, stored: Iterable[StoredEvent]) -> Iterator[DomainEvent]:
        """Yield what stored events are read as today, in the order given.

        Raises:
            UnknownEventTypeError: Some type is not registered.
            EventPayloadError: Some payload cannot be read.
        """
        for event in stored:
            yield from self.hydrate(event)

    def deserialize(self, stored: StoredEvent) -> DomainEvent:
        """Return the one domain event that a stored event is read as today.

        Raises:
            UnknownEventTypeError: Its type is not registered.
            EventPayloadError: Its payload cannot be read, or not as exactly one event.
        """
        events = self.hydrate(stored)
        if len(events) != 1:
            reason = f"is read as {len(events)} events today: use hydrate()"
            raise EventPayloadError(stored.event_type, reason)
        return events[0]

    def deserialize_all(self, stored: Iterable[StoredEvent]) -> list[DomainEvent]:
        """Return the domain events in the order given.

        Raises:
            UnknownEventTypeError: Some type is not registered.
            EventPayloadError: Some payload cannot be read, or not as exactly one event.
        """
        return [self.deserialize(event) for event in stored]

    def _decoder(self, event_type: str, schema_version: int) -> Callable[..., Any] | None:
        key = event_type, schema_version
        try:
            return self._decoders[key]
        except KeyError:
            decoder = self._decoders[key] = self._find_decoder(event_type, schema_version)
            return decoder

    def _find_decoder(self, event_type: str, schema_version: int) -> Callable[..., Any] | None:
        if self._upcasters is not None and self._upcasters.has_upcasters(
            event_type, schema_version
        ):
            return None
        return self._validator(event_type, schema_version)

    def _validator(self, event_type: str, schema_version: int) -> Callable[..., Any]:
        event_class = self._registry.get(event_type)
        if event_class.schema_version != schema_version:
            reason = (
                f"has version {schema_version}, and {event_class.__name__} is at version "
                f"{event_class.schema_version}: register an upcaster between them"
            )
            raise EventPayloadError(event_type, reason)
        validator: Callable[..., Any] = event_class.__pydantic_validator__.validate_json
        return validator

    def _upcast(self, stored: StoredEvent) -> Sequence[DomainEvent]:
        assert self._upcasters is not None  # noqa: S101 - only then there is no decoder
        payloads = self._upcasters.upcast(stored.event_type, stored.schema_version, stored.payload)
        return tuple(self._build(payload, stored, index) for index, payload in enumerate(payloads))

    def _build(self, upcast: UpcastPayload, stored: StoredEvent, index: int) -> DomainEvent:
        validate = self._validator(upcast.event_type, upcast.schema_version)
        # As JSON, so that an upcast payload is read by the rules of a stored one.
        event = _read(validate, to_json(upcast.payload), stored)
        if index:
            event.__dict__["event_id"] = uuid5(stored.event_id, str(index))
        return event


def _read(validate: Callable[..., Any], payload: bytes, stored: StoredEvent) -> DomainEvent:
    try:
        event: DomainEvent = validate(payload, extra="ignore")
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


def _check_versions(registry: EventTypeRegistry, upcasters: IUpcasterRegistry) -> None:
    for event_type in registry.registered_types():
        latest, event_class = upcasters.latest_version(event_type), registry.get(event_type)
        if latest not in (None, event_class.schema_version):
            msg = (
                f"the upcasters of {event_type!r} lead to version {latest}, and "
                f"{event_class.__name__} says schema_version = {event_class.schema_version}: "
                "new events would be stored under a version that is not theirs"
            )
            raise ConfigurationError(msg)
