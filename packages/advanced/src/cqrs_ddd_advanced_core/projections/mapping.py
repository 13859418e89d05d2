"""Projections that are declared: which field of an event goes into which column."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_advanced_core.projections._mapped_event import MappedEvent
from cqrs_ddd_advanced_core.projections._row_buffer import TableShape
from cqrs_ddd_advanced_core.projections._sources import Source
from cqrs_ddd_advanced_core.projections.projector import Projector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_advanced_core.projections.policy import ErrorPolicy
    from cqrs_ddd_advanced_core.projections.projector import EventHandler, StoredEventHandler
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["MappedProjector"]

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class MappedProjector(Projector):
    """A projector without code: events set columns, count, sum up, and remove rows.

    It is the fastest kind, for it reads of an event only what it needs.

    Args:
        name: Of the projection.
        table: What the rows look like.
        others: Further tables, that ``on`` names.
        version: Of the definition.
        partitions: Into how many shares the streams are divided.
        error_policy: What becomes of an event that cannot be applied.
    """

    def __init__(
        self,
        name: str,
        table: ProjectionSchema,
        *others: ProjectionSchema,
        version: int = 1,
        partitions: int = 1,
        error_policy: ErrorPolicy | None = None,
    ) -> None:
        self.name = name
        self.tables: Sequence[ProjectionSchema] = (table, *others)
        self.version = version
        self.partitions = partitions
        self.error_policy = error_policy
        self._shapes = {one.name: TableShape(one) for one in self.tables}
        self._mapped: dict[type[DomainEvent], MappedEvent] = {}

    def on(
        self,
        event_class: type[DomainEvent],
        *,
        key: Source | tuple[Source, ...],
        sets: Mapping[str, Source] = _NOTHING,
        adds: Mapping[str, Source] = _NOTHING,
        subtracts: Mapping[str, Source] = _NOTHING,
        deletes: bool = False,
        table: str | None = None,
    ) -> Self:
        """Say what an event does to one row; called again for the same event, to another one.

        A row that is not there is made, with the defaults of the columns that are not given. A
        field that is ``None`` adds nothing.

        Args:
            event_class: The event.
            key: Where the key of the row comes from; a tuple for several columns.
            sets: Where the values of columns come from.
            adds: Where numbers to add to columns come from.
            subtracts: Where numbers to subtract from columns come from.
            deletes: Whether the row is removed.
            table: Which table; the first one when not given.

        Raises:
            ProjectionDefinitionError: A field, column or table is unknown, or they do not fit
                together.
        """
        name = self.tables[0].name if table is None else table
        shape = self._shapes.get(name)
        if shape is None:
            raise ProjectionDefinitionError(f"{self.name} has no table {name!r}")
        mapped = self._mapped.get(event_class) or MappedEvent(event_class)
        mapped.map_to(shape, key=key, sets=sets, adds=adds, subtracts=subtracts, deletes=deletes)
        self._mapped[event_class] = mapped
        return self

    def handlers(self) -> Mapping[type[DomainEvent], EventHandler]:
        return {event_class: mapped.handler() for event_class, mapped in self._mapped.items()}

    def stored_handler(self, event_class: type[DomainEvent]) -> StoredEventHandler | None:
        return self._mapped[event_class].stored_handler()
