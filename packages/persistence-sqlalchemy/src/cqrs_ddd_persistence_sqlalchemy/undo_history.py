"""The undo history on PostgreSQL and SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cqrs_ddd_advanced_core.ports.undo_history import (
    UNSETTLED,
    IUndoHistory,
    UndoEntry,
    UndoStatus,
)
from cqrs_ddd_core.correlation import get_context
from cqrs_ddd_core.primitives.exceptions import (
    OptimisticConcurrencyError,
    UniqueViolationError,
    UnitOfWorkError,
)
from cqrs_ddd_persistence_sqlalchemy._advisory_lock import lock_key
from cqrs_ddd_persistence_sqlalchemy._dialect import to_datetime, to_uuid
from cqrs_ddd_persistence_sqlalchemy._session import (
    database_of,
    reading,
    single_statement,
    writing_unit,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from cqrs_ddd_persistence_sqlalchemy._session import Source

__all__ = ["SQLAlchemyUndoHistory"]

_COLUMNS: Final = (
    "token, scope, command_type, schema_version, command, created_at, updated_at, memento, "
    "group_id, status, error, user_id, correlation_id, tenant_id, revision, sequence"
)


def _listed(statuses: Iterable[UndoStatus]) -> str:
    # Constants, so that an index on some of them is used; nothing else passes UndoStatus.
    return ", ".join(f"'{UndoStatus(status).value}'" for status in sorted(statuses))


_LOCK: Final = "SELECT pg_advisory_xact_lock($1)"
_ADD: Final = f"""
INSERT INTO cqrs_undo_history (
    token, scope, command_type, schema_version, command, created_at, updated_at, memento,
    group_id, status, error, user_id, correlation_id, tenant_id, revision
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1)
ON CONFLICT (tenant_id, token) DO NOTHING
RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants
_SELECT: Final = f"SELECT {_COLUMNS} FROM cqrs_undo_history WHERE tenant_id = $1"  # noqa: S608
_GET: Final = f"{_SELECT} AND token = $2"
_GROUP: Final = f"{_SELECT} AND scope = $2 AND group_id = $3 ORDER BY sequence"
_UPDATE: Final = f"""
UPDATE cqrs_undo_history
SET command_type = $4, schema_version = $5, command = $6, memento = $7, status = $8, error = $9,
    updated_at = $10, revision = revision + 1
WHERE tenant_id = $1 AND token = $2 AND revision = $3
RETURNING {_COLUMNS}
"""  # noqa: S608 - made of constants
_DISCARD_UNDONE: Final = """
UPDATE cqrs_undo_history
SET status = 'discarded', error = $3, updated_at = $4, revision = revision + 1
WHERE tenant_id = $1 AND scope = $2 AND status = 'undone'
"""
# An entry that is in no group is a group of its own.
_PURGE: Final = f"""
DELETE FROM cqrs_undo_history WHERE sequence IN (
    SELECT member.sequence FROM cqrs_undo_history AS member JOIN (
        SELECT tenant_id, scope, COALESCE(group_id, token) AS unit
        FROM cqrs_undo_history AS old
        WHERE updated_at < $1 AND status NOT IN ({_listed(UNSETTLED)}) AND NOT EXISTS (
            SELECT 1 FROM cqrs_undo_history AS other
            WHERE other.tenant_id = old.tenant_id AND other.scope = old.scope
            AND other.group_id = old.group_id
            AND (other.updated_at >= $1 OR other.status IN ({_listed(UNSETTLED)}))
        )
        ORDER BY updated_at LIMIT $2
    ) AS chosen ON member.tenant_id = chosen.tenant_id AND member.scope = chosen.scope
    AND (member.token = chosen.unit OR member.group_id = chosen.unit)
)
"""  # noqa: S608 - made of constants
_TRIM: Final = f"""
DELETE FROM cqrs_undo_history
WHERE tenant_id = $1 AND scope = $2 AND COALESCE(group_id, token) NOT IN (
    SELECT COALESCE(group_id, token) FROM (
        SELECT group_id, token FROM cqrs_undo_history
        WHERE tenant_id = $1 AND scope = $2 ORDER BY sequence DESC LIMIT $3
    ) AS newest
    UNION ALL
    SELECT COALESCE(group_id, token) FROM cqrs_undo_history
    WHERE tenant_id = $1 AND scope = $2 AND status IN ({_listed(UNSETTLED)})
)
"""  # noqa: S608 - made of constants


