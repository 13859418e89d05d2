"""Every error of the toolkit: one root, caught by meaning, never by driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "BrokerUnavailableError",
    "CQRSDDDError",
    "CommitOutcomeUnknownError",
    "ConcurrencyError",
    "ConfigurationError",
    "CursorError",
    "CursorMismatchError",
    "DatabaseUnavailableError",
    "DomainError",
    "EntityNotFoundError",
    "EventPayloadError",
    "EventStoreError",
    "EventTypeRegistrationError",
    "HandlerError",
    "HandlerNotFoundError",
    "HandlerRegistrationError",
    "HandlerTimeoutError",
    "InboxError",
    "InfrastructureError",
    "InvariantViolationError",
    "LockAcquisitionError",
    "MessageTypeRegistrationError",
    "MessagingError",
    "MissingExtraError",
    "NewestEventError",
    "OptimisticConcurrencyError",
    "OutboxError",
    "PersistenceError",
    "SchemaNotInstalledError",
    "SchemaVersionError",
    "SerializationError",
    "SpecificationError",
    "SpecificationLimitError",
    "SpecificationValueError",
    "TransientPersistenceError",
    "UndeliverableError",
    "UniqueViolationError",
    "UnitOfWorkError",
    "UnknownEventTypeError",
    "UnknownFieldError",
    "UnknownMessageTypeError",
    "UnknownOperatorError",
    "UnrecordedEventsError",
    "UnsavedChangesError",
    "ValidationError",
]


class CQRSDDDError(Exception):
    """Root of every error this toolkit raises."""


class DomainError(CQRSDDDError):
    """A business rule said no."""


class InvariantViolationError(DomainError):
    """An operation would have left an aggregate in a state its rules forbid."""


class EntityNotFoundError(DomainError):
    """No entity of that type has that id."""

    def __init__(self, entity_type: str, entity_id: object) -> None:
        super().__init__(f"{entity_type} {entity_id!r} does not exist")
        self.entity_type = entity_type
        self.entity_id = entity_id


class ValidationError(CQRSDDDError):
    """A message was refused before its handler ran.

    Args:
        errors: Messages per field; errors of the whole message stand under ``"__all__"``.
    """

    def __init__(self, errors: Mapping[str, Iterable[str]]) -> None:
        self.errors: dict[str, list[str]] = {name: list(found) for name, found in errors.items()}
        listed = "; ".join(f"{name}: {', '.join(found)}" for name, found in self.errors.items())
        super().__init__(listed or "validation failed")


class ConcurrencyError(CQRSDDDError):
    """Somebody else was faster; running the whole command again on fresh state may succeed."""


class OptimisticConcurrencyError(ConcurrencyError):
    """A writer expected another version than the one it found.

    Args:
        target: What was written, such as the stream ``Order-o1``.
        expected: The version the writer had seen.
        actual: The version found, or ``None`` where the database did not say.
    """

    def __init__(self, target: object, expected: object, actual: object = None) -> None:
        found = "another version was found" if actual is None else f"found version {actual}"
        super().__init__(
            f"{target}: expected version {expected}, {found}; "
            "load it again and repeat the whole command"
        )
        self.target = target
        self.expected = expected
        self.actual = actual


class LockAcquisitionError(ConcurrencyError):
    """A lock could not be taken in time."""

    def __init__(self, resource: object, timeout: float, reason: str = "") -> None:
        why = f": {reason}" if reason else ""
        super().__init__(f"could not lock {resource} within {timeout:g} s{why}")
        self.resource = resource
        self.timeout = timeout
        self.reason = reason


class ConfigurationError(CQRSDDDError):
    """The application is wired in a way that cannot work."""


class MissingExtraError(ConfigurationError, ImportError):
    """An optional dependency is not installed; the message names the install command."""

    def __init__(self, feature: str, distribution: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install '{distribution}[{extra}]'")
        self.feature = feature
        self.distribution = distribution
        self.extra = extra


class HandlerRegistrationError(ConfigurationError):
    """A handler cannot be registered the way it was given."""


class EventTypeRegistrationError(ConfigurationError):
    """An event type name is taken by another class, or the class is no event."""


class MessageTypeRegistrationError(ConfigurationError):
    """A command or query type name is taken by another class."""

    def __init__(self, name: str, known: type, refused: type) -> None:
        super().__init__(
            f"the name {name!r} is taken by {known.__module__}.{known.__qualname__}; "
            f"give {refused.__qualname__} another one"
        )
        self.name = name


class HandlerError(CQRSDDDError):
    """A message could not be handled."""


class HandlerNotFoundError(HandlerError):
    """No handler is registered for the message type."""

    def __init__(self, message_type: type, kind: str) -> None:
        name = message_type.__name__
        super().__init__(
            f"no {kind} handler for {name}: register one with "
            f"registry.register_{kind}_handler({name}, ...) or @registry.{kind}_handler"
        )
        self.message_type = message_type
        self.kind = kind


class HandlerTimeoutError(HandlerError):
    """A handler did not finish in its time; its unit of work was rolled back."""

    def __init__(self, message_type: str, seconds: float) -> None:
        super().__init__(f"{message_type} did not finish within {seconds:g} s and was rolled back")
        self.message_type = message_type
        self.seconds = seconds


class UnitOfWorkError(CQRSDDDError):
    """A unit of work was used outside its life or against its rules."""


class UnrecordedEventsError(UnitOfWorkError):
    """Events were raised where nobody records them; committing would lose them."""

    def __init__(self, event_types: Sequence[str]) -> None:
        self.event_types: tuple[str, ...] = tuple(dict.fromkeys(event_types))
        super().__init__(
            f"nobody records {', '.join(self.event_types)}: save the aggregate in a command sent "
            "through a mediator, or in a unit of work with record_with(EventRecorder(...).record); "
            "take_events() gives them up"
        )


class UnsavedChangesError(UnitOfWorkError):
    """An aggregate raised events that were never saved; committing would lose them."""

    def __init__(self, aggregate_type: str, aggregate_id: object, count: int) -> None:
        super().__init__(
            f"{aggregate_type} {aggregate_id!r} raised {count} event(s) after it was last saved; "
            "call repository.save(...) before the command ends"
        )
        self.aggregate_type = aggregate_type
        self.aggregate_id = aggregate_id
        self.count = count


class SerializationError(CQRSDDDError):
    """A value cannot be written as JSON, or JSON cannot be read as the type it should be."""


class EventPayloadError(SerializationError):
    """An event's payload cannot be written as JSON, or read as its registered class."""

    def __init__(self, event_type: str, reason: str) -> None:
        super().__init__(f"the payload of event {event_type!r} {reason}")
        self.event_type = event_type
        self.reason = reason


