"""The rows handlers change: buffered, folded, and written together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionDefinitionError
from cqrs_ddd_advanced_core.ports.projection_schema import ROW_VERSION, ProjectionSchema
from cqrs_ddd_advanced_core.projections._row_buffer import RowBuffer, TableShape, as_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cqrs_ddd_advanced_core.ports.projection_store import (
        IProjectionStore,
        Row,
        RowChange,
        RowKey,
    )
    from cqrs_ddd_core.domain.events import DomainEvent

__all__ = ["ProjectionRows"]


class ProjectionRows:
    """Changes to the tables of a projection, of all events of a batch.

    Nothing is written before the batch is complete; then every row is written once, with what
    all events together do to it. A table is named, or given as its schema; a key of one column
    may be given bare, one of several as a tuple in the order of the schema.

    Floats that are added up may differ in the last digits from those added one by one, as floats
    do; use ``Decimal`` for money.

    Args:
        store: Where the rows are.
        shapes: The tables of the projection by the names handlers use.

    Attributes:
        buffers: The changes so far by table, for projectors that are compiled.
        position: Of the event that is being applied.
        read_ahead: Events of the batch that were read before their turn, by position.
    """

    __slots__ = ("_found", "_store", "buffers", "position", "read_ahead")

    def __init__(self, store: IProjectionStore, shapes: Mapping[str, TableShape]) -> None:
        self._store = store
        self.buffers: Mapping[str, RowBuffer] = {
            name: RowBuffer(shape) for name, shape in shapes.items()
        }
        self._found: dict[tuple[str, RowKey], Row | None] = {}
        self.position: int = 0
        self.read_ahead: dict[int, Sequence[DomainEvent]] = {}

    def put(self, table: str | ProjectionSchema, row: Row) -> None:
        """Let a row be exactly this one; columns that are not given have their defaults.

        Args:
            table: Which table.
            row: Values by column, the key among them.

        Raises:
            ProjectionDefinitionError: The projection has no such table.
            ProjectionValueError: A column is unknown, or one of the key is missing.
        """
        buffer = self._buffer(table)
        shape = buffer.shape
        key = shape.key_of(row)
        values = {name: row[name] for name in row if name not in shape.key}
        if not values.keys() <= shape.columns:
            shape.check_settable(values)
        buffer.replace(self.position, key, values)

    def add(self, table: str | ProjectionSchema, key: Any, **amounts: Any) -> None:
        """Add numbers to columns; a row that is not there begins with its defaults.

        Raises:
            ProjectionDefinitionError: The projection has no such table.
            ProjectionValueError: A column is unknown or holds no numbers.
        """
        buffer = self._buffer(table)
        if not amounts.keys() <= buffer.shape.numbers:
            buffer.shape.check_addable(amounts)
        if amounts:
            buffer.add(self.position, as_key(key), amounts)

    def update(self, table: str | ProjectionSchema, key: Any, **values: Any) -> None:
        """Set columns; a row that is not there begins with its defaults.

        Raises:
            ProjectionDefinitionError: The projection has no such table.
            ProjectionValueError: A column is unknown, or belongs to the key.
        """
        buffer = self._buffer(table)
        if not values.keys() <= buffer.shape.columns:
            buffer.shape.check_settable(values)
        if values:
            buffer.update(self.position, as_key(key), values)

    def delete(self, table: str | ProjectionSchema, key: Any) -> None:
        """Remove a row, if there is one.

        Raises:
            ProjectionDefinitionError: The projection has no such table.
        """
        self._buffer(table).delete(self.position, as_key(key))

    async def get(self, table: str | ProjectionSchema, key: Any) -> dict[str, Any] | None:
        """Return a row as the events so far have left it, ``None`` when there is none.

        A row is read from the database once for each batch, together with others where
        ``Projector.reads`` names them. Counting with ``add`` reads nothing and is much faster.

        Raises:
            ProjectionDefinitionError: The projection has no such table.
        """
        buffer, key = self._buffer(table), as_key(key)
        schema, change = buffer.shape.schema, buffer.changes.get(key)
        if change is not None and change.deletes:
            return change.make(schema, None)
        row = await self._fetch(schema, key)
        if change is not None:
            return change.make(schema, row)
        return None if row is None else {name: row[name] for name in schema.columns}

    async def fetch(self, rows: Iterable[tuple[str | ProjectionSchema, Any]]) -> None:
        """Read rows that ``get`` will be asked for, with one statement for each table.

        Args:
            rows: Table and key of each.

        Raises:
            ProjectionDefinitionError: The projection has no such table.
        """
        wanted: dict[str, set[RowKey]] = {}
        for table, key in rows:
            name = table.name if isinstance(table, ProjectionSchema) else table
            wanted.setdefault(name, set()).add(as_key(key))
        for name, keys in wanted.items():
            schema = self._buffer(name).shape.schema
            found = await self._store.fetch(schema, keys)
            self._found.update({(schema.name, key): found.get(key) for key in keys})

    async def write(self, *, guarded: bool = True, checked: bool = False) -> int:
        """Write all changes in the current unit of work, and begin anew.

        Args:
            guarded: Whether rows refuse changes that are not newer than they are.
            checked: Whether rows that were read refuse changes if others changed them meanwhile.

        Returns:
            How many rows did, and were left as they are.
        """
        refused = 0
        for buffer in self.buffers.values():
            if buffer.changes:
                changes = list(buffer.changes.values())
                buffer.changes = {}
                schema = buffer.shape.schema
                if checked:
                    self._expect(schema.name, changes)
                refused += len(await self._store.apply(schema, changes, guarded=guarded))
        self._found.clear()
        return refused

    def _buffer(self, table: str | ProjectionSchema) -> RowBuffer:
        name = table.name if isinstance(table, ProjectionSchema) else table
        try:
            return self.buffers[name]
        except KeyError:
            there = ", ".join(self.buffers) or "none"
            msg = f"the projection has no table {name!r}, but {there}: list it in its tables"
            raise ProjectionDefinitionError(msg) from None

    def _expect(self, table: str, changes: Sequence[RowChange]) -> None:
        for change in changes:
            if (table, change.key) in self._found:
                row = self._found[table, change.key]
                change.expected_version = 0 if row is None else row[ROW_VERSION]

    async def _fetch(self, schema: ProjectionSchema, key: RowKey) -> Row | None:
        place = schema.name, key
        if place not in self._found:
            self._found[place] = (await self._store.fetch(schema, [key])).get(key)
        return self._found[place]
