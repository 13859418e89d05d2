"""Reading the rows of views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, func, select, true, tuple_

from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.primitives.exceptions import ConfigurationError, UnknownFieldError
from cqrs_ddd_persistence_sqlalchemy._aggregate_storage import translated
from cqrs_ddd_persistence_sqlalchemy._session import reading_session
from cqrs_ddd_persistence_sqlalchemy.specifications import (
    ColumnField,
    apply_query_options,
    column_fields,
    compile_specification,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Select

    from cqrs_ddd_advanced_core.ports.projection_store import Row, RowKey
    from cqrs_ddd_core.domain.query_options import QueryOptions
    from cqrs_ddd_persistence_sqlalchemy._database import Database
    from cqrs_ddd_persistence_sqlalchemy.materialized_view._table import ViewTable
    from cqrs_ddd_persistence_sqlalchemy.specifications import SQLField, SQLFields

__all__ = ["ViewRows"]


class ViewRows:
    """Answers questions about the rows of one view.

    Args:
        database: Where.
        table: Which view.
    """

    def __init__(self, database: Database, table: ViewTable) -> None:
        self._database = database
        self._view = table.view
        self._table = table.table
        self._columns = [table.table.c[name] for name in table.view.schema.columns]
        schema = table.view.schema
        searched = {
            name: ColumnField(table.table.c[name], searched=True) for name in schema.searched
        }
        self._find: SQLFields = column_fields(table.table, searched)

    async def fetch(self, keys: Collection[RowKey]) -> dict[RowKey, Row]:
        """Return the rows that are there of some keys."""
        schema = self._view.schema
        wanted = {
            tuple(schema.fit(name, part) for name, part in zip(schema.key, key, strict=True))
            for key in keys
        }
        if not wanted:
            return {}
        columns = [self._table.c[name] for name in schema.key]
        is_wanted: ColumnElement[bool] = (
            columns[0].in_([part for (part,) in wanted])
            if len(columns) == 1
            else tuple_(*columns).in_(wanted)
        )
        rows = await self._run(select(*self._columns).where(self._owned(), is_wanted))
        return {schema.key_of(row): row for row in rows}

    async def query(self, options: QueryOptions) -> list[Row]:
        """Return the rows that meet the options, in their order."""
        statement = select(*self._columns).where(self._owned())
        keyed = options.with_key(*self._view.schema.key)
        return await self._run(apply_query_options(statement, keyed, self._field))

    async def count(self, options: QueryOptions | None) -> int:
        """Return how many rows meet the condition of the options."""
        statement = select(func.count()).select_from(self._table).where(self._owned())
        if options is not None and options.specification is not None:
            condition = compile_specification(options.specification, self._field)
            statement = statement.where(condition)
        async with reading_session(self._database) as session:
            with translated():
                return int(await session.scalar(statement) or 0)

    def _field(self, name: str) -> SQLField:
        """Return a field that is declared; the tenant is nobody's to ask for."""
        if name.partition(".")[0] not in self._view.schema.columns:
            raise UnknownFieldError(name, self._view.name)
        return self._find(name)

    def _owned(self) -> ColumnElement[bool]:
        tenant_id, column = get_context().tenant_id, self._view.tenant_column
        if column is not None:
            return self._table.c[column] == tenant_id
        if tenant_id:
            msg = (
                f"the current context is of tenant {tenant_id!r}, but view {self._view.name} has "
                "no tenant_column: its rows would be everybody's"
            )
            raise ConfigurationError(msg)
        return true()

    async def _run(self, statement: Select[Any]) -> list[Row]:
        async with reading_session(self._database) as session:
            with translated():
                found: Sequence[Any] = (await session.execute(statement)).mappings().all()
        return [dict(row) for row in found]
