"""Read models on PostgreSQL and SQLite."""

from __future__ import annotations

from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from cqrs_ddd_advanced_core.domain.projection_exceptions import ProjectionValueError
from cqrs_ddd_advanced_core.ports.projection_store import IProjectionStore, Row, RowChange, RowKey
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.primitives.exceptions import PersistenceError
from cqrs_ddd_persistence_sqlalchemy._aggregate_storage import translated
from cqrs_ddd_persistence_sqlalchemy._errors import is_value_error
from cqrs_ddd_persistence_sqlalchemy._row_table import TENANT
from cqrs_ddd_persistence_sqlalchemy._row_tables import RowTables
from cqrs_ddd_persistence_sqlalchemy._row_writing import RowWriter, encoded_keys
from cqrs_ddd_persistence_sqlalchemy._session import (
    Snapshot,
    database_of,
    reading,
    reading_session,
    single_statement,
    snapshot,
    writing,
)
from cqrs_ddd_persistence_sqlalchemy.checkpoints import SQLAlchemyCheckpointStore
from cqrs_ddd_persistence_sqlalchemy.parked_events import SQLAlchemyParkedEvents
from cqrs_ddd_persistence_sqlalchemy.specifications import (
    apply_query_options,
    compile_specification,
)
from cqrs_ddd_persistence_sqlalchemy.unit_of_work import SQLAlchemyUnitOfWork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import Select, Table
    from sqlalchemy.ext.asyncio import AsyncSession

    from cqrs_ddd_advanced_core.ports.projection_schema import ProjectionSchema
    from cqrs_ddd_core.domain.query_options import QueryOptions
    from cqrs_ddd_persistence_sqlalchemy._dialect import DriverConnection
    from cqrs_ddd_persistence_sqlalchemy._row_tables import RowTable
    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["SQLAlchemyProjectionStore"]

_LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout TO '300ms'"


class SQLAlchemyProjectionStore(IProjectionStore):
    """Keeps the rows of read models in tables, made of their schemas or your own.

    Rows are written straight through the driver, a statement for each kind of change whatever the
    number of rows. Own SQL belongs in the same transaction: ``SQLAlchemyUnitOfWork.current()``.

    A table of your own has the columns of the schema with types that hold them exactly
    (``ExactDecimal`` and ``UTCDateTime`` of ``cqrs_ddd_persistence_sqlalchemy.types`` do on both
    databases), ``_version`` and ``_last_position`` as ``BigInteger``, and ``tenant_id`` as text,
    which begins its primary key. It may have further columns if they have a default.

    Args:
        source: The engine, or what has one.
        tables: Your own tables by name of the schema.
    """

    def __init__(self, source: Source, *, tables: Mapping[str, Table] | None = None) -> None:
        self._database = database_of(source)
        self._source = source
        self._tables = RowTables(self._database, tables or {})
        self._checkpoints = SQLAlchemyCheckpointStore(source)
        self._parked_events = SQLAlchemyParkedEvents(source)
        self._reading: Callable[[], AbstractAsyncContextManager[DriverConnection]] = partial(
            reading, self._database
        )
        self._reading_session: Callable[[], AbstractAsyncContextManager[AsyncSession]] = partial(
            reading_session, self._database
        )

    @property
    def checkpoints(self) -> SQLAlchemyCheckpointStore:
        return self._checkpoints

    @property
    def parked_events(self) -> SQLAlchemyParkedEvents:
        return self._parked_events

    def unit_of_work(self) -> SQLAlchemyUnitOfWork:
        return SQLAlchemyUnitOfWork(self._source)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[IProjectionStore]:
        async with snapshot(self._database) as moment:
            yield self._as_of(moment)

    def _as_of(self, moment: Snapshot) -> SQLAlchemyProjectionStore:
        found = copy(self)
        found._reading = moment.reading  # noqa: SLF001 - another one of this class
        found._reading_session = moment.reading_session  # noqa: SLF001
        found._checkpoints = self._checkpoints.as_of(moment)  # noqa: SLF001
        return found

    # --- tables ---------------------------------------------------------------------------------

    async def ensure(self, schema: ProjectionSchema) -> None:
        await self._tables.ensure(schema)

    async def exists(self, schema: ProjectionSchema) -> bool:
        found = self._tables.of(schema)
        async with self._reading() as connection:
            return await self._tables.differences(connection, found) is not None

    async def drop(self, schema: ProjectionSchema) -> None:
        async with single_statement(self._database) as connection:
            await connection.execute(self._tables.dropping(schema))

    async def clear(self, schema: ProjectionSchema) -> None:
        async with writing(self._database) as connection:
            if self._database.is_postgres:
                # Rows of a batch under way would not be seen, and would stay.
                await connection.execute(self._tables.locking(schema))
            await connection.execute(self._tables.of(schema).sql.clear(), _tenant())

    async def rename(self, names: Sequence[tuple[str, str]]) -> None:
        async with writing(self._database) as connection:
            if self._database.is_postgres:
                # Who waits for a table that somebody reads keeps all others waiting behind.
                await connection.execute(_LOCK_TIMEOUT)
            for old, new in names:
                await connection.execute(self._tables.renaming(old, new))
            if self._database.is_postgres:
                await connection.execute("SET LOCAL lock_timeout TO DEFAULT")

    # --- rows -----------------------------------------------------------------------------------

    async def apply(
        self,
        schema: ProjectionSchema,
        changes: Sequence[RowChange],
        *,
        guarded: bool = True,
    ) -> Sequence[RowKey]:
        if not changes:
            return []
        sql = self._tables.of(schema).sql
        async with writing(self._database) as connection:
            try:
                return await RowWriter(sql, connection, guarded=guarded).apply(changes)
            except PersistenceError as error:
                if error.__cause__ is not None and is_value_error(error.__cause__):
                    raise ProjectionValueError(f"{schema.name}: {error}") from error
                raise

    async def fetch(
        self, schema: ProjectionSchema, keys: Collection[RowKey]
    ) -> Mapping[RowKey, Row]:
        sql = self._tables.of(schema).sql
        fitted = {
            tuple(schema.fit(name, part) for name, part in zip(schema.key, key, strict=True))
            for key in keys
        }
        if not fitted:
            return {}
        args = sql.args(list(encoded_keys(sql, list(fitted))))
        async with self._reading() as connection:
            rows = await connection.fetch(sql.fetch(), _tenant(), *args)
        found = map(sql.decoded, rows)
        return {schema.key_of(row): row for row in found}

    async def query(self, schema: ProjectionSchema, options: QueryOptions) -> list[Row]:
        found = self._tables.of(schema)
        columns = (found.table.c[name] for name in found.sql.columns)
        statement = apply_query_options(
            _of_tenant(select(*columns), found), options.with_key(*schema.key), found.field
        )
        async with self._reading_session() as session:
            with translated():
                rows = (await session.execute(statement)).mappings().all()
        return [dict(row) for row in rows]

    async def count(self, schema: ProjectionSchema, options: QueryOptions | None = None) -> int:
        found = self._tables.of(schema)
        statement = _of_tenant(select(func.count()).select_from(found.table), found)
        if options is not None and options.specification is not None:
            statement = statement.where(compile_specification(options.specification, found.field))
        async with self._reading_session() as session:
            with translated():
                return await session.scalar(statement) or 0


def _tenant() -> str:
    return get_context().tenant_id


def _of_tenant(statement: Select[Any], found: RowTable) -> Select[Any]:
    return statement.where(found.table.c[TENANT] == _tenant())
