"""Domain events to stored JSON and back, exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from uuid import uuid5

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from cqrs_ddd_core.cqrs._problems import problems_of
from cqrs_ddd_core.domain.events import ENVELOPE_FIELDS, DomainEvent
from cqrs_ddd_core.ports.event_store import NewEvent, StoredEvent, StreamId
from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    EventPayloadError,
    SchemaVersionError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
    from cqrs_ddd_core.ports.outbox import OutboxMessage
    from cqrs_ddd_core.ports.upcasting import IUpcasterRegistry, UpcastPayload

__all__ = ["STREAM_VERSION_HEADER", "EventSerializer", "EventWriter", "serialize_event"]

#: Turns an event into what an event store appends.
EventWriter: TypeAlias = Callable[[DomainEvent], NewEvent]

#: Header of a message whose event is in an event store: its version in its stream.
STREAM_VERSION_HEADER = "stream_version"

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
        upcaster_registry: How payloads of other shapes are read, where there are any.
        write_versions: Event types that ``serialize`` still writes at an older version, while
            processes run that cannot read today's.

    Raises:
        ConfigurationError: The upcasters have a gap, those of a registered type do not lead to
            the version its class has, or no downcaster leads to a version that is to be written.
    """

    def __init__(
        self,
        registry: EventTypeRegistry,
        upcaster_registry: IUpcasterRegistry | None = None,
        *,
        write_versions: Mapping[str, int] | None = None,
    ) -> None:
        self._registry = registry
        self._upcasters = upcaster_registry
        # Looked up once per type and version: this runs for every event of a replay. None stands
        # for a shape that has to be changed first.
        self._decoders: dict[tuple[str, int], Callable[..., Any] | None] = {}
        if upcaster_registry is not None:
            upcaster_registry.check()
            _check_versions(registry, upcaster_registry)
        self._older = {
            event_type: _OlderShape(version, self._downcaster(event_type, version))
            for event_type, version in (write_versions or {}).items()
        }

    def serialize(self, event: DomainEvent) -> NewEvent:
        """Turn an event into what an event store appends, at the version it is to be written.

        Raises:
            EventPayloadError: A field holds something that JSON cannot.
            SerializationError: Its downcaster failed.
        """
        new = serialize_event(event)
        older = self._older.get(new.event_type)
        if older is None:
            return new
        payload = to_json(older.downcast(from_json(new.payload)))
        return replace(new, payload=payload, schema_version=older.version)

    def hydrate(self, stored: StoredEvent) -> Sequence[DomainEvent]:
        """Return what a stored event is read as today: one event, several, or none.

        Fields its class no longer has are left out. Of several, the first keeps the event id and
        the others have ids made from it, the same at every reading.

        Raises:
            UnknownEventTypeError: Its type is not registered.
            EventPayloadError: Its payload does not fit the class.
            SchemaVersionError: Its payload has another version than the class, and no upcaster.
            SerializationError: An upcaster failed.
        """
        return self._hydrate(stored)

    def hydrate_message(self, message: OutboxMessage) -> Sequence[DomainEvent]:
        """Return what a message is read as today, be it parked in the outbox or received.

        It is read by the rules of ``hydrate``, which lists the errors too.
        """
        return self._hydrate(_received(message))

    def hydrate_all(self, stored: Iterable[StoredEvent]) -> Iterator[DomainEvent]:
        """Yield what stored events are read as today, in the order given; see ``hydrate``."""
        for event in stored:
            yield from self._hydrate(event)

    def deserialize(self, stored: StoredEvent) -> DomainEvent:
        """Return the one domain event that a stored event is read as today; see ``hydrate``.

        Raises:
            EventPayloadError: It is read as none or as several.
        """
        events = self._hydrate(stored)
        if len(events) != 1:
            reason = f"is read as {len(events)} events today: use hydrate()"
            raise EventPayloadError(stored.event_type, reason)
        return events[0]

    def deserialize_all(self, stored: Iterable[StoredEvent]) -> list[DomainEvent]:
        """Return the domain events in the order given; see ``deserialize``."""
        return [self.deserialize(event) for event in stored]

    def _hydrate(self, source: _Source) -> Sequence[DomainEvent]:
        key = source.event_type, source.schema_version
        try:
            decode = self._decoders[key]
        except KeyError:
            decode = self._decoders[key] = self._find_decoder(*key)
        if decode is None:
            return self._upcast(source)
        return (_read(decode, source.payload_bytes, source),)

    def _find_decoder(self, event_type: str, schema_version: int) -> Callable[..., Any] | None:
        if self._upcasters is not None and self._upcasters.has_upcasters(
            event_type, schema_version
        ):
            return None
        return self._validator(event_type, schema_version)

    def _validator(self, event_type: str, schema_version: int) -> Callable[..., Any]:
        event_class = self._registry.get(event_type)
        if event_class.schema_version != schema_version:
            raise SchemaVersionError(event_type, schema_version, event_class.schema_version)
        validator: Callable[..., Any] = event_class.__pydantic_validator__.validate_json
        return validator

    def _upcast(self, source: _Source) -> Sequence[DomainEvent]:
        assert self._upcasters is not None  # noqa: S101 - only then there is no decoder
        event_type, schema_version = source.event_type, source.schema_version
        upcast = self._upcasters.upcast(event_type, schema_version, _parse(source))
        return tuple(self._build(payload, source, index) for index, payload in enumerate(upcast))

    def _build(self, upcast: UpcastPayload, source: _Source, index: int) -> DomainEvent:
        validate = self._validator(upcast.event_type, upcast.schema_version)
        # As JSON, so that an upcast payload is read by the rules of a stored one.
        event = _read(validate, to_json(upcast.payload), source)
        if index:
            event.__dict__["event_id"] = uuid5(source.event_id, str(index))
        return event

    def _downcaster(self, event_type: str, version: int) -> _Downcast:
        event_class = self._registry.get(event_type)
        if self._upcasters is None:
            msg = f"{event_type!r} cannot be written at version {version} without upcaster_registry"
            raise ConfigurationError(msg)
        return self._upcasters.downcaster(event_type, event_class.schema_version, version)


