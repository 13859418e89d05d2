"""Read models in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from cqrs_ddd_advanced_core.adapters.memory.checkpoint_store import InMemoryCheckpointStore
from cqrs_ddd_advanced_core.adapters.memory.parked_events import InMemoryParkedEvents
from cqrs_ddd_advanced_core.domain.projection_exceptions import (
    ProjectionSchemaMismatchError,
    ProjectionValueError,
)
from cqrs_ddd_advanced_core.ports.projection_schema import LAST_POSITION, ROW_VERSION
from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore, Row, RowChange, RowKey
from cqrs_ddd_core.adapters.memory.database import InMemoryDatabase, Table
from cqrs_ddd_core.adapters.memory.unit_of_work import (
    InMemoryUnitOfWork,
    current_transaction,
    write_transaction,
)
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.domain.query_options import QueryOptions
from cqrs_ddd_core.domain.specification import FieldKind
from cqrs_ddd_core.domain.specification.values import kind_of_type
from cqrs_ddd_core.primitives.exceptions import PersistenceError, UnknownFieldError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence

    from cqrs_ddd_advanced_core.ports.projection_schema import (
        ProjectionColumn,
        ProjectionSchema,
    )
    from cqrs_ddd_core.adapters.memory.database import Transaction
    from cqrs_ddd_core.domain.specification import FieldKinds
    from cqrs_ddd_core.primitives.clock import IClock

__all__ = ["InMemoryProjectionStore"]

_Place: TypeAlias = tuple[str, RowKey]
_COUNTERS: Final = {ROW_VERSION: FieldKind.INTEGER, LAST_POSITION: FieldKind.INTEGER}


class _RowTable(NamedTuple):
    """The rows of all tenants, and the columns they were made with."""

    schema: ProjectionSchema
    rows: Table[_Place, Row]


class InMemoryProjectionStore(IProjectionStore):
    """Keeps read models in memory, and every promise of the port.

    Args:
        database: Shared with an event store, where both are to commit as one.
        clock: Measures leases and tells when something changed.
    """

    def __init__(
        self, database: InMemoryDatabase | None = None, *, clock: IClock | None = None
    ) -> None:
        self._database = database or InMemoryDatabase()
        self._tables: Table[str, _RowTable] = Table()
        self._checkpoints = InMemoryCheckpointStore(self._database, clock=clock)
        self._parked_events = InMemoryParkedEvents(self._database, clock=clock)

    @property
    def checkpoints(self) -> InMemoryCheckpointStore:
        return self._checkpoints

    @property
    def parked_events(self) -> InMemoryParkedEvents:
        return self._parked_events

    def unit_of_work(self) -> InMemoryUnitOfWork:
        return InMemoryUnitOfWork(self._database)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[IProjectionStore]:
        # Rows are never changed in place, so that the tables are copied and not the rows.
        frozen = copy(self)
        frozen._database = InMemoryDatabase()  # noqa: SLF001 - another one of this class
        frozen._tables = Table(  # noqa: SLF001
            (name, _RowTable(table.schema, Table(table.rows.items(None))))
            for name, table in self._tables.items(None)
        )
        frozen._checkpoints = self._checkpoints.frozen()  # noqa: SLF001
        yield frozen

    async def ensure(self, schema: ProjectionSchema) -> None:
        async with write_transaction(self._database) as transaction:
            table = self._tables.get(schema.name, transaction)
            if table is None:
                self._tables.put(schema.name, _RowTable(schema, Table()), transaction)
            elif differences := _differences(table.schema, schema):
                raise ProjectionSchemaMismatchError(schema.name, differences)

    async def exists(self, schema: ProjectionSchema) -> bool:
        return self._tables.get(schema.name, self._transaction()) is not None

    async def drop(self, schema: ProjectionSchema) -> None:
        async with write_transaction(self._database) as transaction:
            self._tables.delete(schema.name, transaction)

    async def clear(self, schema: ProjectionSchema) -> None:
        async with write_transaction(self._database) as transaction:
            rows = self._rows(schema.name, transaction)
            for key, _ in list(self._of_tenant(rows, transaction)):
                rows.delete((_tenant(), key), transaction)

    async def rename(self, names: Sequence[tuple[str, str]]) -> None:
        async with write_transaction(self._database) as transaction:
            for old, new in names:
                table = self._table(old, transaction)
                if self._tables.get(new, transaction) is not None:
                    raise PersistenceError(f"there is a table {new!r} already")
                self._tables.delete(old, transaction)
                self._tables.put(new, table, transaction)

    async def apply(
        self, schema: ProjectionSchema, changes: Sequence[RowChange], *, guarded: bool = True
    ) -> Sequence[RowKey]:
        async with write_transaction(self._database) as transaction:
            rows, tenant_id = self._rows(schema.name, transaction), _tenant()
            refused = []
            for change in changes:
                place = tenant_id, _fitting_key(schema, change.key)
                row = rows.get(place, transaction)
                if _refuses(row, change, guarded=guarded):
                    refused.append(change.key)
                elif made := _made(schema, row, change):
                    rows.put(place, made, transaction)
                else:
                    rows.delete(place, transaction)
            return refused

    async def fetch(
        self, schema: ProjectionSchema, keys: Collection[RowKey]
    ) -> Mapping[RowKey, Row]:
        transaction, tenant_id = self._transaction(), _tenant()
        rows = self._rows(schema.name, transaction)
        found = ((key, rows.get((tenant_id, key), transaction)) for key in keys)
        return {key: deepcopy(row) for key, row in found if row is not None}

    async def query(self, schema: ProjectionSchema, options: QueryOptions) -> list[Row]:
        options = options.with_key(*schema.key)
        options.check(_kinds(schema))
        return [options.pick(deepcopy(row)) for row in options.apply(self._list(schema))]

    async def count(self, schema: ProjectionSchema, options: QueryOptions | None = None) -> int:
        wanted = None if options is None else options.specification
        condition = QueryOptions(wanted).with_key(*schema.key)
        condition.check(_kinds(schema))
        return len(condition.apply(self._list(schema)))

    def _list(self, schema: ProjectionSchema) -> Iterator[Row]:
        transaction = self._transaction()
        rows = self._rows(schema.name, transaction)
        return (row for _, row in self._of_tenant(rows, transaction))

    def _of_tenant(
        self, rows: Table[_Place, Row], transaction: Transaction | None
    ) -> Iterator[tuple[RowKey, Row]]:
        tenant_id = _tenant()
        items = rows.items(transaction)
        return ((key, row) for (tenant, key), row in items if tenant == tenant_id)

    def _rows(self, name: str, transaction: Transaction | None) -> Table[_Place, Row]:
        return self._table(name, transaction).rows

    def _table(self, name: str, transaction: Transaction | None) -> _RowTable:
        table = self._tables.get(name, transaction)
        if table is None:
            raise PersistenceError(f"there is no table {name!r}: call ensure() first")
        return table

    def _transaction(self) -> Transaction | None:
        return current_transaction(self._database)


def _refuses(row: Row | None, change: RowChange, *, guarded: bool) -> bool:
    if change.expected_version not in (None, 0 if row is None else row[ROW_VERSION]):
        return True
    return guarded and row is not None and bool(row[LAST_POSITION] >= change.first_position)


def _made(schema: ProjectionSchema, row: Row | None, change: RowChange) -> Row | None:
    """Return what a change makes of a row, with values as a database would keep them."""
    try:
        made = change.make(schema, row)
    except TypeError as error:
        raise ProjectionValueError(f"{schema.name}: {error}") from None
    if made is None:
        return None
    fitted: dict[str, Any] = {name: schema.fit(name, value) for name, value in made.items()}
    fitted[ROW_VERSION] = 1 if row is None else row[ROW_VERSION] + 1
    fitted[LAST_POSITION] = max(change.last_position, 0 if row is None else row[LAST_POSITION])
    return fitted


def _fitting_key(schema: ProjectionSchema, key: RowKey) -> RowKey:
    return tuple([schema.fit(name, value) for name, value in zip(schema.key, key, strict=True)])


def _differences(there: ProjectionSchema, wanted: ProjectionSchema) -> list[str]:
    """Return in what tables differ; indexes and defaults may change at any time."""
    differences = []
    if there.key != wanted.key:
        differences.append(f"its key is {', '.join(there.key)}")
    for name in sorted(there.columns.keys() | wanted.columns.keys()):
        has, wants = there.columns.get(name), wanted.columns.get(name)
        if has is None or wants is None:
            differences.append(f"column {name} is {'missing' if has is None else 'not declared'}")
        elif (has.type, has.nullable) != (wants.type, wants.nullable):
            differences.append(f"column {name} is {_described(has)} and not {_described(wants)}")
    return differences


def _described(column: ProjectionColumn) -> str:
    return f"{column.type.__name__}{' | None' if column.nullable else ''}"


def _kinds(schema: ProjectionSchema) -> FieldKinds:
    kinds = {name: kind_of_type(column.type) for name, column in schema.columns.items()}

    def kind_of(name: str) -> FieldKind:
        first, *rest = name.split(".")
        kind = kinds.get(first) or _COUNTERS.get(first)
        if kind is None or (rest and kind is not FieldKind.OBJECT):
            raise UnknownFieldError(name, schema.name)
        return FieldKind.JSON if rest else kind

    return kind_of


def _tenant() -> str:
    return get_context().tenant_id
