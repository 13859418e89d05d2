"""Reactions: what events lead to outside, such as mails and calls, with a checkpoint of its own."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_advanced_core.projections._partition import ProjectionPartition
from cqrs_ddd_advanced_core.projections.projector import Projector
from cqrs_ddd_core.correlation import message_context
from cqrs_ddd_core.domain.events import DomainEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_advanced_core.projections.policy import ErrorPolicy
    from cqrs_ddd_advanced_core.projections.projector import EventHandler
    from cqrs_ddd_advanced_core.projections.rows import ProjectionRows
    from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent

__all__ = ["Effect", "EventReaction", "ReactionPartition"]

#: Does something because of an event; it may be repeated, so it goes by the event's id.
Effect: TypeAlias = Callable[[Any], Awaitable[None] | None]


class EventReaction(Projector):
    """Does something outside because of events: sends mails, calls others, sends commands.

    Register it beside the projectors; a ``ProjectionWorker`` carries it on. Every event since its
    start is handled at least once, those of a stream in order; a repeat comes only when a
    process dies, or loses its checkpoint, between an effect and the note of it, and is then one
    event. Give ``event_id`` to what is called, as the key that makes repeats harmless. Effects
    run outside of any transaction, one after the other, in the context of the event: what they
    send is caused by it.

    It is muted for the past: what was committed before the first worker came to it has no effect,
    unless ``starts`` says otherwise. Rebuilding projections does not touch it, for its checkpoint
    is its own.

    Args:
        name: For ever: its checkpoint is kept under it, so another name reacts anew from its start.
        effects: What is done for which event class, and those derived from it.
        starts: ``"now"``, ``"beginning"``, or the position behind which events have effects.
        partitions: Into how many shares the streams are divided, for as many workers at once.
        error_policy: What becomes of an event whose effect fails; the worker's when ``None``.
            Failures such as a server that is away are tried again without end.
        depends_on: Names of projections that have to show an event before it has its effect.

    Raises:
        ProjectionDefinitionError: An effect cannot be one, or the start is before the beginning.
    """

    def __init__(
        self,
        name: str,
        effects: Mapping[type[DomainEvent], Effect],
        *,
        starts: Literal["now", "beginning"] | int = "now",
        partitions: int = 1,
        error_policy: ErrorPolicy | None = None,
        depends_on: Sequence[str] = (),
    ) -> None:
        if isinstance(starts, int) and starts < 0:
            raise ProjectionDefinitionError(f"{name} starts at a position of 0 or more")
        self.name = name
        self.partitions = partitions
        self.error_policy = error_policy
        self.depends_on = depends_on
        self._starts = starts
        self._effects = {
            event_class: _effect(name, event_class, effect)
            for event_class, effect in effects.items()
        }

    def handlers(self) -> Mapping[type[DomainEvent], EventHandler]:
        return self._effects

    async def starting_position(self, event_store: IEventStore | None) -> int:
        """Return behind which position events have effects.

        Raises:
            ProjectionDefinitionError: It is to start now, and nobody knows where that is.
        """
        if isinstance(self._starts, int):
            return self._starts
        if self._starts == "beginning":
            return 0
        if event_store is None:
            msg = f"{self.name} is no projection: only a ProjectionWorker can begin with it"
            raise ProjectionDefinitionError(msg)
        return await event_store.get_head_position()


class ReactionPartition(ProjectionPartition):
    """One partition of a reaction: an effect, then the checkpoint, event by event."""

    def _batch_limit(self, events: Sequence[StoredEvent]) -> int:
        return min(len(events), 1)

    async def _transact(
        self, events: Sequence[StoredEvent], until: int, *, one_by_one: bool = False
    ) -> None:
        # What waits behind a parked event is parked in the transaction, as ever.
        if not any(event.stream in self._held for event in events):
            await self.projection.react(events)
            events = ()
        await super()._transact(events, until, one_by_one=one_by_one)


def _effect(name: str, event_class: type[DomainEvent], effect: Effect) -> EventHandler:
    try:
        inspect.signature(effect).bind(None)
    except TypeError:
        msg = f"{name}: the effect of {event_class.__name__} has to take the event, and only it"
        raise ProjectionDefinitionError(msg) from None

    async def handle(event: DomainEvent, _: ProjectionRows) -> None:
        with message_context(correlation_id=event.correlation_id, causation_id=str(event.event_id)):
            waited_for = effect(event)
            if waited_for is not None:
                await waited_for

    return handle
