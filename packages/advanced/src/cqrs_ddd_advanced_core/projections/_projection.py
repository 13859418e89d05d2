"""A registered projection: its projector, where its rows are, and how events reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionConflictError,
    ProjectionDefinitionError,
    ProjectorError,
)
from cqrs_ddd_advanced_core.ports.checkpoint_store import CheckpointKey
from cqrs_ddd_advanced_core.projections._dispatch import EventDispatch
from cqrs_ddd_advanced_core.projections._row_buffer import TableShape
from cqrs_ddd_advanced_core.projections.policy import is_transient
from cqrs_ddd_advanced_core.projections.projector import Projector
from cqrs_ddd_advanced_core.projections.rows import ProjectionRows
from cqrs_ddd_core.cqrs.event_serializer import EventSerializer
from cqrs_ddd_core.domain.event_registry import EventTypeRegistry
from cqrs_ddd_core.ports.event_store import EventFilter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore
    from cqrs_ddd_advanced_core.upcasting import UpcasterRegistry
    from cqrs_ddd_core.ports.event_store import IEventStore, StoredEvent

__all__ = ["Projection"]


class Projection:
    """A projector with the store of its rows.

    Args:
        projector: Has the handlers.
        store: Where the rows and the checkpoints are.
        event_registry: The events that may be read; those the handlers name, when not given.
        upcasters: How events of older shapes are read.

    Attributes:
        projector: As given.
        store: As given.
        name: Of the projection.
        version: Of the definition.
        shapes: Its tables, by the names handlers use.
        event_filter: Which events concern it.
        upstreams: The projections it waits for.

    Raises:
        ProjectionDefinitionError: There are no handlers, or one for an event that cannot be read.
    """

    def __init__(
        self,
        projector: Projector,
        store: IProjectionStore,
        event_registry: EventTypeRegistry | None = None,
        upcasters: UpcasterRegistry | None = None,
    ) -> None:
        self.projector: Projector = projector
        self.store: IProjectionStore = store
        self.name: str = projector.name
        self.version: int = projector.version
        self.shapes: Mapping[str, TableShape] = {
            one.name: TableShape(one) for one in projector.tables
        }
        self.upstreams: Sequence[Projection] = ()
        self._event_registry = event_registry
        self._upcasters = upcasters
        registry = event_registry or EventTypeRegistry(projector.handlers())
        self._serializer = EventSerializer(registry, upcasters)
        self._dispatch = EventDispatch(projector, registry, upcasters, self._serializer)
        self._tells_reads = type(projector).reads is not Projector.reads
        self.event_filter: EventFilter = EventFilter(event_types=self._dispatch.event_types)

    @property
    def keys(self) -> Sequence[CheckpointKey]:
        """One for each partition."""
        partitions = range(self.projector.partitions)
        return [CheckpointKey(self.name, self.version, number) for number in partitions]

    def stored_as(self, tables: Mapping[str, ProjectionSchema]) -> Projection:
        """Return the same projection with its rows in other tables.

        Args:
            tables: By the names handlers use.
        """
        moved = Projection(self.projector, self.store, self._event_registry, self._upcasters)
        moved.shapes = {name: TableShape(schema) for name, schema in tables.items()}
        moved.upstreams = self.upstreams
        return moved

    async def prepare(self, event_store: IEventStore | None = None) -> None:
        """Make its tables and, for the current tenant, its checkpoints.

        Args:
            event_store: Tells where now is, for what starts there.

        Raises:
            ProjectionSchemaMismatchError: A table is there and looks different.
            ProjectionDefinitionError: It has run with another number of partitions.
        """
        for shape in self.shapes.values():
            await self.store.ensure(shape.schema)
        there = await self.store.checkpoints.get(self.name, self.version)
        if there and len(there) != self.projector.partitions:
            msg = (
                f"{self.name} version {self.version} has {len(there)} partitions in its "
                f"checkpoints and {self.projector.partitions} in its definition: the streams would "
                "be divided anew. Give it a higher version and rebuild it"
            )
            raise ProjectionDefinitionError(msg)
        if not there:
            await self._begin(await self.projector.starting_position(event_store))

    async def _begin(self, position: int) -> None:
        checkpoints = self.store.checkpoints
        if position == 0:
            await checkpoints.ensure(self.keys)
            return
        # Together: a crash in between would leave it at the beginning.
        async with self.store.unit_of_work():
            await checkpoints.ensure(self.keys)
            for key in self.keys:
                known = await checkpoints.lock(key)
                if known is not None and known.position == 0:
                    await checkpoints.set_position(*key[:2], position, partition=key.partition)

    async def react(self, events: Sequence[StoredEvent]) -> None:
        """Call the handlers outside of any unit of work; rows they change are not written.

        Raises:
            ProjectorError: A handler failed, or an event cannot be read.
        """
        await self._handle(events, ProjectionRows(self.store, {}))

    async def apply(self, events: Sequence[StoredEvent], *, guarded: bool = True) -> int:
        """Apply events in the current unit of work, all rows together.

        Args:
            events: In the order of positions.
            guarded: Whether rows refuse changes that are not newer than they are.

        Returns:
            How many rows refused.

        Raises:
            ProjectionConflictError: Not guarded, and somebody else changed a row it had read.
            ProjectorError: A handler failed, or an event cannot be read.
            ProjectionValueError: A value does not fit its column.
        """
        rows = ProjectionRows(self.store, self.shapes)
        await self._handle(events, rows)
        refused = await rows.write(guarded=guarded, checked=not guarded)
        if refused and not guarded:
            raise ProjectionConflictError(self.name)
        return refused

    async def apply_one_by_one(self, events: Iterable[StoredEvent]) -> int:
        """Apply events in the current unit of work; each row takes those it has not had.

        Returns:
            How often a row refused.
        """
        return sum([await self.apply([event]) for event in events])

    async def _handle(self, events: Sequence[StoredEvent], rows: ProjectionRows) -> None:
        if self._tells_reads:
            await rows.fetch(self._read_ahead(events, rows))
        dispatch = self._dispatch
        for event in events:
            rows.position = event.position
            try:
                waited_for = dispatch[event.event_type, event.schema_version](event, rows)
                if waited_for is not None:
                    await waited_for
            except Exception as error:
                if is_transient(error):
                    raise
                raise ProjectorError(self.name, event.position, event.event_type, error) from error

    def _read_ahead(
        self, events: Sequence[StoredEvent], rows: ProjectionRows
    ) -> list[tuple[str | ProjectionSchema, Any]]:
        """Read the events of a batch, and return which rows their handlers will ask for."""
        wanted: list[tuple[str | ProjectionSchema, Any]] = []
        for stored in events:
            try:
                read = rows.read_ahead[stored.position] = self._serializer.hydrate(stored)
                for event in read:
                    wanted.extend(self.projector.reads(event))
            except Exception as error:
                name, position = self.name, stored.position
                raise ProjectorError(name, position, stored.event_type, error) from error
        return wanted