_Downcast: TypeAlias = "Callable[[dict[str, Any]], dict[str, Any]]"


class _OlderShape(NamedTuple):
    version: int
    downcast: _Downcast


class _ReceivedEvent(NamedTuple):
    """A message under the names of a stored event."""

    event_type: str
    schema_version: int
    payload_bytes: bytes
    event_id: UUID
    aggregate_type: str | None
    aggregate_id: str | None
    occurred_at: datetime
    correlation_id: str | None
    causation_id: str | None
    metadata: Mapping[str, Any]


_Source: TypeAlias = StoredEvent | _ReceivedEvent


def _received(message: OutboxMessage) -> _ReceivedEvent:
    # An event of no aggregate is a stream of its own in the outbox.
    is_located = message.stream != str(message.message_id)
    stream = StreamId.parse(message.stream) if is_located else None
    return _ReceivedEvent(
        message.message_type,
        message.schema_version,
        message.payload,
        message.message_id,
        None if stream is None else stream.aggregate_type,
        None if stream is None else stream.aggregate_id,
        message.occurred_at,
        message.correlation_id,
        message.causation_id,
        {key: message.headers[key] for key in message.headers if key != STREAM_VERSION_HEADER},
    )


def _read(validate: Callable[..., Any], payload: bytes, source: _Source) -> DomainEvent:
    try:
        # Names as well as aliases: the payload was written under the names of the fields.
        event: DomainEvent = validate(payload, extra="ignore", by_alias=True, by_name=True)
    except ValidationError as error:
        reason = f"does not fit its class: {problems_of(error)}"
        raise EventPayloadError(source.event_type, reason) from None
    # The envelope comes from the row and needs no validation: written in place.
    fields = event.__dict__
    fields["event_id"] = source.event_id
    fields["occurred_at"] = source.occurred_at
    fields["aggregate_type"] = source.aggregate_type
    fields["aggregate_id"] = source.aggregate_id
    fields["correlation_id"] = source.correlation_id
    fields["causation_id"] = source.causation_id
    fields["metadata"] = dict(source.metadata)
    return event


def _parse(source: _Source) -> dict[str, Any]:
    try:
        payload = from_json(source.payload_bytes)
    except ValueError as error:
        raise EventPayloadError(source.event_type, f"is no JSON: {error}") from error
    if not isinstance(payload, dict):
        raise EventPayloadError(source.event_type, "is no JSON object")
    return payload


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
