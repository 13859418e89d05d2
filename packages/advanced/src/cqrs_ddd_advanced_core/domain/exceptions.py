"""Errors of event sourcing; all of them are errors of the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cqrs_ddd_core.primitives.exceptions import (
    ConfigurationError,
    DomainError,
    EventStoreError,
    HandlerError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.event_store import StoredEvent, StreamId

__all__ = [
    "EventConflictError",
    "EventHandlerError",
    "EventSourcedAggregateRequiredError",
    "EventSourcingConfigurationError",
    "IncompleteAggregateError",
    "InvalidEventHandlerError",
    "InvalidResolutionError",
    "MergeConflictError",
    "MissingEventHandlerError",
    "StreamGapError",
    "StrictValidationViolationError",
]


class EventHandlerError(HandlerError):
    """An aggregate cannot apply an event."""


class MissingEventHandlerError(EventHandlerError):
    """An aggregate has no method that applies an event."""

    def __init__(self, aggregate_type: str, event_type: str) -> None:
        super().__init__(
            f"{aggregate_type} has no handler for {event_type}: add apply_{event_type}(self, "
            "event), or let it ignore such events with "
            "@aggregate_event_handler_validator(enabled=False)"
        )
        self.aggregate_type = aggregate_type
        self.event_type = event_type


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
        self.missing = tuple(missing)
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


class MergeConflictError(DomainError):
    """Two states cannot be merged into one without losing what somebody wrote."""

    def __init__(self, fields: Iterable[str], reason: str) -> None:
        self.fields = tuple(fields)
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
        self.collisions = tuple(collisions)
        listed = "; ".join(_explain(*collision) for collision in self.collisions)
        super().__init__(f"{stream}: {listed}")


def _explain(mine: DomainEvent, theirs: StoredEvent, because: str) -> str:
    user = theirs.metadata.get("user_id", "an unknown user")
    return (
        f"{mine.event_type} cannot follow {theirs.event_type} (version {theirs.version}, by "
        f"{user}, at {theirs.occurred_at.isoformat()}): {because}"
    )