class SchemaVersionError(SerializationError):
    """A stored payload has another version than its class, and nothing leads from one to the other.

    Args:
        message_type: Type name of the event or command.
        schema_version: The version of the payload.
        known_version: The version that can be read; ``None`` when there is none of that type.
    """

    def __init__(self, message_type: str, schema_version: int, known_version: int | None) -> None:
        if known_version is None:
            reason = "which nothing reads: register an upcaster from it"
        elif schema_version < known_version:
            reason = f"and version {known_version} is read today: register upcasters between them"
        else:
            reason = (
                f"which is newer than version {known_version} that is read here: it was written "
                "by a later release; deploy that one, or register a downcaster"
            )
        super().__init__(f"{message_type!r} is stored at version {schema_version}, {reason}")
        self.message_type = message_type
        self.schema_version = schema_version
        self.known_version = known_version


class UnknownEventTypeError(SerializationError):
    """A stored event has a type name that no registered class carries."""

    def __init__(self, event_type: str) -> None:
        super().__init__(
            f"no event class is registered for {event_type!r}: call "
            "event_registry.register(TheClass), or keep the old name with "
            f"class TheClass(DomainEvent): event_type = {event_type!r}"
        )
        self.event_type = event_type


class UnknownMessageTypeError(SerializationError):
    """A command or query has a type name that no registered class carries."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(
            f"no {kind} class is registered for {name!r}: call "
            f"message_registry.register_{kind}(TheClass)"
        )
        self.kind = kind
        self.name = name


class SpecificationError(CQRSDDDError):
    """A specification or its paging and order say something that has no meaning."""


class SpecificationLimitError(SpecificationError):
    """A specification is deeper, longer or wider than it may be."""


class SpecificationValueError(SpecificationError):
    """A field cannot be compared with that value, or not in that way."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"field {field!r}: {reason}")
        self.field = field
        self.reason = reason


class UnknownFieldError(SpecificationError):
    """A specification or ordering names a field that is not declared."""

    def __init__(self, field: str, owner: str) -> None:
        super().__init__(f"{owner} has no field {field!r} to filter or order by")
        self.field = field
        self.owner = owner


class CursorError(SpecificationError):
    """A text is no cursor: cut off, changed, or written by another version of the toolkit."""


class CursorMismatchError(CursorError):
    """A cursor was made for another order or another condition than it is used with."""


class UnknownOperatorError(SpecificationError):
    """A specification uses an operator outside the closed list."""

    def __init__(self, operator: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown operator {operator!r}; use one of {', '.join(known)}")
        self.operator = operator


class InfrastructureError(CQRSDDDError):
    """A database, broker or network failed."""


class PersistenceError(InfrastructureError):
    """A database refused or failed an operation."""


class TransientPersistenceError(PersistenceError):
    """The database asks for a new try: deadlock, serialization failure, lost connection."""


class DatabaseUnavailableError(TransientPersistenceError):
    """The database cannot be reached, or has no connection left: no command is to blame."""


class CommitOutcomeUnknownError(PersistenceError):
    """The connection broke while committing: the changes may be durable or may be gone.

    Not transient: running a command again blindly could apply it twice. Repeat only what is
    recognised as a repeat, by its command or event ids.
    """


class UniqueViolationError(PersistenceError):
    """A row with the same key is stored already.

    Args:
        constraint: Name of the constraint, or the columns where the database tells only those.
    """

    def __init__(self, constraint: str, message: str) -> None:
        super().__init__(message)
        self.constraint = constraint


class SchemaNotInstalledError(PersistenceError):
    """The tables do not exist yet; the message names the call that makes them."""


class EventStoreError(PersistenceError):
    """The event store cannot do what was asked."""


class NewestEventError(EventStoreError):
    """A stream's newest event cannot be removed, because it keeps the count of versions.

    Args:
        stream: Whose events were to be removed.
        version: Version of its newest event.
        up_to_version: Up to where it was asked.
    """

    def __init__(self, stream: object, version: int, up_to_version: int) -> None:
        super().__init__(
            f"{stream} ends at version {version}, so events up to {up_to_version} cannot be "
            "removed: the newest one keeps the count; append a tombstone or a summary first"
        )
        self.stream = stream
        self.version = version
        self.up_to_version = up_to_version


class OutboxError(PersistenceError):
    """The outbox cannot do what was asked."""


class InboxError(PersistenceError):
    """The inbox cannot do what was asked."""


class MessagingError(InfrastructureError):
    """A message could not be published or received."""


class UndeliverableError(MessagingError):
    """No further try will bring this message to where it goes: it is parked at once."""


class BrokerUnavailableError(MessagingError):
    """The broker cannot be reached or does not answer: no single message is to blame."""