class SQLAlchemyUndoHistory(IUndoHistory):
    """Keeps executed commands in a table, in the transaction of their effects.

    On PostgreSQL a scope is locked by an advisory lock of the transaction; on SQLite every
    writing unit of work waits for the one before it anyway.

    Args:
        source: The engine, or what has one.
    """

    def __init__(self, source: Source) -> None:
        self._database = database_of(source)

    async def lock(self, scope: str) -> None:
        uow = writing_unit(self._database)
        if uow is None:
            msg = "a scope is locked in a unit of work, and until its end"
            raise UnitOfWorkError(msg)
        connection = await uow.driver_connection()
        if self._database.is_postgres:
            await connection.fetch(_LOCK, lock_key(f"undo:{_tenant()}:{scope}"))

    async def add(self, entry: UndoEntry) -> UndoEntry:
        values = (
            entry.token,
            entry.scope,
            entry.command_type,
            entry.schema_version,
            entry.command,
            entry.created_at,
            entry.updated_at,
            entry.memento,
            entry.group_id,
            entry.status.value,
            entry.error,
            entry.user_id,
            entry.correlation_id,
            _tenant(),
        )
        async with single_statement(self._database) as connection:
            rows = await connection.fetch(_ADD, *values)
        if not rows:
            msg = f"the undo history has an entry of {entry.token} already"
            raise UniqueViolationError("uq_cqrs_undo_history_token", msg)
        return _to_entry(rows[0])

    async def get(self, token: UUID) -> UndoEntry | None:
        found = await self._select(_GET, token)
        return found[0] if found else None

    async def get_group(self, scope: str, group_id: UUID) -> list[UndoEntry]:
        return await self._select(_GROUP, scope, group_id)

    async def find(
        self,
        scope: str,
        *,
        statuses: Collection[UndoStatus] = tuple(UndoStatus),
        newest_first: bool = True,
        after: int | None = None,
        limit: int = 100,
    ) -> list[UndoEntry]:
        if not statuses:
            return []
        way, order = ("<", "DESC") if newest_first else (">", "ASC")
        page = "" if after is None else f" AND sequence {way} $4"
        statement = (
            f"{_SELECT} AND scope = $2 AND status IN ({_listed(statuses)}){page} "
            f"ORDER BY sequence {order} LIMIT $3"
        )
        return await self._select(statement, scope, limit, *([] if after is None else [after]))

    async def update(self, entry: UndoEntry) -> UndoEntry:
        values = (
            entry.command_type,
            entry.schema_version,
            entry.command,
            entry.memento,
            entry.status.value,
            entry.error,
            entry.updated_at,
        )
        async with single_statement(self._database) as connection:
            rows = await connection.fetch(_UPDATE, _tenant(), entry.token, entry.revision, *values)
        if not rows:
            raise OptimisticConcurrencyError(f"undo entry {entry.token}", entry.revision)
        return _to_entry(rows[0])

    async def discard_undone(self, scope: str, reason: str, at: datetime) -> int:
        async with single_statement(self._database) as connection:
            return await connection.execute(_DISCARD_UNDONE, _tenant(), scope, reason, at)

    async def purge(self, before: datetime, *, limit: int = 10_000) -> int:
        async with single_statement(self._database) as connection:
            return await connection.execute(_PURGE, before, limit)

    async def trim(self, scope: str, *, keep: int) -> int:
        async with single_statement(self._database) as connection:
            return await connection.execute(_TRIM, _tenant(), scope, keep)

    async def _select(self, statement: str, *values: Any) -> list[UndoEntry]:
        async with reading(self._database) as connection:
            rows = await connection.fetch(statement, _tenant(), *values)
        return [_to_entry(row) for row in rows]


def _tenant() -> str:
    return get_context().tenant_id


def _to_entry(row: Sequence[Any]) -> UndoEntry:
    group_id = row[8]
    return UndoEntry(
        token=to_uuid(row[0]),
        scope=row[1],
        command_type=row[2],
        schema_version=row[3],
        command=row[4],
        created_at=to_datetime(row[5]),
        updated_at=to_datetime(row[6]),
        memento=row[7],
        group_id=None if group_id is None else to_uuid(group_id),
        status=UndoStatus(row[9]),
        error=row[10],
        user_id=row[11],
        correlation_id=row[12],
        tenant_id=row[13],
        revision=row[14],
        sequence=row[15],
    )
