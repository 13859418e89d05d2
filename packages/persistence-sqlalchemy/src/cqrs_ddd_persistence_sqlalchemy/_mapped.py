"""Aggregates in the rows of a user's own table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import and_, delete, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from cqrs_ddd_core.domain.aggregate import AggregateRoot
from cqrs_ddd_core.primitives.exceptions import ConfigurationError
from cqrs_ddd_persistence_sqlalchemy._aggregate_storage import AggregateStorage, translated
from cqrs_ddd_persistence_sqlalchemy._session import reading_session, writing_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, CursorResult, Executable, Select

    from cqrs_ddd_persistence_sqlalchemy._mapping import AggregateMapping
    from cqrs_ddd_persistence_sqlalchemy._session import Database

__all__ = ["MappedStorage"]

T = TypeVar("T", bound=AggregateRoot[Any])


class MappedStorage(AggregateStorage[T]):
    """Reads and writes columns with Core statements: nothing is loaded lazily or flushed later.

    Args:
        mapping: Which field goes where.
        database: Where the table is.
    """

    def __init__(self, mapping: AggregateMapping[T], database: Database) -> None:
        self._mapping = mapping
        self._database = database
        self._insert = postgresql.insert if database.is_postgres else sqlite.insert
        self.fields = mapping.field

    async def find(self, tenant_id: str, entity_id: object) -> T | None:
        row = await self._first(self.select(tenant_id).where(self._is(entity_id)))
        return None if row is None else self.load(row)

    async def find_version(self, tenant_id: str, entity_id: object) -> int:
        version = self._mapping.version
        row = await self._first(select(version).where(self._owned(tenant_id), self._is(entity_id)))
        return 0 if row is None else int(row[0])

    async def insert(self, tenant_id: str, entity: T) -> bool:
        mapping = self._mapping
        values = {**mapping.to_values(entity), mapping.version.key: 1}
        if mapping.tenant is not None:
            values[mapping.tenant.key] = tenant_id
        self._owned(tenant_id)
        # Only a taken id is a conflict; another violated constraint is an error of its own.
        statement = self._insert(mapping.table).values(values)
        return await self._changes(
            statement.on_conflict_do_nothing(index_elements=list(mapping.table.primary_key))
        )

    async def update(self, tenant_id: str, entity: T) -> bool:
        mapping = self._mapping
        values = {**mapping.to_values(entity), mapping.version.key: entity.version + 1}
        del values[mapping.id.column.key]
        statement = update(mapping.table).where(self._current(tenant_id, entity)).values(values)
        return await self._changes(statement)

    async def delete(self, tenant_id: str, entity: T) -> bool:
        return await self._changes(
            delete(self._mapping.table).where(self._current(tenant_id, entity))
        )

    def select(self, tenant_id: str) -> Select[Any]:
        return select(*self._mapping.columns).where(self._owned(tenant_id))

    def load(self, row: Sequence[Any]) -> T:
        return self._mapping.to_aggregate(row)

    def _current(self, tenant_id: str, entity: T) -> ColumnElement[bool]:
        return and_(
            self._owned(tenant_id),
            self._is(entity.id),
            self._mapping.version == entity.version,
        )

    def _is(self, entity_id: object) -> ColumnElement[bool]:
        place = self._mapping.id
        condition: ColumnElement[bool] = place.column == place.codec.encode(entity_id)
        return condition

    def _owned(self, tenant_id: str) -> ColumnElement[bool]:
        tenant = self._mapping.tenant
        if tenant is not None:
            return tenant == tenant_id
        if tenant_id:
            msg = (
                f"the current context is of tenant {tenant_id!r}, but {self._mapping.table.name} "
                "has no column tenant_id: its rows would be everybody's"
            )
            raise ConfigurationError(msg)
        return true()

    async def _first(self, statement: Select[Any]) -> Sequence[Any] | None:
        async with reading_session(self._database) as session:
            with translated():
                row: Sequence[Any] | None = (await session.execute(statement)).first()
        return row

    async def _changes(self, statement: Executable) -> bool:
        async with writing_session(self._database) as session:
            with translated():
                result = cast("CursorResult[Any]", await session.execute(statement))
        return result.rowcount > 0
