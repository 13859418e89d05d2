"""Errors of event sourcing; all of them are errors of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    CQRSDDDError,
    DomainError,
    EntityNotFoundError,
    EventStoreError,
    HandlerError,
    SerializationError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId

__all__ = [
    "CommandNotExecutedError",
    "DeletedAggregateError",
    "EventConflictError",
    "EventHandlerError",
    "EventSourcedAggregateRequiredError",
    "EventSourcingConfigurationError",
    "HistoryRemovedError",
    "IncompleteAggregateError",
    "InvalidEventHandlerError",
    "InvalidResolutionError",
    "MergeConflictError",
    "MissingEventHandlerError",
    "StreamGapError",
    "StrictValidationViolationError",
    "SummaryMismatchError",
    "UndoError",
    "UndoExecutorNotFoundError",
    "UndoExecutorRegistrationError",
    "UndoFailedError",
    "UndoGroupClosedError",
    "UndoNotAllowedError",
    "UnknownUndoTokenError",
]


class EventHandlerError(HandlerError):
    """An aggregate cannot apply an event."""


class MissingEventHandlerError(EventHandlerError):
    """An aggregate has no method that applies an event."""

    def __init__(self, aggregate_type: str, event_type: str, remedy: str | None = None) -> None:
        remedy = remedy or (
            f"add apply_{event_type}(self, event), or let it ignore such events with "
            "@aggregate_event_handler_validator(enabled=False)"
        )
        super().__init__(f"{aggregate_type} has no handler for {event_type}: {remedy}")
        self.aggregate_type = aggregate_type
        self.event_type = event_type


class UnknownCommandError(HandlerError):
    """A decider has no answer to a command, not even that nothing happens."""

    def __init__(self, decider: str, command_type: str, known: Iterable[str] = ()) -> None:
        self.known: tuple[str, ...] = tuple(known)
        listed = f"; it knows {', '.join(self.known)}" if self.known else ""
        super().__init__(
            f"{decider} does not decide on {command_type}{listed}: return its events, or [] where "
            "nothing happens"
        )
        self.decider = decider
        self.command_type = command_type


class InvalidEventHandlerError(EventHandlerError):
    """A method cannot be the handler of an event."""

    def __init__(self, aggregate_type: str, handler: str, reason: str) -> None:
        super().__init__(f"{aggregate_type}.{handler} cannot handle an event: {reason}")
        self.aggregate_type = aggregate_type
        self.handler = handler
        self.reason = reason


class StrictValidationViolationError(EventHandlerError):
    """A strict aggregate has no handler made for exactly this event."""

    def __init__(self, aggregate_type: str, event_type: str, reason: str) -> None:
        super().__init__(f"{aggregate_type} is strict and cannot apply {event_type}: {reason}")
        self.aggregate_type = aggregate_type
        self.event_type = event_type
        self.reason = reason


class IncompleteAggregateError(EventHandlerError):
    """The events of a stream left required fields of the aggregate without a value."""

    def __init__(self, stream: object, missing: Iterable[str]) -> None:
        self.missing: tuple[str, ...] = tuple(missing)
        super().__init__(
            f"after all events {stream} has no value for {', '.join(self.missing)}: let the "
            "handler of its first event set them, or give them defaults"
        )
        self.stream = stream


class EventSourcedAggregateRequiredError(ConfigurationError):
    """Something needs an event-sourced aggregate, and this type is none."""

    def __init__(self, aggregate_type: str, remedy: str) -> None:
        super().__init__(f"{aggregate_type} is not event-sourced: {remedy}")
        self.aggregate_type = aggregate_type


class EventSourcingConfigurationError(ConfigurationError):
    """Event sourcing is wired in a way that cannot work."""


class StreamGapError(EventStoreError):
    """Events are missing in a stream, so that no state can be made of the rest."""

    def __init__(self, stream: object, expected: int, found: int) -> None:
        super().__init__(
            f"{stream} goes on with version {found} where version {expected} should be: events "
            "were removed without a summary; read it through the archive they were moved to"
        )
        self.stream = stream
        self.expected = expected
        self.found = found


class DeletedAggregateError(EntityNotFoundError):
    """An aggregate was deleted at the moment that was asked for.

    Args:
        stream: Its stream.
        version: Version of the tombstone.
        deleted_at: When it was deleted, aware UTC.
        reason: What the tombstone says, if anything.
    """

    def __init__(
        self, stream: StreamId, version: int, deleted_at: datetime, reason: str = ""
    ) -> None:
        super().__init__(stream.aggregate_type, stream.aggregate_id)
        self.stream = stream
        self.version = version
        self.deleted_at = deleted_at
        self.reason = reason

    def __str__(self) -> str:
        because = f" ({self.reason})" if self.reason else ""
        return (
            f"{self.stream} was deleted at {self.deleted_at.isoformat()}, by version "
            f"{self.version}{because}; ask for version {self.version - 1} to see its last state"
        )


class HistoryRemovedError(EventStoreError):
    """The state that was asked for cannot be made: the events up to it were removed.

    Args:
        stream: Whose events.
        version: What was asked for.
        first_version: Version of the oldest event that is left.
    """

    def __init__(self, stream: StreamId, version: int, first_version: int) -> None:
        super().__init__(
            f"{stream} begins at version {first_version}, so nothing is known of version "
            f"{version}: if the events before were archived, read it through "
            "ArchivedEventStore(store, archive)"
        )
        self.stream = stream
        self.version = version
        self.first_version = first_version


class SummaryMismatchError(EventStoreError):
    """A summary event does not make the state it was to stand for; nothing was changed.

    Args:
        stream: The stream that was to be compacted.
        fields: The fields that would have come out different.
    """

    def __init__(self, stream: StreamId, fields: Iterable[str]) -> None:
        self.fields: tuple[str, ...] = tuple(fields)
        super().__init__(
            f"{stream}: the summary alone gives another value for {', '.join(self.fields)}; let "
            "it carry them, and let its handler set them"
        )
        self.stream = stream


class MergeConflictError(DomainError):
    """Two states cannot be merged into one without losing what somebody wrote."""

    def __init__(self, fields: Iterable[str], reason: str) -> None:
        self.fields: tuple[str, ...] = tuple(fields)
        super().__init__(f"cannot merge {', '.join(self.fields)}: {reason}")
        self.reason = reason


class InvalidResolutionError(HandlerError):
    """What ``resolve_conflict`` returned cannot be saved in place of the existing aggregate."""

    def __init__(self, existing: object, reason: str) -> None:
        super().__init__(f"the resolution of a conflict over {existing} is refused: {reason}")
        self.reason = reason


class EventConflictError(DomainError):
    """Events of somebody else came first, and these may not follow them.

    Running the command again would not help; the user has to look at what happened.

    Args:
        stream: Where it happened.
        collisions: The events that could not be stored, each with the stored event that
            forbids it and the reason.
    """

    def __init__(
        self, stream: StreamId, collisions: Sequence[tuple[DomainEvent, StoredEvent, str]]
    ) -> None:
        self.stream = stream
        self.collisions: tuple[tuple[DomainEvent, StoredEvent, str], ...] = tuple(collisions)
        listed = "; ".join(_explain(*collision) for collision in self.collisions)
        super().__init__(f"{stream}: {listed}")


def _explain(mine: DomainEvent, theirs: StoredEvent, because: str) -> str:
    user = theirs.metadata.get("user_id", "an unknown user")
    return (
        f"{mine.event_type} cannot follow {theirs.event_type} (version {theirs.version}, by "
        f"{user}, at {theirs.occurred_at.isoformat()}): {because}"
    )


class UpcasterRegistrationError(ConfigurationError):
    """An upcaster cannot be registered, or those that are leave a version without a way on."""

    def __init__(self, upcaster: str, reason: str) -> None:
        super().__init__(f"{upcaster} {reason}")
        self.upcaster = upcaster
        self.reason = reason


class UpcastingError(SerializationError):
    """An upcaster failed on a stored payload.

    Args:
        event_type: Type name of the payload.
        source_version: Its version.
        targets: What the upcaster should have made of it: type names and versions.
        reason: What went wrong in it.
    """

    def __init__(
        self, event_type: str, source_version: int, targets: Mapping[str, int], reason: str
    ) -> None:
        made = " and ".join(f"{name!r} version {version}" for name, version in targets.items())
        super().__init__(
            f"{event_type!r} version {source_version} cannot be made into {made or 'nothing'}: "
            f"{reason}"
        )
        self.event_type = event_type
        self.source_version = source_version
        self.targets: dict[str, int] = dict(targets)
        self.reason = reason


class UndoExecutorRegistrationError(ConfigurationError):
    """An undo executor cannot be registered the way it was given."""


class UndoExecutorNotFoundError(ConfigurationError):
    """Nobody has said how a command is undone."""

    def __init__(self, command_type: type) -> None:
        name = command_type.__name__
        super().__init__(
            f"nobody has said how {name} is undone: decorate a function with "
            f"@undo_executors.undo({name}), or call undo_executors.register() with an "
            f"IUndoExecutor[{name}]"
        )
        self.command_type = command_type


class UndoError(CQRSDDDError):
    """A command cannot be executed, undone or redone with a history."""


class UnknownUndoTokenError(UndoError):
    """There is no entry in the undo history of this tenant; it may have been purged."""

    def __init__(self, token: UUID) -> None:
        super().__init__(f"nothing is known of the undo token {token}; it may have been purged")
        self.token = token


class CommandNotExecutedError(UndoError):
    """A command was sent and did nothing, so that there is nothing to record."""

    def __init__(self, command_type: str, reason: object) -> None:
        super().__init__(f"{command_type} was not executed: {reason}")
        self.command_type = command_type
        self.reason = reason


class UndoGroupClosedError(UndoError):
    """Another command was executed after those of a group, which would come between them."""

    def __init__(self, group_id: UUID, scope: str) -> None:
        super().__init__(
            f"group {group_id} takes no more commands, because another one was executed after it "
            f"in scope {scope!r}: begin a new group"
        )
        self.group_id = group_id
        self.scope = scope


class UndoNotAllowedError(UndoError):
    """A command can not be undone or redone now; nothing was changed."""

    def __init__(self, token: UUID, reason: str) -> None:
        super().__init__(f"{token}: {reason}")
        self.token = token
        self.reason = reason


class UndoFailedError(UndoError):
    """Undoing a command raised an error; what it had changed was rolled back.

    Args:
        token: The command that could not be undone; of a group, the one at fault.
        status: What the history says now: ``undo_failed``, or what became of the compensation.
        reason: The error as the history keeps it.
    """

    def __init__(self, token: UUID, status: str, reason: str | None) -> None:
        super().__init__(f"{token} could not be undone ({status}): {reason}")
        self.token = token
        self.status = status
        self.reason = reason
