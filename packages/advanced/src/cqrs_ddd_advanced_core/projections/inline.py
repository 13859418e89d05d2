"""Inline projections: rows that change in the transactions of the commands that concern them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionConflictError,
    ProjectionDefinitionError,
    ProjectionSwitchingError,
    ProjectorError,
)
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointState
from cqrs_ddd_advanced_core.projections.policy import is_transient
from cqrs_ddd_advanced_core.projections.reaction import EventReaction
from cqrs_ddd_advanced_core.projections.rows import ProjectionRows
from cqrs_ddd_core.ports.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey
    from cqrs_ddd_advanced_core.projections._projection import Projection
    from cqrs_ddd_advanced_core.projections.projector import EventHandler
    from cqrs_ddd_advanced_core.projections.registry import ProjectorRegistry
    from cqrs_ddd_core.domain.events import DomainEvent
    from cqrs_ddd_core.ports.unit_of_work import RecordedAppend

__all__ = ["InlineProjections"]

U = TypeVar("U", bound=UnitOfWork)


class InlineProjections:
    """Lets commands keep projections themselves: rows commit or vanish with the events (G1).

    Whether a projection is inline or asynchronous is kept in its checkpoint, so that all
    processes agree; ``ProjectionSwitch`` changes it. While it is asynchronous, commands leave
    their events to the worker; while it is inline, workers leave it alone. So attach this in
    every process that runs commands before a projection is switched: what is stored by others,
    or appended to the event store by hand, an inline projection does not see.

    Commands that change different rows do not wait for each other, and ``add`` and ``update``
    wait for a row only until the other command has committed. Handlers that ``get`` a row and
    change it are safe too: when another command was faster, this one is rolled back with a
    ``ProjectionConflictError``, to be tried again as after any lost race. Rows that several
    streams share get their changes in the order of commits, not of positions.

    A handler that raises fails its command. It sees ``rows.position`` of the last event that was
    appended together with its own.

    Args:
        registry: Has the projections; they keep their rows in the database of the commands.
        names: Which of them.

    Raises:
        UnknownProjectionError: One is not registered.
        ProjectionDefinitionError: One cannot be inline: it is divided into several partitions,
            waits for others, or is a reaction.
    """

    def __init__(self, registry: ProjectorRegistry, names: Iterable[str]) -> None:
        self._projections = [_Inline(registry.get(name)) for name in sorted(set(names))]

    def attach(self, uow: U) -> U:
        """Let a unit of work apply its events, and return it."""
        uow.after_record(self._apply)
        return uow

    def attached(self, factory: Callable[[], U]) -> Callable[[], U]:
        """Return a factory of units of work that apply their events, for a mediator."""
        return lambda: self.attach(factory())

    async def _apply(self, uow: UnitOfWork) -> None:
        for one in self._projections:
            concerning = one.concerning(uow.recorded_appends)
            if concerning:
                await one.apply(concerning)


class _Inline:
    """One projection, as commands see it."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._key = inline_key(projection)
        self._handlers = projection.projector.handlers()
        self._found: dict[type[DomainEvent], EventHandler | None] = {}

    def concerning(
        self, appends: Sequence[RecordedAppend]
    ) -> list[tuple[DomainEvent, EventHandler, int]]:
        """Return the events it handles, each with its handler and the position."""
        return [
            (event, handler, position)
            for events, position in appends
            for event in events
            if (handler := self._handler(type(event))) is not None
        ]

    async def apply(self, events: Sequence[tuple[DomainEvent, EventHandler, int]]) -> None:
        """Apply events in the current unit of work, or leave them to the worker."""
        projection, checkpoints = self._projection, self._projection.store.checkpoints
        # Held until the commit: a switch waits for this command, or this command sees it.
        checkpoint = await checkpoints.lock(self._key, shared=True)
        if checkpoint is None:
            await self._begin()
            checkpoint = await checkpoints.lock(self._key, shared=True)
        state = None if checkpoint is None else checkpoint.state
        if state is CheckpointState.SWITCHING:
            raise ProjectionSwitchingError(projection.name)
        if state is CheckpointState.INLINE:
            await self._write(events)

    async def _begin(self) -> None:
        """Make the checkpoint, asynchronous, so that a switch has to wait for this command."""
        projection, checkpoints = self._projection, self._projection.store.checkpoints
        for other in await checkpoints.get(projection.name):
            if other.state is CheckpointState.INLINE:
                msg = (
                    f"{projection.name} is inline in version {other.key.version}, which version "
                    f"{projection.version} would leave behind: make it asynchronous first"
                )
                raise ProjectionDefinitionError(msg)
        await checkpoints.ensure([self._key])

    async def _write(self, events: Sequence[tuple[DomainEvent, EventHandler, int]]) -> None:
        projection = self._projection
        rows = ProjectionRows(projection.store, projection.shapes)
        for event, handler, rows.position in events:
            await self._handle(event, handler, rows)
        # Not guarded by position: of two commands the one with the higher may come first.
        if await rows.write(guarded=False, checked=True):
            raise ProjectionConflictError(projection.name)

    async def _handle(
        self, event: DomainEvent, handler: EventHandler, rows: ProjectionRows
    ) -> None:
        try:
            waited_for = handler(event, rows)
            if waited_for is not None:
                await waited_for
        except Exception as error:
            if is_transient(error):
                raise
            name = self._projection.name
            raise ProjectorError(name, rows.position, event.event_type, error) from error

    def _handler(self, event_class: type[DomainEvent]) -> EventHandler | None:
        try:
            return self._found[event_class]
        except KeyError:
            handlers = self._handlers
            found = next((handlers[one] for one in event_class.__mro__ if one in handlers), None)
            self._found[event_class] = found
            return found


def inline_key(projection: Projection) -> CheckpointKey:
    """Return the checkpoint that says whether a projection is inline.

    Raises:
        ProjectionDefinitionError: It cannot be: it is divided, waits for others, or is a reaction.
    """
    projector, why = projection.projector, None
    if projector.partitions > 1:
        why = f"it has {projector.partitions} partitions"
    elif projector.depends_on:
        why = f"it waits for {', '.join(projector.depends_on)}"
    elif isinstance(projector, EventReaction):
        why = "what it does outside could not be rolled back"
    if why is not None:
        raise ProjectionDefinitionError(f"{projection.name} cannot be inline: {why}")
    return projection.keys[0]
