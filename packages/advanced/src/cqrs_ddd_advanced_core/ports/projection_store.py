"""The projection store port: rows of read models, written in batches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractAsyncContextManager

    from cqrs_ddd_advanced_core.ports.checkpoint_store import ICheckpointStore
    from cqrs_ddd_advanced_core.ports.parked_events import IParkedEvents
    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_core.domain.query_options import QueryOptions
    from cqrs_ddd_core.ports.unit_of_work import UnitOfWork

__all__ = ["IProjectionStore", "Row", "RowChange", "RowKey"]

#: The values of the key columns, in the order of the schema.
RowKey: TypeAlias = tuple[Any, ...]
#: A row by column name, key columns included.
Row: TypeAlias = Mapping[str, Any]


@dataclass(slots=True)
class RowChange:
    """What the events of one batch do to one row, all together.

    It is done in this order: the row goes back to the defaults of its columns if ``deletes``,
    then ``sets``, then ``adds``. A row that is not there is made, with the defaults of the columns
    that are not given. ``is_delete`` leaves no row.

    Attributes:
        key: Which row.
        first_position: Of the first of those events.
        last_position: Of the last of them.
        deletes: Whether nothing of the row as it was is left.
        is_delete: Whether no row is left; ``deletes`` is true then, and nothing set or added.
        sets: New values by column, none of them of the key.
        adds: Numbers to add by column, where ``None`` counts as 0; a column is in ``sets`` or in
            here.
        expected_version: The row's ``_version`` when it was read, 0 when there was none; the
            change is refused, guarded or not, if the row is at another by now.
    """

    key: RowKey
    first_position: int
    last_position: int
    deletes: bool = False
    is_delete: bool = False
    sets: dict[str, Any] = field(default_factory=dict)
    adds: dict[str, Any] = field(default_factory=dict)
    expected_version: int | None = None

    def make(self, schema: ProjectionSchema, row: Row | None) -> dict[str, Any] | None:
        """Return what it makes of a row, ``None`` for no row: the reference of all stores.

        The guard and the columns every row has besides are left to the store.
        """
        if self.is_delete:
            return None
        if row is None or self.deletes:
            made = {name: column.default for name, column in schema.columns.items()}
            made.update(zip(schema.key, self.key, strict=True))
        else:
            made = {name: row[name] for name in schema.columns}
        made.update(self.sets)
        for name, amount in self.adds.items():
            made[name] = amount if made[name] is None else made[name] + amount
        return made


class IProjectionStore(Protocol):
    """Read models of one database, and how far each projection has come there.

    Guarantee (G1, G6): rows, checkpoints and parked events written in one unit of work of this
    store commit or vanish together. Every row counts its changes in ``_version`` and keeps the
    highest position of an event that changed it in ``_last_position``.
    All calls see the tenant of the current context only.
    """

    @property
    @abstractmethod
    def checkpoints(self) -> ICheckpointStore:
        """How far each projection has come, in the same database."""
        ...

    @property
    @abstractmethod
    def parked_events(self) -> IParkedEvents:
        """Events projections gave up, in the same database."""
        ...

    @abstractmethod
    def unit_of_work(self) -> UnitOfWork:
        """Return a new unit of work of this database; not entered yet."""
        ...

    @abstractmethod
    def snapshot(self) -> AbstractAsyncContextManager[IProjectionStore]:
        """Read rows and checkpoints as they are at one moment, as long as the block lasts.

        What is committed meanwhile is not seen, and nobody waits for it. The store it yields only
        reads; the moment is before anything the block does.
        """
        ...

    @abstractmethod
    async def ensure(self, schema: ProjectionSchema) -> None:
        """Make the table if there is none; any number of processes may do so at once.

        Raises:
            ProjectionSchemaMismatchError: There is one with other columns or another key.
        """
        ...

    @abstractmethod
    async def exists(self, schema: ProjectionSchema) -> bool:
        """Whether there is a table of this name."""
        ...

    @abstractmethod
    async def drop(self, schema: ProjectionSchema) -> None:
        """Remove the table with its rows, of all tenants, if there is one."""
        ...

    @abstractmethod
    async def clear(self, schema: ProjectionSchema) -> None:
        """Remove all rows of the current tenant, in the current unit of work."""
        ...

    @abstractmethod
    async def rename(self, names: Sequence[tuple[str, str]]) -> None:
        """Give tables other names, one after the other, in the current unit of work.

        Readers see all of the old names or all of the new ones.

        Args:
            names: Pairs of the name a table has and the one it gets.
        """
        ...

    @abstractmethod
    async def apply(
        self,
        schema: ProjectionSchema,
        changes: Sequence[RowChange],
        *,
        guarded: bool = True,
    ) -> Sequence[RowKey]:
        """Change rows in the current unit of work; a few statements however many they are.

        Args:
            schema: Whose rows.
            changes: At most one for each row, in any order: the store changes rows in one order
                everywhere, so that batches do not block each other in a circle.
            guarded: Whether rows refuse changes that are not newer. ``False`` where events do not
                come in the order of positions: rows that several partitions share, and events
                that were parked.

        Returns:
            Keys of the rows that were left as they are, because they had a change of
            ``first_position`` or later already, when guarded, or are not at the expected version.

        Raises:
            ProjectionValueError: A value does not fit its column; the unit of work can only be
                rolled back.
        """
        ...

    @abstractmethod
    async def fetch(
        self, schema: ProjectionSchema, keys: Collection[RowKey]
    ) -> Mapping[RowKey, Row]:
        """Return the rows that are there of some keys, ``_version`` and ``_last_position`` too."""
        ...

    @abstractmethod
    async def query(self, schema: ProjectionSchema, options: QueryOptions) -> list[Row]:
        """Return rows that meet the options, in their order.

        What ties is ordered by the key of the schema, whatever key the options have. Rows have
        the chosen fields only, or all columns when none were chosen.

        Raises:
            UnknownFieldError: A column is not declared.
            SpecificationValueError: A value does not fit its column, or the column has no order.
            CursorError: The cursor is none, or belongs to another order or condition.
        """
        ...

    @abstractmethod
    async def count(self, schema: ProjectionSchema, options: QueryOptions | None = None) -> int:
        """Return how many rows meet the condition of the options, whatever their page."""
        ...
